"""What a plan deploys and who may reach whom, read from the planned resources.

The labels say which system, service and role a container belongs to. The networks say the rest: each belongs to the
service that it is labelled with, and whoever else is attached to it may reach that service.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from report.events import Planned

CONTAINER: Final = "docker:index/container:Container"
NETWORK: Final = "docker:index/network:Network"
LABEL: Final = "ai-platform"
OUTSIDE: Final = "proxy"
"""Role of the one network that has a way out."""


@dataclass(frozen=True, order=True)
class Key:
    """A service of a system."""

    system: str
    service: str


@dataclass(frozen=True, kw_only=True)
class Service:
    """Equal containers under one name."""

    key: Key
    role: str
    replicas: int
    ports: tuple[int, ...] = ()
    """Ports of the host that lead to it."""
    volumes: bool = False
    """Whether it keeps data in a volume."""


@dataclass(frozen=True, order=True)
class Link:
    """`source` may open connections to `target`."""

    source: Key
    target: Key


@dataclass(frozen=True, kw_only=True)
class Composition:
    """The services of a stack and their links, sorted."""

    services: tuple[Service, ...]
    links: tuple[Link, ...]
    subnets: Mapping[Key, str]
    """Subnet of the network that a service owns."""
    complete: bool
    """Whether every network of every container is known before the deployment."""

    def of(self, *roles: str) -> tuple[Service, ...]:
        """The services of some roles."""
        return tuple(service for service in self.services if service.role in roles)


@dataclass(frozen=True)
class Capacity:
    """Sum of the limits of the containers that run for good."""

    containers: int
    cpus: float
    memory: int
    """MiB."""


def compose(planned: Iterable[Planned]) -> Composition:
    """The composition of a plan; resources without the labels of this program are passed over."""
    resources = list(planned)
    owners: dict[str, Key] = {}
    subnets: dict[Key, str] = {}
    for network in (one for one in resources if one.type == NETWORK):
        labels = _labels(network.inputs)
        if "service" in labels and network.inputs.get("internal"):
            owner = Key(labels.get("system", ""), labels["service"])
            owners[str(network.inputs.get("name"))] = owner
            subnets[owner] = _subnet(network.inputs)
    others = {str(one.inputs.get("name")) for one in resources if one.type == NETWORK} - set(owners)
    members: dict[Key, list[Mapping[str, Any]]] = defaultdict(list)
    roles: dict[Key, str] = {}
    for container in (one for one in resources if one.type == CONTAINER):
        labels = _labels(container.inputs)
        if "service" in labels:
            key = Key(labels.get("system", ""), labels["service"])
            members[key].append(container.inputs)
            roles[key] = labels.get("role", "")
    attached = {key: _attached(containers) for key, containers in members.items()}
    return Composition(
        services=tuple(_service(key, roles[key], members[key]) for key in sorted(members)),
        links=tuple(
            sorted(
                Link(key, owners[name])
                for key, names in attached.items()
                for name in names
                if name in owners and owners[name] != key
            )
        ),
        subnets=subnets,
        complete=all(name in owners or name in others for names in attached.values() for name in names),
    )


def capacity(planned: Iterable[Planned]) -> Capacity:
    """Limits of the services' containers; jobs end, so they are not counted."""
    running = [
        one.inputs for one in planned if one.type == CONTAINER and _labels(one.inputs).get("role") not in ("job", None)
    ]
    return Capacity(
        containers=len(running),
        cpus=sum(_number(inputs.get("cpus")) for inputs in running),
        memory=int(sum(_number(inputs.get("memory")) for inputs in running)),
    )


def _service(key: Key, role: str, containers: Sequence[Mapping[str, Any]]) -> Service:
    ports = {
        int(port["external"])
        for inputs in containers
        for port in inputs.get("ports") or ()
        if isinstance(port, Mapping) and port.get("external")
    }
    return Service(
        key=key,
        role=role,
        replicas=len(containers),
        ports=tuple(sorted(ports)),
        volumes=any(
            mount.get("type") == "volume"
            for inputs in containers
            for mount in inputs.get("mounts") or ()
            if isinstance(mount, Mapping)
        ),
    )


def _attached(containers: Sequence[Mapping[str, Any]]) -> set[str]:
    return {
        str(network.get("name"))
        for inputs in containers
        for network in inputs.get("networksAdvanced") or ()
        if isinstance(network, Mapping)
    }


def _labels(inputs: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for one in inputs.get("labels") or ():
        prefix, _, name = str(one.get("label", "")).partition(".") if isinstance(one, Mapping) else ("", "", "")
        if prefix == LABEL:
            found[name] = str(one.get("value", ""))
    return found


def _subnet(inputs: Mapping[str, Any]) -> str:
    configs = inputs.get("ipamConfigs") or [{}]
    return str(configs[0].get("subnet", "")) if isinstance(configs[0], Mapping) else ""


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0
