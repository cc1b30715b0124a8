"""Which image each supporting engine runs.

The stack file's reference; else, where the machine's own engine or cluster runs it, what its inventory has; else the
engine's public image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from config.places import LOCAL_CONTEXT
from config.report import error
from config.resolve import StackConfig
from toolchain.images.catalog import CATALOG

OPTIONAL: Mapping[str, str] = {
    "pgbouncer": "ghcr.io/cloudnative-pg/pgbouncer:1.24.1",
    "elasticsearch": "docker.elastic.co/elasticsearch/elasticsearch:8.19.4",
    "kibana": "docker.elastic.co/kibana/kibana:8.19.4",
    "fluent-bit": "cr.fluentbit.io/fluent/fluent-bit:4.0.8",
}
"""Public images of what no stack needs until its file asks for it; `make images` leaves them out."""
UPSTREAM: Mapping[str, str | None] = {
    **{image.name: image.reference for image in CATALOG if not image.internal},
    **OPTIONAL,
}
"""The public image of each engine; None for what only this project builds."""


class InventoryEntry(BaseModel):
    """What `make images` found out about one image."""

    model_config = ConfigDict(frozen=True, strict=True, hide_input_in_errors=True)

    image: str | None
    """Id of the local image; None when it cannot be had."""
    reference: str
    """Name under which it was pulled or built, or looked for."""
    source: Literal["pulled", "built", "missing"]
    reason: str | None = None
    """Why it is missing."""
    version: str | None = None
    """Version of the engine inside."""


_ENTRIES = TypeAdapter(dict[str, InventoryEntry])


@dataclass(frozen=True)
class ImageInventory:
    """The images that this machine has, by logical name."""

    file: str
    entries: Mapping[str, InventoryEntry]

    @classmethod
    def load(cls, path: Path, file: str) -> ImageInventory:
        """Read the inventory; `file` is its name in messages. Raises ConfigError when it is missing or damaged."""
        try:
            return cls(file, _ENTRIES.validate_json(path.read_bytes()))
        except OSError:
            raise error(file, "images", "the inventory of images is missing", "Run `make images`.") from None
        except ValidationError:
            raise error(file, "images", "the inventory of images is damaged", "Run `make images`.") from None

    def resolve(self, name: str) -> InventoryEntry:
        """An image that is there. Raises ConfigError when it cannot be had."""
        entry = self.entries.get(name)
        if entry is None:
            raise error(self.file, name, "is not in the inventory of images", "Run `make images`.")
        if entry.image is None:
            raise error(
                self.file,
                name,
                f"{entry.reference} cannot be had on this machine: {entry.reason or 'no reason is known'}",
                f"Give another reference in `images.engines.{name}` of the stack file.",
            )
        return entry


@dataclass(frozen=True)
class EngineImages:
    """The stack's images by logical name. The inventory is read when it is needed first."""

    stack: StackConfig

    @cached_property
    def inventory(self) -> ImageInventory:
        """What the machine has. Raises ConfigError when the file is missing or damaged."""
        file = self.stack.images.inventory
        return ImageInventory.load(self.stack.root / file, file)

    @property
    def own(self) -> bool:
        """The stack runs the images of this machine."""
        platform = self.stack.platform
        return platform.kind == "docker" or getattr(platform, "context", None) == LOCAL_CONTEXT

    def resolve(self, name: str) -> str:
        """Reference or, on Docker, id of an image. Raises ConfigError when it cannot be had."""
        if (given := self._given(name)) is not None:
            return given
        if not self.own:
            return self._upstream(name)
        if name in OPTIONAL:
            raise error(
                "the stack file",
                f"images.engines.{name}",
                f"{OPTIONAL[name]} is not among the images of this machine",
                "Name an image that the cluster can pull, or leave out what asks for it.",
            )
        entry = self.inventory.resolve(name)
        return str(entry.image) if self.stack.platform.kind == "docker" else entry.reference

    def named(self, name: str) -> Mapping[str, str]:
        """`image` and `version` where the stack file names the image, for operators that bring one of their own.

        Raises ConfigError when its tag does not tell the version.
        """
        return self.versioned(name) if self._given(name) is not None else {}

    def versioned(self, name: str) -> Mapping[str, str]:
        """`image` and `version`. Raises ConfigError when it cannot be had, or its tag does not tell the version."""
        reference = self.resolve(name)
        match = re.search(r":(v?\d+\.\d+\.\d+)[^:/]*$", reference.partition("@")[0])
        if match is None:
            raise error(
                "the stack file",
                f"images.engines.{name}",
                "does not tell the version of the engine, which its operator must know",
                "Give it the version as its tag, like `name:v2.53.5`, with a digest behind it if you want.",
            )
        return {"image": reference, "version": match[1]}

    def available(self, name: str) -> bool:
        """The image can be had. Raises ConfigError when the inventory is needed and missing or damaged."""
        if self._given(name) is not None:
            return True
        if not self.own:
            return UPSTREAM.get(name) is not None
        entry = self.inventory.entries.get(name)
        return entry is not None and entry.image is not None

    def _given(self, name: str) -> str | None:
        return {str(engine): reference for engine, reference in self.stack.images.engines.items()}.get(name)

    def _upstream(self, name: str) -> str:
        if (reference := UPSTREAM.get(name)) is not None:
            return reference
        raise error(
            "the stack file",
            f"images.engines.{name}",
            "has no public image: only this machine's own engine and `make cluster` run what it builds",
            "Push the image to a registry, and name it there.",
        )

    @property
    def with_grafana(self) -> bool:
        """Whether Grafana runs. Raises ConfigError when it is required and its image cannot be had."""
        wanted = self.stack.observability.grafana
        if not self.stack.observability.enabled or wanted == "off":
            return False
        if wanted == "required":
            self.resolve("grafana")
        return self.available("grafana")
