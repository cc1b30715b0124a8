"""Parts of the Kubernetes platform without a stack around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi

from platforms.kubernetes.context import ClusterSettings, Context, PodGrant
from platforms.specs import MIB, Endpoint, Resources, ServiceSpec
from tests.support.recording import Graph, record

NAMESPACE = "shop-staging"


def cluster(**changes: Any) -> ClusterSettings:
    """A cluster without any peculiarity."""
    settings: dict[str, Any] = {
        "storage_class": None,
        "overcommit": 4,
        "keda": False,
        "object_store": None,
        "logs": None,
        "engine_image": lambda engine: f"{engine}:1",
        "metrics_image": {},
    }
    return ClusterSettings(**settings | changes)


def context(**changes: Any) -> Context:
    """The namespace of a system `shop`."""
    settings: dict[str, Any] = {
        "stack": "staging",
        "system": "shop",
        "namespace": NAMESPACE,
        # Plain: an output would belong to the loop that it was made in.
        "namespace_name": NAMESPACE,
        "local": True,
        "pull_secret": None,
        "cluster": cluster(),
    }
    return Context(**settings | changes)


def service(**changes: Any) -> ServiceSpec:
    """A service `web` on port 8000."""
    settings: dict[str, Any] = {
        "service": "web",
        "role": "app",
        "image": "web:1",
        "resources": Resources(cpu=1, memory=256 * MIB),
        "rollout": "overlap",
        "port": 8000,
    }
    return ServiceSpec(**settings | changes)


def endpoint(service: str, port: int, *, namespace: str = NAMESPACE, system: str = "shop", **changes: Any) -> Endpoint:
    """Where a service's pods answer."""
    pods = {"ai-platform/system": system, "ai-platform/service": service}
    grant = PodGrant(service=service, namespace=namespace, pods=pods, port=port, fenced=changes.pop("fenced", True))
    return Endpoint(scheme=changes.pop("scheme", "http"), host=service, port=port, grant=grant, **changes)


def made(make: Callable[[pulumi.Resource], object]) -> Graph:
    """What `make` registers below the component that it is given."""

    def program() -> None:
        make(pulumi.ComponentResource("test:kubernetes:Parent", "parent"))

    return record(program, stack="staging")
