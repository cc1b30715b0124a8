"""One deployment for all tests of this folder: a fresh checkout, `make up`, and `make down` at the very end.

The stack is Pulumi.dev.yaml with other ports and another network pool, so that a developer's own stack stays untouched.
`E2E_SLOT=1` … `9` lets several runs share an engine. `E2E_CHECKOUT=<folder>` keeps the deployment for the next run of
the tests at hand: they find what the last one left, deploy nothing again, and take nothing down.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.docker.stack import Stack, checkout
from tests.support.engine import answering

SLOT = int(os.environ.get("E2E_SLOT", "0"))
NAME = f"e2e{SLOT or ''}"
HTTP_PORT, HTTPS_PORT = 18080 + SLOT, 18443 + SLOT
POOL, SECOND_POOL = f"10.{200 + 2 * SLOT}.0.0/16", f"10.{201 + 2 * SLOT}.0.0/16"
PLATFORM = {"kind": "docker", "networkPool": POOL, "httpPort": HTTP_PORT, "httpsPort": HTTPS_PORT}
KEPT = os.environ.get("E2E_CHECKOUT")


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The Docker engine."""
    client = answering()
    yield client
    client.close()


@pytest.fixture(scope="session")
def stack(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, up and answering."""
    folder = Path(KEPT) if KEPT else tmp_path_factory.mktemp("fresh") / "checkout"
    reused = folder.exists()
    if not reused:
        checkout(Path(__file__).resolve().parents[2], folder)
    deployed = Stack(name=NAME, folder=folder, engine=engine, port=HTTPS_PORT)
    deployed.configure(platform=PLATFORM)
    try:
        if not (reused and deployed.containers()):
            deployed.make("up", check=True)
        deployed.note_starts()
        yield deployed
    finally:
        if not KEPT:
            deployed.make("down", check=False)
            deployed.sweep()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes the stack down comes last, and not at all where it is kept."""
    items.sort(key=lambda item: item.path.name == "test_destroy.py")
    if KEPT:
        items[:] = [item for item in items if item.path.name != "test_destroy.py"]
