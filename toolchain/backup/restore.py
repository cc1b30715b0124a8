"""A restore from an archive in the stack's volume, or from a file on this host."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from docker import DockerClient

from toolchain.backup import redis
from toolchain.backup.keepers import FOLDER, SUFFIXES, Keeper, applications_stopped, keepers, run
from toolchain.console import ToolchainError, step

_NAME = re.compile(r"(?P<system>.+)-(?P<engine>postgres|redis)-\d{8}T\d{6}Z\.[a-z]+")
UNCHANGED = "nothing was stopped or changed"


def restore(client: DockerClient, stack: str, source: str) -> None:
    """Restore the engine that an archive is of: a name in the volume, or the path of a file on this host.

    Raises ToolchainError, with nothing stopped, when there is no such archive, or it is damaged or of something else;
    and, with the data as it was and the applications started again, when the restore itself fails.
    """
    with _archive(keepers(client, stack), source) as (keeper, name):
        with step("check the archive"):
            try:
                keeper.ask("check", name)
            except ToolchainError as error:
                raise ToolchainError(f"{source}: {error}\n{UNCHANGED}") from error
        with applications_stopped(client, keeper):
            if keeper.engine == "redis":
                redis.load(client, keeper, name)
            else:
                _postgres(keeper, name)


def _postgres(keeper: Keeper, name: str) -> None:
    with step(f"restore PostgreSQL of {keeper.system}"):
        try:
            keeper.ask("restore", name)
        except BaseException:
            # An interrupt ends this process only: the server must not go on under the applications.
            with suppress(ToolchainError):
                keeper.ask("cancel")
            raise


@contextmanager
def _archive(there: Sequence[Keeper], source: str) -> Iterator[tuple[Keeper, str]]:
    """Who restores it, and its name in the volume, where a file of this host is a copy that goes afterwards."""
    archives = {name: keeper for keeper in there for name in keeper.archives()}
    if source in archives:
        yield archives[source], source
        return
    file = Path(source)
    if not source or not file.is_file():
        raise ToolchainError("\n  ".join([f"no archive FROM={source!r}; there are:", *(archives or ["none yet"])]))
    keeper = _keeper(there, file.name)
    copy = f".{os.getpid()}.incoming"
    try:
        with step(f"copy {file.name} into the volume"):
            keeper.container.put_archive(FOLDER, _tar(file, copy, int(redis.run_as(keeper.container))))
        yield keeper, copy
    finally:
        run(keeper.container, "rm", "-f", f"{FOLDER}/{copy}")


def _keeper(there: Sequence[Keeper], name: str) -> Keeper:
    """By the name of an archive, or by its suffix where only one engine can be meant. Raises ToolchainError."""
    told = _NAME.fullmatch(name)
    found = [
        one
        for one in there
        if name.endswith(SUFFIXES[one.engine])
        and (not told or (told["system"], told["engine"]) == (one.system, one.engine))
    ]
    if len(found) != 1:
        raise ToolchainError(
            f"{name} does not tell what it is of: an archive is named <system>-postgres-<time>.dump or"
            f" <system>-redis-<time>.rdb, and here are {', '.join(f'{one.system}-{one.engine}' for one in there)};"
            f" {UNCHANGED}"
        )
    return found[0]


def _tar(file: Path, name: str, owner: int) -> Iterator[bytes]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.uid, entry.gid = file.stat().st_size, 0o640, owner, owner
    yield entry.tobuf()
    with file.open("rb") as content:
        yield from iter(lambda: content.read(1 << 20), b"")
    yield bytes(-entry.size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)
