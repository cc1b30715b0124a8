"""Which image a container runs: always an id, so that a tag that moved is seen as a change."""

from __future__ import annotations

import re
from collections.abc import Callable

import pulumi_docker as docker
from pulumi import Input, Resource, ResourceOptions


class Images:
    """The stack's images; each reference is pulled once."""

    def __init__(self, engines: Callable[[str], str], parent: Resource) -> None:
        self._engines = engines
        self._parent = parent
        self._pulled: dict[str, docker.RemoteImage] = {}

    def engine(self, name: str) -> str:
        """The image of a supporting engine. Raises `config.ConfigError` when it cannot be had."""
        return self._engines(name)

    def id_of(self, reference: str) -> Input[str]:
        """The image id for `reference`; a reference that is an id already stands for itself, others are pulled."""
        if reference.startswith("sha256:"):
            return reference
        if reference not in self._pulled:
            name = "image-" + re.sub(r"[^a-z0-9]+", "-", reference.lower()).strip("-")
            self._pulled[reference] = docker.RemoteImage(
                name, name=reference, keep_locally=True, opts=ResourceOptions(parent=self._parent)
            )
        return self._pulled[reference].image_id
