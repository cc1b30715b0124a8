"""A stack on a Docker Engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import cast

from docker.errors import DockerException
from docker.models.containers import Container

from toolchain import engine
from toolchain.backup import on_docker_redis
from toolchain.backup.on_docker_containers import ROLE, SERVICE, DockerKeeper, containers, wait_healthy
from toolchain.backup.sides import APPLICATIONS, KEEPERS, Keeper, Side
from toolchain.console import ToolchainError, step

SILENCE = 24 * 3600
"""Seconds that a dump or a restore may last: the engine says nothing meanwhile."""


class DockerSide(Side):
    """One engine."""

    def __init__(self, stack: str) -> None:
        self.stack, self.client = stack, engine.client(timeout=SILENCE)

    @property
    def place(self) -> str:
        """Where the stack was looked for."""
        return f"the engine {engine.host()}"

    def found(self) -> Sequence[Keeper]:
        """Every keeper of the stack."""
        try:
            running = containers(self.client, self.stack)
        except DockerException as error:
            raise ToolchainError(str(error)) from error
        return [DockerKeeper(one, self.stack) for one in running if one.labels.get(SERVICE) in KEEPERS]

    def is_up(self) -> bool:
        """Whether anything of the stack runs."""
        return bool(containers(self.client, self.stack))

    @contextmanager
    def applications_stopped(self, keeper: Keeper) -> Iterator[None]:
        """Nothing of the system writes meanwhile; afterwards the same containers run again, whatever happened."""
        found = containers(self.client, self.stack, system=keeper.system, everything=True)
        applications = [one for one in found if one.labels.get(ROLE) in APPLICATIONS]
        try:
            with step(f"stop {len(applications)} containers of the applications"):
                _each(applications, Container.stop)
            yield
        finally:
            with step("start the applications again"):
                _each(applications, Container.start)
                wait_healthy(applications)

    def load_redis(self, keeper: Keeper, name: str) -> None:
        """Stop the server, load, start it."""
        on_docker_redis.load(self.client, cast("DockerKeeper", keeper), name)


def _each(all_of: Sequence[Container], action: Callable[[Container], None]) -> None:
    # At once: workers end their running jobs before they stop, each in its own time.
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(action, all_of))
