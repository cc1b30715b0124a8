"""Archives in the volume for backups: a name tells system, engine and time, and only a whole archive has one."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_TIME = "%Y%m%dT%H%M%SZ"
_READERS = 0o640
"""The group reads: what puts an archive of Redis back runs as another user of this group."""


class BackupError(RuntimeError):
    """A backup or a restore cannot be done; the text says why."""


@dataclass(frozen=True)
class Archives:
    """The archives of one engine of one system."""

    folder: Path
    system: str
    engine: str
    suffix: str
    """With its dot: `.dump`."""

    def name(self, taken: datetime) -> str:
        """The name of an archive that was taken then, in UTC."""
        return f"{self.system}-{self.engine}-{taken:{_TIME}}{self.suffix}"

    def taken(self, name: str) -> datetime | None:
        """When an archive was taken; None for a name that is not of these archives."""
        pattern = rf"{re.escape(self.system)}-{re.escape(self.engine)}-(\d{{8}}T\d{{6}}Z){re.escape(self.suffix)}"
        found = re.fullmatch(pattern, name)
        try:
            return datetime.strptime(found[1], _TIME).replace(tzinfo=UTC) if found else None
        except ValueError:
            return None

    def names(self) -> list[str]:
        """Every archive, the oldest first."""
        return sorted(file.name for file in self.folder.iterdir() if self.taken(file.name))

    def newest(self) -> datetime | None:
        """When the newest archive was taken; None where there is none."""
        names = self.names()
        return self.taken(names[-1]) if names else None

    def rotate(self, now: datetime, keep_days: int) -> list[str]:
        """Delete what is older than `keep_days`, but never the newest; returns the names (ARE-084)."""
        limit = now - timedelta(days=keep_days)
        old = [name for name in self.names()[:-1] if (self.taken(name) or now) < limit]
        for name in old:
            (self.folder / name).unlink()
        return old

    def add(self, taken: datetime, write: Callable[[Path], None]) -> Path:
        """A new archive; `write` fills and checks the file that gets the name only then."""
        # One name for all unfinished ones: what a killed run left is overwritten.
        partial, target = self.folder / f".{self.system}-{self.engine}.partial", self.folder / self.name(taken)
        try:
            write(partial)
            partial.chmod(_READERS)
            with partial.open("rb") as content:
                os.fsync(content.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target


@dataclass(frozen=True)
class Runs:
    """What the container remembers of its runs; one at a time."""

    folder: Path

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait for another backup or restore of this engine to end, and keep the next one waiting."""
        with (self.folder / "backup.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def note(self, error: str | None) -> None:
        """Remember how a run ended."""
        partial = self.folder / f"backup.{os.getpid()}"
        partial.write_text(json.dumps({"ended": datetime.now(UTC).timestamp(), "error": error}), encoding="utf-8")
        partial.replace(self.folder / "backup.json")

    def failure(self) -> datetime | None:
        """When the last run ended, if it failed; None after a good one, and before the first."""
        file = self.folder / "backup.json"
        if not file.is_file():
            return None
        last = json.loads(file.read_text(encoding="utf-8"))
        return datetime.fromtimestamp(last["ended"], UTC) if last["error"] is not None else None
