"""What every part of the Docker platform needs to know of the stack and the system it works for."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi_docker as docker
from pulumi import Output, Resource, ResourceOptions

from platforms.docker.images import Images
from platforms.docker.subnets import Subnets
from platforms.secrets import HeldSecret
from platforms.specs import Endpoint, Grant, SecretRef

LABEL = "ai-platform"


@dataclass(frozen=True, kw_only=True)
class NetworkGrant(Grant):
    """Consumers join the producer's network."""

    key: str
    """Logical name of the network: consumers are attached in the order of the keys."""
    network: Output[str]
    """Name of the network on the engine."""
    subnet: IPv4Network
    """Addresses of the network."""
    edge_host: str
    """Name that is unique on the engine: the edge stands in the networks of every system at once."""
    replicas: int
    """Replica `n` of the service answers to the name with `-n` behind its first label."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """One system (or the foundation) on one engine."""

    stack: str
    system: str
    subnets: Subnets
    images: Images
    bind_address: str
    """Host address of published ports, always explicit."""
    log_opts: dict[str, str]
    """Rotation of the `json-file` log driver."""

    def labels(self, resource: str, service: str, role: str) -> dict[str, str]:
        """The labels that policies, recovery and dashboards find things by."""
        return {
            f"{LABEL}.stack": self.stack,
            f"{LABEL}.system": self.system,
            f"{LABEL}.service": service,
            f"{LABEL}.role": role,
            f"{LABEL}.resource": resource,
        }


def grant_of(endpoint: Endpoint) -> NetworkGrant:
    """The grant as this platform minted it.

    Raises TypeError for an endpoint of another platform.
    """
    if not isinstance(endpoint.grant, NetworkGrant):
        raise TypeError(f"{endpoint.url} belongs to another platform and cannot be reached from a Docker network")
    return endpoint.grant


def secret_value(secret: SecretRef | Output[str]) -> Output[str]:
    """The secret itself, still marked secret.

    Raises TypeError for a secret of another platform.
    """
    if isinstance(secret, HeldSecret):
        return secret.value
    if isinstance(secret, Output):
        return Output.secret(secret)
    raise TypeError("the secret belongs to another platform")


def open_network(
    context: Context, name: str, service: str, role: str, *, parent: Resource, internal: bool = True
) -> tuple[docker.Network, IPv4Network]:
    """A bridge network with a subnet of its own; an internal one leads nowhere, not even to the host. Returns both."""
    subnet = context.subnets.of(f"{context.system}/{name}")
    network = docker.Network(
        name,
        driver="bridge",
        internal=internal,
        # `internal` keeps other hosts away. Without an address on the bridge, this one cannot be spoken to either.
        options={"com.docker.network.bridge.inhibit_ipv4": "true"} if internal else None,
        ipam_configs=[docker.NetworkIpamConfigArgs(subnet=str(subnet), gateway=str(subnet.network_address + 1))],
        labels=[
            docker.NetworkLabelArgs(label=key, value=value)
            for key, value in context.labels(name, service, role).items()
        ],
        # Two networks with one subnet cannot be there at the same time.
        opts=ResourceOptions(parent=parent, delete_before_replace=True),
    )
    return network, subnet
