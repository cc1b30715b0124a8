"""What keeps the containers of one engine apart beyond their networks: users of their own, addresses to listen at."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from platforms.specs import BIND_ADDRESS, ServiceSpec

GROUP = 10001
"""Group of every container whose user the platform chooses: shared volumes are writable for it."""
FIRST_UID = 1_000_000
"""Above what distributions hand out to people and services."""
UIDS = 1_000_000_000
EVERYWHERE = "0.0.0.0"  # noqa: S104 - inside a container


def own_user(stack: str, system: str, resource: str) -> str:
    """`uid:gid` of one container: Linux counts processes per user, so a fork bomb exhausts no neighbour's limit."""
    digest = hashlib.sha256(f"{stack}/{system}/{resource}".encode()).digest()
    return f"{FIRST_UID + int.from_bytes(digest[:8]) % UIDS}:{GROUP}"


def bind_address(spec: ServiceSpec, alias: str) -> str:
    """Where a service listens: in the network of its endpoint only, not in those of the endpoints that it uses.

    That takes a name which is the container's alone. Two generations of a replica that overlap share theirs, and what
    is published is reached over the edge's network: these listen in all of their networks.
    """
    return EVERYWHERE if spec.publish or spec.rollout == "overlap" else alias


def listening(spec: ServiceSpec, address: str) -> ServiceSpec:
    """The service with the address filled in, in its command and its variables."""
    return replace(
        spec,
        command=tuple(part.replace(BIND_ADDRESS, address) for part in spec.command),
        env={
            key: value.replace(BIND_ADDRESS, address) if isinstance(value, str) else value
            for key, value in spec.env.items()
        },
    )
