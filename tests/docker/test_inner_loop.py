"""`profile: inner-loop`: the checkout is mounted, tiers answer on ports of their own, and a change is seen at once."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.docker.conftest import PLATFORM, SECOND_POOL, SLOT
from tests.docker.stack import Stack, eventually

SOURCE = "examples/app"


@pytest.fixture(scope="module")
def inner(stack: Stack) -> Iterator[Stack]:
    """A second stack of the same checkout, beside the first."""
    loop = Stack(name=f"inner{SLOT or ''}", folder=stack.folder, engine=stack.engine)
    loop.configure(
        platform=PLATFORM | {"networkPool": SECOND_POOL},
        systems=[{"name": "ai-review-engine", "profile": "inner-loop", "source": SOURCE}],
    )
    try:
        loop.make("up")
        yield loop
    finally:
        loop.make("down", check=False)
        loop.sweep()


def read(url: str) -> str:
    """The body of a page, or nothing while its server restarts."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            return str(answer.read().decode())
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return ""


def test_every_tier_answers_on_its_own_port_without_a_proxy(inner: Stack) -> None:
    assert "http://localhost:5000" in inner.outputs[0]
    assert read("http://127.0.0.1:8000/ready")
    assert "AI Review Engine" in read("http://127.0.0.1:5000/")
    assert read("http://127.0.0.1:8501/dashboard/_stcore/health") == "ok"
    assert inner.containers("edge") == []


@pytest.mark.parametrize("service", ["api", "web", "dashboard", "worker", "beat"])
def test_there_is_one_of_each(inner: Stack, service: str) -> None:
    assert len(inner.containers(service)) == 1


def test_a_change_of_the_source_is_served_without_a_deployment(inner: Stack) -> None:
    api = inner.folder / SOURCE / "apps" / "api" / "api" / "main.py"
    original = api.read_text(encoding="utf-8")
    try:
        api.write_text(original.replace('title="', 'title="Changed: '), encoding="utf-8")
        eventually(lambda: "Changed: " in read("http://127.0.0.1:8000/openapi.json"), what="the API reloads")
    finally:
        api.write_text(original, encoding="utf-8")
