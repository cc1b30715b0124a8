"""Roll-outs under requests: a good release loses none; a bad one stops, says why, and the old one keeps serving."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubernetes.conftest import KEYS
from tests.kubernetes.releases import releases
from tests.kubernetes.stack import SYSTEM, Object, Stack
from tests.support.traffic import Traffic

WORDS = "the feature flags cannot be read"
CHANGES = {"second": "", "crashing": f"\nraise RuntimeError({WORDS!r})\n"}
MISSING = "ai-platform-e2e/never-built:1"
SCALE = {"api": {"scale": {"min": 2, "max": 10}}, "worker": {"scale": {"min": 3, "max": 15}}}
"""As in Pulumi.staging.yaml."""


@pytest.fixture(scope="module")
def images(stack: Stack) -> Iterator[dict[str, str]]:
    """Releases of the application, by name; the stack is as before at the end."""
    with releases(stack, CHANGES) as made:
        yield made
        stack.configure(**KEYS)
        stack.make("up")
        stack.await_ready()


def configure(stack: Stack, service: str, **keys: Any) -> None:
    """Write the stack file with other keys of one service."""
    services = SCALE | {service: SCALE.get(service, {}) | keys}
    stack.configure(**KEYS, systems=[{"name": SYSTEM, "services": services}])


def used(pods: list[Object]) -> set[str]:
    """Images that pods run."""
    return {container["image"] for pod in pods for container in pod["spec"]["containers"]}


@pytest.mark.fact("ARE-110", stack="S")
def test_another_image_of_the_api_loses_no_request(stack: Stack, images: dict[str, str]) -> None:
    before = stack.uids("api")
    configure(stack, "api", image=images["second"])
    with Traffic(stack, stack.trust()) as traffic:
        stack.make("up")
        traffic.reach()
    traffic.assert_lossless()
    assert used(stack.pods("api")) == {images["second"]}
    assert stack.uids("api").keys().isdisjoint(before)


def test_another_environment_of_the_api_loses_no_request(stack: Stack, images: dict[str, str]) -> None:
    before = stack.uids("api")
    configure(stack, "api", image=images["second"], env={"LOG_LEVEL": "debug"})
    with Traffic(stack, stack.trust()) as traffic:
        stack.make("up")
        traffic.reach()
    traffic.assert_lossless()
    assert stack.uids("api").keys().isdisjoint(before)
    for pod in stack.uids("api"):
        assert stack.run(pod, "printenv", "LOG_LEVEL").output.strip() == "debug"


def heal(stack: Stack, images: dict[str, str]) -> None:
    """The next good release goes through, without a lost request."""
    stack.configure(**KEYS)
    with Traffic(stack, stack.trust()) as traffic:
        stack.make("up")
        traffic.reach()
    traffic.assert_lossless()
    stack.await_ready()
    running = used([*stack.pods("api"), *stack.pods("web")])
    assert running.isdisjoint({*images.values(), MISSING})


@pytest.mark.fact("ARE-049", stack="S")
def test_a_release_that_crashes_is_stopped_with_its_last_words_and_costs_no_request(
    stack: Stack, images: dict[str, str]
) -> None:
    serving = stack.uids("api")
    configure(stack, "api", image=images["crashing"])
    with Traffic(stack, stack.trust()) as traffic:
        failed = stack.make("up", check=False)
        traffic.reach()
    assert failed.code != 0
    (crashed,) = [name for name in stack.uids("api") if name not in serving]
    assert f"pod {crashed}: container api: CrashLoopBackOff" in failed.output
    assert f"RuntimeError: {WORDS}" in failed.output
    traffic.assert_lossless()
    assert serving.items() <= stack.uids("api").items()


def test_the_fix_goes_through_and_an_image_that_does_not_exist_is_stopped_without_a_lost_request(
    stack: Stack, images: dict[str, str]
) -> None:
    serving = stack.uids("web")
    configure(stack, "web", image=MISSING)
    with Traffic(stack, stack.trust()) as traffic:
        failed = stack.make("up", check=False)
        traffic.reach()
    assert failed.code != 0
    stuck = [name for name in stack.uids("web") if name not in serving]
    assert len(stuck) == 1, failed.output
    assert f"pod {stuck[0]}: container web: " in failed.output
    assert f'"{MISSING}"' in failed.output or f"/{MISSING}" in failed.output
    traffic.assert_lossless()
    assert used(stack.pods("api")).isdisjoint(images.values())
    assert serving.items() <= stack.uids("web").items()
    heal(stack, images)
    stack.pulumi("preview", "--expect-no-changes")
