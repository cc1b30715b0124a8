"""Connection of the `docker` stand-in to one Docker host, and what its resource types share."""

from __future__ import annotations

import os
import threading
import time
from abc import ABC
from collections.abc import Callable
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from platforms.reach import silence
from toolchain.plugins.provider import ProviderError, ResourceType
from toolchain.plugins.schema import Field, Values, group_set, text

DEFAULT_HOST = "unix:///var/run/docker.sock"
DOCKER_HUB = "registry-1.docker.io"
CONNECT_SECONDS = 10
REQUEST_SECONDS = 120
BUSY_SECONDS = 30.0
"""How long the removal of a network or volume waits for the containers that still use it."""


def labels(**options: Any) -> Field:
    """The `labels` input that containers, networks and volumes have."""
    pair = {"label": text(required=True), "value": text(required=True)}
    return group_set(pair, new=True, api="Labels", convert=label_map, **options)


def label_map(pairs: list[Values]) -> dict[str, str]:
    """Labels as Docker takes them."""
    return {pair["label"]: pair["value"] for pair in pairs}


class Engine:
    """One Docker host, connected to at the first use: a preview needs none."""

    def __init__(self, cancelled: threading.Event) -> None:
        self.cancelled = cancelled
        self.host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        self.credentials: dict[str, dict[str, str]] = {}
        self.lock = threading.Lock()
        self.connection: docker.APIClient | None = None
        self.refusal = ""
        """Why there is no connection, once that is known."""

    @property
    def api(self) -> docker.APIClient:
        """The library's low-level client. Raises ProviderError naming the host."""
        with self.lock:
            if self.refusal:
                raise ProviderError(self.refusal)
            try:
                self.connection = self.connection or docker.APIClient(self.host, "auto", CONNECT_SECONDS)
            except DockerException as error:
                # Once for all resources: each would wait as long.
                reason = silence(self.host, CONNECT_SECONDS) or error
                self.refusal = f"Docker at {self.host} does not answer: {reason}"
                raise ProviderError(self.refusal) from error
            self.connection.timeout = REQUEST_SECONDS
        return self.connection

    def find_image(self, name: str, platform: str | None = None) -> Values:
        """The image, pulled when the host does not have it. Raises ProviderError."""
        try:
            return dict(self.api.inspect_image(name))
        except ImageNotFound:
            pass
        first = name.partition("/")[0]
        registry = first if "/" in name and ("." in first or ":" in first or first == "localhost") else DOCKER_HUB
        try:
            for line in self.api.pull(
                name, stream=True, decode=True, platform=platform, auth_config=self.credentials.get(registry)
            ):
                if "error" in line:
                    raise DockerException(line["error"])
            return dict(self.api.inspect_image(name))
        except DockerException as error:
            raise ProviderError(f"image {name} is not at {self.host} and cannot be pulled: {error}") from error

    def remove_when_free(self, remove: Callable[[str], None], identity: str) -> None:
        """Remove something, waiting for its last user to go. One that is gone already is no error."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return remove(identity)
            except NotFound:
                return None
            except APIError as error:
                busy = any(words in str(error) for words in ("active endpoints", "in use"))
                if not busy or time.monotonic() > deadline or self.cancelled.wait(0.5):
                    raise


class EngineResource(ResourceType, ABC):
    """A resource on the provider's Docker host."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
