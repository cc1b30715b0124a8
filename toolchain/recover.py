"""What a killed `up` leaves behind is put right: its lock, its pending operations, and what it did not record."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import APIError

from toolchain import engine, state
from toolchain.console import ToolchainError, run, say
from toolchain.environment import full
from toolchain.paths import LOGS, ROOT, STATE

STACK_LABEL = "ai-platform.stack"
ROLE_LABEL = "ai-platform.role"
RETAIN_LABEL = "ai-platform.retain"
CONTAINER = "docker:index/container:Container"


@dataclass(frozen=True)
class Known:
    """What a stack's state says."""

    ids: frozenset[str]
    """Ids of the resources: of containers, networks and (their names) volumes."""
    failed_jobs: tuple[str, ...]
    """URNs of one-shot jobs that ended with another exit code than 0."""
    pending: bool
    """Whether operations were begun and not finished."""


def read_state(deployment: dict[str, Any]) -> Known:
    """What matters here of the `deployment` of a `pulumi stack export`."""
    resources = deployment.get("resources") or []
    return Known(
        ids=frozenset(str(resource["id"]) for resource in resources if resource.get("id")),
        failed_jobs=tuple(str(resource["urn"]) for resource in resources if _failed_job(resource)),
        pending=bool(deployment.get("pending_operations")),
    )


def _failed_job(resource: dict[str, Any]) -> bool:
    outputs = resource.get("outputs") or {}
    labels = {str(row.get("label")): row.get("value") for row in outputs.get("labels") or [] if isinstance(row, dict)}
    return resource.get("type") == CONTAINER and labels.get(ROLE_LABEL) == "job" and bool(outputs.get("exitCode"))


def recover(cli: Path, stack: str) -> tuple[str, ...]:
    """Put a stack of the local backend right; returns the URNs of the jobs that must run again.

    Raises ToolchainError when another process works on the stack.
    """
    if not (state.is_local() and state.stack_file(stack).is_file()):
        return ()
    _release(cli, stack)
    known = read_state(_export(cli, stack))
    if known.pending:
        say("operations of an interrupted run are pending: refreshing")
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
        known = read_state(_export(cli, stack))
    if engine.answers(engine.host()):
        remove_strays(engine.client(), stack, known.ids, born=state_birth())
    return known.failed_jobs


def state_birth() -> float:
    """When this clone's state began, in seconds since the epoch: what is older belongs to another state."""
    return (STATE / ".pulumi" / "meta.yaml").stat().st_mtime


def _export(cli: Path, stack: str) -> dict[str, Any]:
    command = [str(cli), "stack", "export", "--stack", stack]
    done = subprocess.run(command, cwd=ROOT, env=full(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolchainError(f"the state of stack {stack} cannot be read: {done.stderr.strip()}")
    deployment: dict[str, Any] = json.loads(done.stdout)["deployment"]
    return deployment


# ── the lock ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def locks(stack: str) -> Iterator[dict[str, Any]]:
    """The locks on a stack of the local backend."""
    folder = STATE / ".pulumi" / "locks" / "organization" / state.PROJECT / stack
    for file in sorted(folder.glob("*.json")):
        try:
            yield json.loads(file.read_text())
        except (OSError, ValueError):
            # Given back between the listing and the reading, or cut short by a full disk: it names no live process.
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


def _release(cli: Path, stack: str) -> None:
    held = list(locks(stack))
    if not held:
        return
    for lock in held:
        if is_alive(lock):
            raise ToolchainError(f"pulumi already works on stack {stack} (pid {lock.get('pid')}): wait for it to end")
    say("the process that locked the stack is gone: its lock is cancelled")
    run([cli, "cancel", "--yes", "--stack", stack], log=LOGS / "cancel.log", env=full(), cwd=ROOT)


# ── strays ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def remove_strays(client: DockerClient, stack: str, ids: frozenset[str], *, born: float) -> list[str]:
    """Remove what carries the stack's label, is in no state, and was made after `born`; returns the names.

    Volumes that are labelled as kept on purpose stay.
    """
    query: dict[str, str | list[str] | bool] = {"label": f"{STACK_LABEL}={stack}"}
    removed: list[str] = []
    for container in client.containers.list(all=True, filters=query):
        if container.id not in ids and _made(container.attrs["Created"]) >= born:
            removed.append(f"container {container.name}")
            container.remove(force=True, v=True)
    for network in client.networks.list(filters={**query}):
        if network.id not in ids and _made(network.attrs["Created"]) >= born:
            network.reload()
            for member in network.attrs.get("Containers") or {}:
                network.disconnect(member, force=True)
            removed.append(f"network {network.name}")
            network.remove()
    for volume in client.volumes.list(filters=query):
        kept = (volume.attrs.get("Labels") or {}).get(RETAIN_LABEL) == "true"
        if volume.name not in ids and not kept and _made(volume.attrs["CreatedAt"]) >= born:
            try:
                volume.remove()
            except APIError as error:
                say(f"volume {volume.name} is in no state and cannot be removed: {error.explanation}")
                continue
            removed.append(f"volume {volume.name}")
    if removed:
        say(f"in no state, removed: {', '.join(removed)}")
    return removed


def _made(timestamp: str) -> float:
    """Seconds since the epoch of the engine's RFC 3339 time, whose fraction may have nine digits."""
    head, dot, tail = timestamp.partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        timestamp = f"{head}.{tail[: min(digits, 6)].ljust(6, '0')}{tail[digits:]}"
    return datetime.fromisoformat(timestamp).timestamp()
