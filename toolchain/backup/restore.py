"""A restore from archives in the stack's volume, or from files on this host."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from toolchain.backup.sides import FOLDER, SUFFIXES, Keeper, Side
from toolchain.console import ToolchainError, step

_NAME = re.compile(r"(?P<system>.+)-(?P<engine>postgres|redis)-\d{8}T\d{6}Z\.[a-z]+")
UNCHANGED = "nothing was stopped or changed"


def restore(side: Side, source: str) -> None:
    """Restore the engine that an archive is of: a name in the volume, or the path of a file on this host.

    Two names, one behind the other, are restored with the applications stopped once, PostgreSQL first.

    Raises ToolchainError, with nothing stopped, when there is no such archive, or it is damaged or of something else;
    and, with that engine's data as it was and the applications started again, when the restore itself fails.
    """
    there = side.keepers()
    archives = {name: keeper for keeper in there for name in keeper.archives()}
    # A path may hold blanks.
    one = source in archives or Path(source).is_file() or not source.split()
    with ExitStack() as copies:
        found = [
            (copies.enter_context(_archive(there, archives, each)), each)
            for each in ([source] if one else source.split())
        ]
        _same_system([keeper for (keeper, _), _ in found])
        for (keeper, name), each in found:
            with step("check the archive"):
                try:
                    keeper.ask("check", name)
                except ToolchainError as error:
                    raise ToolchainError(f"{each}: {error}\n{UNCHANGED}") from error
        with side.applications_stopped(found[0][0][0]):
            for (keeper, name), _ in sorted(found, key=lambda each: each[0][0].engine):
                if keeper.engine == "redis":
                    side.load_redis(keeper, name)
                else:
                    _postgres(keeper, name)


def _same_system(keepers: Sequence[Keeper]) -> None:
    """Raises ToolchainError for archives of two systems, or two of one engine."""
    engines = [keeper.engine for keeper in keepers]
    if len({keeper.system for keeper in keepers}) > 1 or len(set(engines)) < len(engines):
        raise ToolchainError(f"one archive of each engine of one system goes into one restore; {UNCHANGED}")


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
def _archive(there: Sequence[Keeper], archives: Mapping[str, Keeper], source: str) -> Iterator[tuple[Keeper, str]]:
    """Who restores it, and its name in the volume, where a file of this host is a copy that goes afterwards."""
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
