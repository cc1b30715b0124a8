"""What the tests of the toolchain share: the machine's engine, and this clone as the bootstrap left it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from toolchain import engine as docker_engine
from toolchain.console import ToolchainError
from toolchain.images.__main__ import read_inventory
from toolchain.images.workshop import Entry

ROOT = Path(__file__).resolve().parents[2]


def lacking(reason: str) -> None:
    """A failure in CI, which must have everything; elsewhere a skip."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerClient]:
    """The Docker Engine."""
    try:
        client = docker_engine.client()
    except ToolchainError:
        lacking("no Docker Engine answers")
        raise
    yield client
    client.close()


@pytest.fixture(scope="session")
def inventory(engine: DockerClient) -> dict[str, Entry]:
    """The images of this machine."""
    entries = read_inventory()
    if not entries:
        lacking("there is no image inventory: run `make images`")
    return entries


@pytest.fixture(scope="session")
def bootstrapped() -> Path:
    """The root of a clone in which the bootstrap has run."""
    if not (ROOT / ".venv").is_dir() or not (ROOT / ".toolchain" / "plugins.json").is_file():
        lacking("this clone is not bootstrapped: run `make test`")
    return ROOT
