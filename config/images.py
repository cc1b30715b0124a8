"""Which image each supporting engine runs: the stack file's reference, else what the machine's inventory has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from config.report import error
from config.resolve import StackConfig


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

    def resolve(self, name: str) -> str:
        """Id of the image. Raises ConfigError when it cannot be had."""
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
        return entry.image


@dataclass(frozen=True)
class EngineImages:
    """The stack's images by logical name. The inventory is read when it is needed first."""

    stack: StackConfig

    @cached_property
    def inventory(self) -> ImageInventory:
        """What the machine has. Raises ConfigError when the file is missing or damaged."""
        file = self.stack.images.inventory
        return ImageInventory.load(self.stack.root / file, file)

    def resolve(self, name: str) -> str:
        """Reference or id of an image. Raises ConfigError when it cannot be had."""
        for engine, reference in self.stack.images.engines.items():
            if engine == name:
                return reference
        return self.inventory.resolve(name)

    def available(self, name: str) -> bool:
        """The image can be had. Raises ConfigError when the inventory is needed and missing or damaged."""
        entry = self.inventory.entries.get(name) if name not in self.stack.images.engines else None
        return name in self.stack.images.engines or (entry is not None and entry.image is not None)

    @property
    def with_grafana(self) -> bool:
        """Whether Grafana runs. Raises ConfigError when it is required and its image cannot be had."""
        wanted = self.stack.observability.grafana
        if not self.stack.observability.enabled or wanted == "off":
            return False
        if wanted == "required":
            self.resolve("grafana")
        return self.available("grafana")
