"""The seam: what a backup and a restore ask of a platform, and which one a stack runs on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from config.places import DockerPlatform, KubernetesPlatform
from toolchain.console import ToolchainError
from toolchain.stack_file import read

FOLDER = "/backups"
SUFFIXES = {"postgres": ".dump", "redis": ".rdb"}
KEEPERS = tuple(f"{engine}-backup" for engine in SUFFIXES)
"""Services that archive."""
APPLICATIONS = ("app", "worker", "scheduler")
"""Roles that are stopped while an engine is restored."""
PATIENCE = 300
"""Seconds that the applications have to be healthy again."""


class Keeper(ABC):
    """What archives one engine of one system."""

    system: str
    engine: str
    """`postgres` or `redis`."""

    @abstractmethod
    def run(self, *command: str) -> str:
        """What a command prints beside the archives. Raises ToolchainError with its last words when it fails."""

    @abstractmethod
    def receive(self, file: Path, name: str) -> None:
        """Copy a file of this host beside the archives."""

    def __str__(self) -> str:
        return f"{self.engine} of {self.system}"

    def ask(self, action: str, *arguments: str) -> str:
        """What the image's program prints. Raises ToolchainError with its last words when it fails."""
        return self.run("python3", "-m", "backup", action, *arguments)

    def archives(self) -> list[str]:
        """Names of the archives, the oldest first."""
        return self.ask("list").split()


class Side(ABC):
    """A stack on one kind of platform."""

    stack: str

    @abstractmethod
    def found(self) -> Sequence[Keeper]:
        """Every keeper of the stack, in any order."""

    @abstractmethod
    def is_up(self) -> bool:
        """Whether anything of the stack runs."""

    @abstractmethod
    def applications_stopped(self, keeper: Keeper) -> AbstractContextManager[None]:
        """Nothing of the keeper's system writes meanwhile; afterwards the same replicas run, whatever happened."""

    @abstractmethod
    def load_redis(self, keeper: Keeper, name: str) -> None:
        """Replace the data of the keeper's Redis by an archive that was checked.

        Raises ToolchainError, with the server running, when that fails.
        """

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the stack was looked for, in words."""

    def keepers(self) -> list[Keeper]:
        """One for each engine of each system, PostgreSQL first. Raises ToolchainError where the stack has none."""
        found = self.found()
        if found:
            return sorted(found, key=lambda one: (one.system, one.engine))
        if self.is_up():
            raise ToolchainError(
                f"stack {self.stack} has no backups: set backups.volume to true in Pulumi.{self.stack}.yaml, "
                "then make up"
            )
        raise ToolchainError(f"nothing of stack {self.stack} runs on {self.place}: is it up?")


def side_of(stack: str) -> Side:
    """The side of a stack, by the platform of its stack file.

    Raises ToolchainError when that is not valid, is of another kind, or does not answer.
    """
    platform = read(stack).platform
    # Not at the top: neither client library is loaded for a stack of the other kind.
    if isinstance(platform, DockerPlatform):
        from toolchain.backup.on_docker import DockerSide  # noqa: PLC0415

        return DockerSide(stack)
    if isinstance(platform, KubernetesPlatform):
        from toolchain.backup.on_kubernetes import KubernetesSide  # noqa: PLC0415

        return KubernetesSide(stack, platform.context)
    raise ToolchainError(f"stack {stack} is of kind {platform.kind}, whose databases the platform itself backs up")
