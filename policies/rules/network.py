"""Who can be reached from where."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from policies.docker import CONTAINER, NETWORK
from policies.kubernetes import PODS, ports
from policies.rule import Rule
from policies.settings import Settings
from policies.subject import RUNNING, Resource
from policies.values import UNKNOWN

NO_NETWORK: Final = "none"


def check_bind(resource: Resource, settings: Settings) -> Iterator[str]:
    """Each published port names the host address it binds; all addresses only for the proxy."""
    del settings
    for port in resource.blocks("ports"):
        address, inner = port.get("ip"), _number(port.get("internal"))
        if address is UNKNOWN:
            continue
        if not address:
            yield f"publishes port {inner} on every address of the host; set `ip` of the port, for example 127.0.0.1"
        elif _unspecified(address) and resource.role != "proxy":
            yield f"publishes port {inner} on {address}; only role proxy may: set `ip` of the port to one address"


def check_publishing(resource: Resource, settings: Settings) -> Iterator[str]:
    """Only the proxy publishes ports; in the inner development loop others may, on loopback, but never data."""
    del settings
    if resource.known("publishAllPorts"):
        yield "publishes every port of its image; remove `publishAllPorts` and let the proxy route to it"
    if resource.role == "proxy":
        return
    for port in resource.blocks("ports"):
        if resource.inner_loop and resource.role != "data" and _loopback(port.get("ip")):
            continue
        yield (
            f"has role {resource.role or 'none'} and publishes port {_number(port.get('internal'))}; "
            "remove it from `ports` and let the proxy route to it"
        )


def check_host_ports(resource: Resource, settings: Settings) -> Iterator[str]:
    """No pod takes ports of its node: the stack's gateway is reached by what the cluster has for it."""
    del settings
    for container in resource.containers:
        for port in ports(container.raw):
            if port.get("hostPort") not in (None, 0, UNKNOWN):
                yield (
                    f"takes port {_number(port.get('hostPort'))} of its node for container {container.name}; remove "
                    "`hostPort` and let the gateway route to it"
                )


def check_host_mode(resource: Resource, settings: Settings) -> Iterator[str]:
    """Neither the host's network nor another container's."""
    del settings
    if resource.shared_network:
        whose, instead = resource.shared_network
        yield f"uses the network of {whose}; {instead}"


def check_membership(resource: Resource, settings: Settings) -> Iterator[str]:
    """On networks of the stack, or on none; never on Docker's default bridge, where everybody meets."""
    del settings
    if resource.has_unknown("networksAdvanced") or resource.get("networkMode") in (UNKNOWN, NO_NETWORK):
        return
    if not resource.blocks("networksAdvanced"):
        yield "is on Docker's default network; name its networks in `networksAdvanced`, or set `networkMode` to none"


def check_internal(resource: Resource, settings: Settings) -> Iterator[str]:
    """Networks have no way out of the host; the edge's network, of role proxy, is the exception."""
    del settings
    if resource.role != "proxy" and resource.get("internal") is not UNKNOWN and resource.get("internal") is not True:
        yield "has a way out of the host; set `internal` to true (only the edge's network, of role proxy, is open)"


def _loopback(address: object) -> bool:
    try:
        return ip_address(str(address)).is_loopback
    except ValueError:
        return False


def _unspecified(address: object) -> bool:
    try:
        return ip_address(str(address)).is_unspecified
    except ValueError:
        return True


def _number(port: object) -> str:
    return f"{port:g}" if isinstance(port, int | float) else "?"


RULES: Final = (
    Rule(
        name="network-port-bind-address",
        description="A published port binds an explicit host address.",
        types=(CONTAINER,),
        check=check_bind,
        scanners="D",
    ),
    Rule(
        name="network-port-restrict-publishing",
        description="Only the proxy publishes ports on the host.",
        types=(CONTAINER,),
        check=check_publishing,
        scanners="PKCT",
    ),
    Rule(
        name="network-port-forbid-host",
        description="On Kubernetes, no pod takes a port of its node.",
        types=PODS,
        check=check_host_ports,
        scanners="PKCT",
    ),
    Rule(
        name="network-container-forbid-host",
        description="A container has a network stack of its own.",
        types=RUNNING,
        check=check_host_mode,
        scanners="LPKCTD",
    ),
    Rule(
        name="network-container-require-network",
        description="A container is on networks of the stack, not on Docker's default one.",
        types=(CONTAINER,),
        check=check_membership,
        scanners="D",
    ),
    Rule(
        name="network-network-require-internal",
        description="A network has no way out of the host, the edge's excepted.",
        types=(NETWORK,),
        check=check_internal,
    ),
)
