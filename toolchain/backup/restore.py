"""A restore from an archive in the stack's volume, or from a file on this host."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from toolchain.backup.sides import FOLDER, SUFFIXES, Keeper, Side
from toolchain.console import ToolchainError, step

_NAME = re.compile(r"(?P<system>.+)-(?P<engine>postgres|redis)-\d{8}T\d{6}Z\.[a-z]+")
UNCHANGED = "nothing was stopped or changed"


def restore(side: Side, source: str) -> None:
    """Restore the engine that an archive is of: a name in the volume, or the path of a file on this host.

    Raises ToolchainError, with nothing stopped, when there is no such archive, or it is damaged or of something else;
    and, with the data as it was and the applications started again, when the restore itself fails.
    """
    with _archive(side.keepers(), source) as (keeper, name):
        with step("check the archive"):
            try:
                keeper.ask("check", name)
            except ToolchainError as error:
                raise ToolchainError(f"{source}: {error}\n{UNCHANGED}") from error
        with side.applications_stopped(keeper):
            if keeper.engine == "redis":
                side.load_redis(keeper, name)
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
    keeper = keeper_of(there, file.name)
    copy = f".{os.getpid()}.incoming"
    try:
        with step(f"copy {file.name} into the volume"):
            keeper.receive(file, copy)
        yield keeper, copy
    finally:
        keeper.run("rm", "-f", f"{FOLDER}/{copy}")


def keeper_of(there: Sequence[Keeper], name: str) -> Keeper:
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
