"""What a killed `up` leaves behind is put right: its lock, its pending operations, and what it did not record."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import DockerClient

from toolchain import engine, state, strays
from toolchain.console import ToolchainError, run, say
from toolchain.environment import full
from toolchain.paths import LOGS, ROOT, STATE

ROLE_LABEL = "ai-platform.role"
CONTAINER = "docker:index/container:Container"
PROVIDER = "pulumi:providers:docker"
PATIENCE = 900.0
"""Seconds that a run which still works on the stack has to end."""


@dataclass(frozen=True)
class Known:
    """What a stack's state says."""

    ids: frozenset[str]
    """Ids of the resources: of containers, networks and (their names) volumes."""
    failed_jobs: tuple[str, ...] = ()
    """URNs of one-shot jobs that ended with another exit code than 0."""
    pending: tuple[str, ...] = ()
    """Operations that were begun and not finished, in words."""
    unborn: frozenset[str] = frozenset()
    """Names on the engine of what was being created."""
    engines: tuple[str, ...] = ()
    """Addresses of the engines that the stack was deployed to."""


def read_state(deployment: dict[str, Any]) -> Known:
    """What matters here of a state's latest deployment."""
    resources = deployment.get("resources") or []
    operations = deployment.get("pending_operations") or []
    begun = [(str(one["type"]), one["resource"]) for one in operations]
    hosts = [(one.get("inputs") or {}).get("host") for one in resources if one.get("type") == PROVIDER]
    return Known(
        ids=frozenset(str(resource["id"]) for resource in resources if resource.get("id")),
        failed_jobs=tuple(str(resource["urn"]) for resource in resources if _failed_job(resource)),
        pending=tuple(f"{kind} {str(resource['urn']).rpartition('::')[2]}" for kind, resource in begun),
        unborn=frozenset(
            str(name)
            for kind, resource in begun
            if kind == "creating" and (name := (resource.get("inputs") or {}).get("name"))
        ),
        engines=tuple(dict.fromkeys(str(host) for host in hosts if host)),
    )


def _failed_job(resource: dict[str, Any]) -> bool:
    outputs = resource.get("outputs") or {}
    labels = {str(row.get("label")): row.get("value") for row in outputs.get("labels") or [] if isinstance(row, dict)}
    return resource.get("type") == CONTAINER and labels.get(ROLE_LABEL) == "job" and bool(outputs.get("exitCode"))


def load_state(stack: str) -> Known:
    """What the local backend's file says of a stack.

    Raises ToolchainError when it cannot be read.
    """
    file = state.stack_file(stack)
    try:
        return read_state(json.loads(file.read_text())["checkpoint"].get("latest") or {})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ToolchainError(f"the state of stack {stack} in {file} cannot be read: {error}") from error


def recover(cli: Path, stack: str) -> tuple[str, ...]:
    """Put a stack of the local backend right; returns the URNs of the jobs that must run again.

    Raises ToolchainError when another process works on the stack and does not end.
    """
    if not (state.is_local() and state.stack_file(stack).is_file()):
        return ()
    _wait(stack)
    state.check_room()
    healed = state.heal(stack)
    _release(cli, stack)
    known = load_state(stack)
    # Before the pending operations are cleared: they tell which volumes nothing has ever worked in.
    for address in known.engines or (engine.host(),):
        if engine.answers(address):
            client = engine.client(address=address)
            strays.remove(client, find_strays(client, stack, known))
    if known.pending or healed:
        say("an interrupted run left its state behind what is there: refreshing")
        command: list[str | Path] = [
            cli,
            "refresh",
            "--yes",
            "--skip-preview",
            "--clear-pending-creates",
            "--stack",
            stack,
        ]
        run(command, log=LOGS / "refresh.log", env=full(), cwd=ROOT)
        known = load_state(stack)
    return known.failed_jobs


def find_strays(client: DockerClient, stack: str, known: Known) -> list[strays.Stray]:
    """What an engine has of the stack and the state does not know."""
    return strays.find(client, stack, known.ids, born=state_birth(), unborn=known.unborn)


def state_birth() -> float:
    """When this clone's state began, in seconds since the epoch: what is older belongs to another state."""
    return (STATE / ".pulumi" / "meta.yaml").stat().st_mtime


# ── the lock ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def locks(stack: str) -> Iterator[dict[str, Any]]:
    """The locks on a stack of the local backend.

    Pulumi takes any file there for a lock, also one that was killed before it had its name (`….json.….tmp`).
    """
    folder = STATE / ".pulumi" / "locks" / "organization" / state.PROJECT / stack
    for file in sorted(folder.iterdir() if folder.is_dir() else ()):
        if file.suffix == ".attrs":
            continue
        try:
            content = json.loads(file.read_text())
            yield content if isinstance(content, dict) else {}
        except FileNotFoundError:
            # Given back between the listing and the reading.
            continue
        except (OSError, ValueError):
            # Cut short: it names no live process.
            yield {}


def is_alive(lock: dict[str, Any]) -> bool:
    """Whether the process that took the lock may still run; one of another host always may."""
    if lock.get("hostname", socket.gethostname()) != socket.gethostname():
        return True
    pid = int(lock.get("pid") or 0)
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    command = Path(f"/proc/{pid}/cmdline")
    # The number may have gone to another process since.
    return not command.is_file() or b"pulumi" in command.read_bytes()


def _wait(stack: str) -> None:
    """Wait for a process that works on the stack; it may have lost the run that started it."""
    end = time.monotonic() + PATIENCE
    told = False
    while alive := [lock for lock in locks(stack) if is_alive(lock)]:
        holder = f"pulumi works on stack {stack} (pid {alive[0].get('pid')} on {alive[0].get('hostname')})"
        if time.monotonic() > end:
            raise ToolchainError(f"{holder}: end it, or wait for it, then again")
        if not told:
            say(f"{holder}: waiting for it to end")
            told = True
        time.sleep(0.5)


def _release(cli: Path, stack: str) -> None:
    """Give back the locks of processes that are gone."""
    if list(locks(stack)):
        say("the process that locked the stack is gone: its lock is cancelled")
        run([cli, "cancel", "--yes", "--stack", stack], log=LOGS / "cancel.log", env=full(), cwd=ROOT)
