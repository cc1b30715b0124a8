"""One deployment for all tests of this folder: a fresh checkout, `make up`, and `make down` at the very end.

The stack is Pulumi.dev.yaml with other ports and another network pool, so that a developer's own stack stays untouched.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.docker.stack import Stack, checkout
from tests.support.engine import answering

NAME = "e2e"
PLATFORM = {"kind": "docker", "networkPool": "10.217.0.0/16", "httpPort": 18080, "httpsPort": 18443}


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The Docker engine."""
    client = answering()
    yield client
    client.close()


@pytest.fixture(scope="session")
def stack(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, up and answering."""
    folder = tmp_path_factory.mktemp("fresh") / "checkout"
    checkout(Path(__file__).resolve().parents[2], folder)
    deployed = Stack(name=NAME, folder=folder, engine=engine)
    deployed.configure(platform=PLATFORM)
    try:
        deployed.make("up", check=True)
        deployed.note_starts()
        yield deployed
    finally:
        deployed.make("down", check=False)
        deployed.sweep()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes the stack down comes last."""
    items.sort(key=lambda item: item.path.name == "test_destroy.py")
