"""The containers of a stack that take part in a backup or a restore, and what can be asked of them."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from docker import DockerClient
from docker.errors import DockerException
from docker.models.containers import Container

from toolchain.backup.sides import FOLDER, PATIENCE, Keeper
from toolchain.console import ToolchainError

SYSTEM, SERVICE, ROLE = "ai-platform.system", "ai-platform.service", "ai-platform.role"


class DockerKeeper(Keeper):
    """The container that archives one engine of one system."""

    def __init__(self, container: Container, stack: str) -> None:
        self.container, self.stack = container, stack
        self.system = str(container.labels[SYSTEM])
        self.engine = str(container.labels[SERVICE]).removesuffix("-backup")

    def run(self, *command: str) -> str:
        """What a command prints in the container. Raises ToolchainError with its last words when it fails."""
        try:
            return run(self.container, *command)
        except DockerException as error:
            raise ToolchainError(str(error)) from error

    def receive(self, file: Path, name: str) -> None:
        """Copy a file of this host beside the archives."""
        self.container.put_archive(FOLDER, _tar(file, name, int(group_of(self.container))))


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


def group_of(container: Container) -> str:
    """The numeric group that a container runs as."""
    return str(container.attrs["Config"]["User"]).partition(":")[2]


def wait_healthy(started: Sequence[Container]) -> None:
    """Wait until all of them are. Raises ToolchainError when that takes too long."""
    end = time.monotonic() + PATIENCE
    while waiting := [str(one.name) for one in started if not _healthy(one)]:
        if time.monotonic() > end:
            raise ToolchainError(f"not healthy after {PATIENCE} s: {', '.join(waiting)}; see `docker logs`")
        time.sleep(1)


def _healthy(container: Container) -> bool:
    container.reload()
    return container.status == "running" and container.health in ("healthy", "unknown")


def _tar(file: Path, name: str, owner: int) -> Iterator[bytes]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.uid, entry.gid = file.stat().st_size, 0o640, owner, owner
    yield entry.tobuf()
    with file.open("rb") as content:
        yield from iter(lambda: content.read(1 << 20), b"")
    yield bytes(-entry.size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)
