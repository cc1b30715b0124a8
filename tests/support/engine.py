"""The Docker engine of the tests: missing, it is a failure in CI, and elsewhere a skip that says why."""

from __future__ import annotations

import os
from typing import NoReturn

import docker
import pytest
from docker.errors import DockerException


def missing(reason: str) -> NoReturn:
    """Skip, or fail where everything must be there (CI=true)."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def answering() -> docker.DockerClient:
    """A client of the engine that answers."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        missing(f"no Docker engine answers: {error}")
    return client
