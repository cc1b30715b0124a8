"""The containers of a stack that take part in a backup or a restore, and what can be asked of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from docker import DockerClient
from docker.models.containers import Container

from toolchain import engine
from toolchain.console import ToolchainError, step

FOLDER = "/backups"
SYSTEM, SERVICE, ROLE = "ai-platform.system", "ai-platform.service", "ai-platform.role"
SUFFIXES = {"postgres": ".dump", "redis": ".rdb"}
# Roles that are stopped while an engine is restored.
APPLICATIONS = ("app", "worker", "scheduler")
PATIENCE = 300
"""Seconds that containers have to be healthy again."""


@dataclass(frozen=True)
class Keeper:
    """The container that archives one engine of one system."""

    container: Container
    stack: str

    @property
    def system(self) -> str:
        """Name of the system."""
        return str(self.container.labels[SYSTEM])

    @property
    def engine(self) -> str:
        """`postgres` or `redis`."""
        return str(self.container.labels[SERVICE]).removesuffix("-backup")

    def ask(self, action: str, *arguments: str) -> str:
        """What the image's program prints. Raises ToolchainError with its last words when it fails."""
        return run(self.container, "python3", "-m", "backup", action, *arguments)

    def archives(self) -> list[str]:
        """Names of the archives, the oldest first."""
        return self.ask("list").split()


def keepers(client: DockerClient, stack: str) -> list[Keeper]:
    """One for each engine of each system, PostgreSQL first. Raises ToolchainError where the stack has none."""
    running = containers(client, stack)
    services = {f"{name}-backup" for name in SUFFIXES}
    found = [Keeper(one, stack) for one in running if one.labels.get(SERVICE) in services]
    if found:
        return sorted(found, key=lambda one: (one.system, one.engine))
    if running:
        raise ToolchainError(
            f"stack {stack} has no backups: set backups.volume to true in Pulumi.{stack}.yaml, then make up"
        )
    raise ToolchainError(f"nothing of stack {stack} runs on the engine {engine.host()}: is it up?")


def containers(
    client: DockerClient, stack: str, *labels: str, system: str | None = None, everything: bool = False
) -> list[Container]:
    """The stack's containers with these labels, of one system or of all; the stopped ones too with `everything`."""
    wanted = [f"ai-platform.stack={stack}", *labels, *([f"{SYSTEM}={system}"] if system else [])]
    return client.containers.list(all=everything, filters={"label": wanted})


def run(container: Container, *command: str) -> str:
    """What a command prints in a container. Raises ToolchainError with its last words when it fails."""
    code, output = container.exec_run(list(command), demux=True)
    out, err = (str(part or b"", errors="replace") for part in cast("tuple[bytes | None, bytes | None]", output))
    if code != 0:
        raise ToolchainError(err.strip() or f"exit code {code}")
    return out


@contextmanager
def applications_stopped(client: DockerClient, keeper: Keeper) -> Iterator[None]:
    """Nothing of the system writes meanwhile; afterwards the same containers run again, whatever happened."""
    found = containers(client, keeper.stack, system=keeper.system, everything=True)
    applications = [one for one in found if one.labels.get(ROLE) in APPLICATIONS]
    try:
        with step(f"stop {len(applications)} containers of the applications"):
            _each(applications, Container.stop)
        yield
    finally:
        with step("start the applications again"):
            _each(applications, Container.start)
            wait_healthy(applications)


def wait_healthy(started: Sequence[Container]) -> None:
    """Wait until all of them are. Raises ToolchainError when that takes too long."""
    end = time.monotonic() + PATIENCE
    while waiting := [str(one.name) for one in started if not _healthy(one)]:
        if time.monotonic() > end:
            raise ToolchainError(f"not healthy after {PATIENCE} s: {', '.join(waiting)}; see `docker logs`")
        time.sleep(1)


def _each(all_of: Sequence[Container], action: Callable[[Container], None]) -> None:
    # At once: workers end their running jobs before they stop, each in its own time.
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(action, all_of))


def _healthy(container: Container) -> bool:
    container.reload()
    return container.status == "running" and container.health in ("healthy", "unknown")
