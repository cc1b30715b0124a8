"""A resource as the rules see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol

from policies import docker, kubernetes
from policies.container import Container, Tag, Words
from policies.docker import CONTAINER, NETWORK, REMOTE_IMAGE, VOLUME
from policies.kubernetes import OPERATED, PODS
from policies.values import UNKNOWN, blocks, entries, has_unknown, reveal

STACK: Final = "pulumi:pulumi:Stack"
RUNNING: Final = (CONTAINER, *PODS)
"""Types that run containers."""
SIZED: Final = (*RUNNING, *OPERATED)
"""Types that say what is run and how much it may take, those included whose operator decides about the rest."""

ROLES: Final = ("app", "worker", "scheduler", "data", "job", "proxy", "telemetry")
"""Values of the label `role`."""
INNER_LOOP: Final = "inner-loop"
"""Value of the label `profile` on what runs in the inner development loop."""

__all__ = [
    "CONTAINER",
    "INNER_LOOP",
    "NETWORK",
    "REMOTE_IMAGE",
    "ROLES",
    "RUNNING",
    "SIZED",
    "STACK",
    "VOLUME",
    "Resource",
]


class Adapter(Protocol):
    """What a platform's module knows about its types: `kind` is the type, `plain` the properties without marks."""

    @property
    def WORDS(self) -> Words:  # noqa: N802 - a constant of a module
        """What the platform calls things."""

    def containers(self, kind: str, marked: Mapping[str, Any], role: str | None) -> tuple[Container, ...]:
        """The containers that a resource runs."""

    def labels(self, plain: Mapping[str, Any]) -> dict[str, str]:
        """Its labels that are known."""

    def labels_unknown(self, plain: Mapping[str, Any], name: str) -> bool:
        """It is not known yet whether it has such a label."""

    def tags(self, kind: str, marked: Mapping[str, Any]) -> Iterator[Tag]:
        """Its labels and annotations with their secret marks."""

    def host_paths(self, kind: str, plain: Mapping[str, Any]) -> list[str]:
        """Paths of the host that it mounts."""

    def shared_namespaces(self, kind: str, plain: Mapping[str, Any]) -> dict[str, str]:
        """Property → whose namespace it shares."""

    def shared_network(self, kind: str, plain: Mapping[str, Any]) -> tuple[str, str] | None:
        """Whose network it shares, and what to do about it."""


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

    @property
    def on_kubernetes(self) -> bool:
        """An object of a Kubernetes cluster."""
        return kubernetes.is_object(self.type)

    @property
    def adapter(self) -> Adapter:
        """What knows about types like this one."""
        return kubernetes if self.on_kubernetes else docker

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """The containers that it runs."""
        return self.adapter.containers(self.type, self.marked, self.role)

    @cached_property
    def pod(self) -> Mapping[str, Any]:
        """The spec of the pod that it bears; empty where there is none."""
        return kubernetes.pod(self.type, self.properties)

    @property
    def tags(self) -> Iterator[Tag]:
        """Labels and annotations with their secret marks."""
        return self.adapter.tags(self.type, self.marked)

    @property
    def host_paths(self) -> list[str]:
        """Folders and files of the host that it mounts."""
        return self.adapter.host_paths(self.type, self.properties)

    @property
    def shared_namespaces(self) -> dict[str, str]:
        """Property → whose namespace it is, for namespaces that are not its own."""
        return self.adapter.shared_namespaces(self.type, self.properties)

    @property
    def shared_network(self) -> tuple[str, str] | None:
        """Whose network it uses instead of one of its own, and what to do about it."""
        return self.adapter.shared_network(self.type, self.properties)

    def get(self, key: str) -> Any:
        """A property; None when it is not set, `UNKNOWN` when it is not known yet."""
        return self.properties.get(key)

    def known(self, key: str) -> Any:
        """A property; None when it is not set or not known yet."""
        value = self.get(key)
        return None if value is UNKNOWN else value

    def entries(self, key: str) -> list[Any]:
        """The known entries of a list property; empty when it is not set or not known yet."""
        return entries(self.get(key))

    def blocks(self, key: str) -> list[Mapping[str, Any]]:
        """The known objects of a list property."""
        return blocks(self.get(key))

    def has_unknown(self, key: str) -> bool:
        """The property, or an entry of it, is not known yet."""
        return has_unknown(self.get(key))

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Labels whose names and values are known."""
        return self.adapter.labels(self.properties)

    def label_name(self, key: str) -> str:
        """`role` as this platform writes it: `ai-platform.role`, on Kubernetes `ai-platform/role`."""
        return f"ai-platform{'/' if self.on_kubernetes else '.'}{key}"

    def label(self, key: str) -> str | None:
        """One of the labels that start with `ai-platform`."""
        return self.labels.get(self.label_name(key))

    @property
    def role(self) -> str | None:
        """The label `role`."""
        return self.label("role")

    @property
    def system(self) -> str | None:
        """The label `system`."""
        return self.label("system")

    @property
    def service(self) -> str | None:
        """The label `service`."""
        return self.label("service")

    @property
    def inner_loop(self) -> bool:
        """Belongs to the inner development loop."""
        return self.label("profile") == INNER_LOOP
