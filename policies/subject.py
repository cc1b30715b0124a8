"""A resource as the rules see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from policies.values import UNKNOWN, reveal

STACK: Final = "pulumi:pulumi:Stack"
CONTAINER: Final = "docker:index/container:Container"
NETWORK: Final = "docker:index/network:Network"
VOLUME: Final = "docker:index/volume:Volume"
REMOTE_IMAGE: Final = "docker:index/remoteImage:RemoteImage"

ROLES: Final = ("app", "worker", "scheduler", "data", "job", "proxy", "telemetry")
"""Values of the label `ai-platform.role`."""
INNER_LOOP: Final = "inner-loop"
"""Value of the label `ai-platform.profile` on what runs in the inner development loop."""


@dataclass(frozen=True)
class Resource:
    """One resource: its inputs where it is validated by itself, its outputs where the stack is validated."""

    type: str
    """Pulumi type token."""
    name: str
    """Logical name."""
    urn: str
    marked: Mapping[str, Any]
    """Properties with `UNKNOWN` and `Sensitive` in their places."""

    @cached_property
    def properties(self) -> Mapping[str, Any]:
        """Properties without the secret marks."""
        revealed: Mapping[str, Any] = reveal(dict(self.marked))
        return revealed

    @property
    def kind(self) -> str:
        """The type in one word, for messages: `container`."""
        return self.type.rsplit(":", 1)[-1].lower()

    def get(self, key: str) -> Any:
        """A property; None when it is not set, `UNKNOWN` when it is not known yet."""
        return self.properties.get(key)

    def known(self, key: str) -> Any:
        """A property; None when it is not set or not known yet."""
        value = self.get(key)
        return None if value is UNKNOWN else value

    def entries(self, key: str) -> list[Any]:
        """The known entries of a list property; empty when it is not set or not known yet."""
        value = self.known(key)
        return [entry for entry in value if entry is not UNKNOWN] if isinstance(value, list) else []

    def blocks(self, key: str) -> list[Mapping[str, Any]]:
        """The known objects of a list property."""
        return [entry for entry in self.entries(key) if isinstance(entry, Mapping)]

    def has_unknown(self, key: str) -> bool:
        """The property, or an entry of it, is not known yet."""
        value = self.get(key)
        return value is UNKNOWN or (isinstance(value, list) and any(entry is UNKNOWN for entry in value))

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Docker labels whose names and values are known."""
        pairs = ((block.get("label"), block.get("value")) for block in self.blocks("labels"))
        return {key: value for key, value in pairs if isinstance(key, str) and isinstance(value, str)}

    @property
    def role(self) -> str | None:
        """The label `ai-platform.role`."""
        return self.labels.get("ai-platform.role")

    @property
    def system(self) -> str | None:
        """The label `ai-platform.system`."""
        return self.labels.get("ai-platform.system")

    @property
    def service(self) -> str | None:
        """The label `ai-platform.service`."""
        return self.labels.get("ai-platform.service")

    @property
    def inner_loop(self) -> bool:
        """Belongs to the inner development loop."""
        return self.labels.get("ai-platform.profile") == INNER_LOOP
