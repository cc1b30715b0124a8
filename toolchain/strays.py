"""What carries a stack's label on its engine and is in no state: an interrupted run made it and did not record it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from docker import DockerClient
from docker.errors import APIError, NotFound

from toolchain.console import say

STACK_LABEL = "ai-platform.stack"
RETAIN_LABEL = "ai-platform.retain"
PATIENCE = 60.0
"""Seconds that something has to go which the engine is already removing, or whose last user is just going."""


@dataclass(frozen=True)
class Stray:
    """One container, network or volume."""

    kind: str
    id: str
    """Of a volume: its name."""
    name: str
    held: bool = False
    """A volume in which a container works that is not the stack's: it cannot be removed."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def find(
    client: DockerClient, stack: str, ids: frozenset[str], *, born: float, unborn: frozenset[str] = frozenset()
) -> list[Stray]:
    """What is in no state, in the order in which it can be removed; a handful of short requests.

    `ids` are in the state. `born` (seconds since the epoch) is when the state began: what is older belongs to another.
    Volumes that are labelled as kept on purpose are no strays, but for those whose name is among `unborn`: their
    creation was never finished, so that nothing has ever worked in them.
    """
    query = {"label": f"{STACK_LABEL}={stack}"}
    # The engine gives containers' times in whole seconds.
    start = int(born)
    containers = [
        Stray("container", one["Id"], (one["Names"] or [one["Id"]])[0].lstrip("/"))
        for one in client.api.containers(all=True, filters=query)
        if one["Id"] not in ids and one["Created"] >= start
    ]
    networks = [
        Stray("network", one["Id"], one["Name"])
        for one in client.api.networks(filters=query)
        if one["Id"] not in ids and made(one["Created"]) >= start
    ]
    gone = frozenset(one.id for one in containers)
    return [*containers, *networks, *_volumes(client, query, ids, start, unborn, gone)]


def _volumes(
    client: DockerClient,
    query: dict[str, str],
    ids: frozenset[str],
    start: int,
    unborn: frozenset[str],
    gone: frozenset[str],
) -> Iterator[Stray]:
    for one in client.api.volumes(filters=query)["Volumes"] or []:
        name = str(one["Name"])
        kept = (one["Labels"] or {}).get(RETAIN_LABEL) == "true" and name not in unborn
        if name not in ids and not kept and made(one["CreatedAt"]) >= start:
            users = {str(user["Id"]) for user in client.api.containers(all=True, filters={"volume": name})}
            yield Stray("volume", name, name, held=bool(users - gone))


def remove(client: DockerClient, strays: list[Stray]) -> list[Stray]:
    """Remove strays; returns those that are gone and says what stays.

    Raises docker.errors.APIError when the engine refuses for a minute.
    """
    ways: dict[str, Callable[[Stray], None]] = {
        "container": lambda one: client.api.remove_container(one.id, force=True, v=True),
        "network": lambda one: _remove_network(client, one),
        "volume": lambda one: client.api.remove_volume(one.id),
    }
    removed = []
    for stray in strays:
        if stray.held:
            say(f"{stray} is in no state and cannot be removed: a container that is not the stack's works in it")
            continue
        _until_gone(ways[stray.kind], stray)
        removed.append(stray)
    if removed:
        say(f"in no state, removed: {', '.join(map(str, removed))}")
    return removed


def _remove_network(client: DockerClient, stray: Stray) -> None:
    seen: dict[str, Any] = client.api.inspect_network(stray.id)
    for member in seen.get("Containers") or {}:
        client.api.disconnect_container_from_network(member, stray.id, force=True)
    client.api.remove_network(stray.id)


def _until_gone(way: Callable[[Stray], None], stray: Stray) -> None:
    """Remove one; the engine may still be at work on what a killed run asked of it."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return way(stray)
        except NotFound:
            return None
        except APIError as error:
            passing = any(words in str(error) for words in ("in progress", "active endpoints", "in use"))
            if not passing or time.monotonic() > end:
                raise
        time.sleep(0.5)


def made(timestamp: str) -> float:
    """Seconds since the epoch of the engine's RFC 3339 time, whose fraction may have nine digits."""
    head, dot, tail = timestamp.partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        timestamp = f"{head}.{tail[: min(digits, 6)].ljust(6, '0')}{tail[digits:]}"
    return datetime.fromisoformat(timestamp).timestamp()
