"""Which subnet each network of the stack gets: plain arithmetic.

Docker's own address pools end after about 29 networks, so every network states its subnet. The place follows from
the network's name, not from the order in the program: adding a network leaves the others where they are.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Network

from pulumi import RunError

PREFIX = 26
"""Size of one network: a gateway and 61 containers."""


class PoolFull(RunError):
    """The stack has more networks than its pool has places; shown without a traceback."""


class Subnets:
    """Hands out subnets of one pool, each name its own."""

    def __init__(self, pool: IPv4Network) -> None:
        if pool.prefixlen > PREFIX:
            raise ValueError(f"the pool {pool} is smaller than one /{PREFIX} network")
        self._pool = pool
        self._slots = 2 ** (PREFIX - pool.prefixlen)
        self._taken: dict[int, str] = {}

    def of(self, name: str) -> IPv4Network:
        """The subnet for `name`; a slot that another name holds is passed over for the next free one.

        Raises ValueError when the name was used before, PoolFull when the pool has no place left.
        """
        if name in self._taken.values():
            raise ValueError(f"network {name!r} has a subnet already")
        if len(self._taken) == self._slots:
            raise PoolFull(
                f"platform.networkPool: {self._pool} holds {self._slots} networks, and the stack needs more. Choose a "
                f"larger one that is free: /{self._pool.prefixlen - 1} holds {2 * self._slots}, for example. "
                f"Nothing was changed."
            )
        slot = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % self._slots
        while slot in self._taken:
            slot = (slot + 1) % self._slots
        self._taken[slot] = name
        size = 2 ** (32 - PREFIX)
        return IPv4Network((int(self._pool.network_address) + slot * size, PREFIX))
