"""What every part of the Kubernetes platform needs to know of the stack and the system it works for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulumi import Input, Output, Resource

from platforms.specs import Endpoint, Grant, SecretRef, Started

Manifest = dict[str, Any]
"""A Kubernetes object, or a part of one, as its documentation writes it."""

LABEL = "ai-platform"
PART_OF, NAME, MANAGED_BY = "app.kubernetes.io/part-of", "app.kubernetes.io/name", "app.kubernetes.io/managed-by"


@dataclass(frozen=True, kw_only=True)
class PodGrant(Grant):
    """The pods that answer: consumers make the network policies that let them through."""

    service: str
    """Short name, for the names of the policies."""
    namespace: str
    pods: Mapping[str, str]
    """Labels that select the pods."""
    port: int
    """Port of the pods themselves."""
    placed: Input[str] | None = None
    """The namespace's name once it is there, for objects that go into it from others; None: it is not waited for."""
    fenced: bool = True
    """The pods' namespace is the stack's own and refuses what no policy lets in."""


@dataclass(frozen=True, kw_only=True)
class KeptSecret(SecretRef):
    """A key of a Secret that is on the cluster, such as one that an operator makes."""

    secret: str
    key: str


@dataclass(frozen=True, kw_only=True)
class ObjectStore:
    """A bucket outside the cluster, for what must survive it."""

    bucket: str
    endpoint: str | None
    """URL; None: Amazon's own."""
    region: str | None
    """None where the store has no regions."""
    generation: int
    """Number of the server that writes."""
    recovery: tuple[int, str | None] | None
    """Number of the server that a new one is made from, and the moment, in UTC; None: a new one begins empty."""
    access_key_id: Output[str]
    secret_access_key: Output[str]


@dataclass(frozen=True, kw_only=True)
class LogImages:
    """What collects, keeps and shows logs."""

    elasticsearch: Mapping[str, str]
    """`image` and `version`."""
    kibana: Mapping[str, str]
    """`image` and `version`."""
    shipper: str
    """Image of Fluent Bit."""


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """What the cluster offers, and how the stack uses it."""

    storage_class: str | None
    """None: the cluster's default."""
    overcommit: float
    """Cores of limits for each requested core."""
    keda: bool = False
    """KEDA is there, and scales what has a queue."""
    object_store: ObjectStore | None = None
    """Where base backups and the write-ahead log go; None: nowhere."""
    logs: LogImages | None = None
    """None: logs stay on their nodes."""
    engine_image: Callable[[str], str]
    """Engine name → image reference; raises `config.ConfigError` when there is none."""
    metrics_image: Mapping[str, str]
    """`image` and `version` of Prometheus where the configuration names them; else empty."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """One system (or the foundation) in its namespace."""

    stack: str
    system: str
    namespace: str
    namespace_name: Output[str]
    """The same, known once the namespace is there: what is created in it waits for it."""
    local: bool
    """Names of services are used inside the namespace only."""
    pull_secret: Output[str] | None
    """Name of the Secret with the logins of image registries; None where there are none."""
    cluster: ClusterSettings

    def labels(self, service: str, role: str) -> dict[str, str]:
        """The labels that policies, selectors and dashboards find things by."""
        return {
            NAME: service,
            PART_OF: self.system,
            MANAGED_BY: "pulumi",
            f"{LABEL}/stack": self.stack,
            f"{LABEL}/system": self.system,
            f"{LABEL}/service": service,
            f"{LABEL}/role": role,
        }

    def metadata(self, resource: str, service: str, role: str, *, name: str | None = None, **more: Any) -> Manifest:
        """Metadata of an object of this namespace; without a name, the engine makes a unique one."""
        named = {"name": name} if name else {}
        # Longer than a label may be.
        annotations = {f"{LABEL}/resource": resource} | more.pop("annotations", {})
        return {
            "namespace": self.namespace_name,
            "labels": self.labels(service, role),
            "annotations": annotations,
            **named,
            **more,
        }

    def selector(self, service: str) -> dict[str, str]:
        """What tells a service's pods from all others of the namespace; it never changes."""
        return {f"{LABEL}/system": self.system, f"{LABEL}/service": service}

    @property
    def storage_class(self) -> Manifest:
        """What a claim says of its StorageClass; nothing where the cluster's default is meant."""
        name = self.cluster.storage_class
        return {"storageClassName": name} if name else {}

    def host(self, service: str) -> str:
        """DNS name of a service for those who may reach it."""
        return service if self.local else f"{service}.{self.namespace}.svc"


def grant_of(endpoint: Endpoint) -> PodGrant:
    """The grant as this platform minted it.

    Raises TypeError for an endpoint of another platform.
    """
    if not isinstance(endpoint.grant, PodGrant):
        raise TypeError(f"{endpoint.url} belongs to another platform and cannot be reached from a pod")
    return endpoint.grant


def after(started: Sequence[Started]) -> list[Input[Resource]]:
    """What an object waits for."""
    return [resource for one in started for resource in one.ready]
