"""`python3 -m backup schedule|create|list|check|restore|cancel`: archives of the engine that the environment names."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .archives import Archives, BackupError, Runs
from .engines import ENGINES, Login, Postgres, Redis
from .schedule import Schedule, answer

FOLDER = Path("/backups")
MEMORY = Path("/tmp")  # noqa: S108 - inside the container


@dataclass(frozen=True)
class Program:
    """One engine and its archives."""

    engine: Postgres | Redis
    archives: Archives
    runs: Runs
    keep_days: int

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Program:
        """As the environment says. Raises KeyError for a variable that is missing."""
        login = Login(
            host=env["BACKUP_HOST"],
            port=env["BACKUP_PORT"],
            user=env.get("BACKUP_USER", ""),
            database=env.get("BACKUP_DATABASE", ""),
            password_file=Path(env["BACKUP_PASSWORD_FILE"]),
        )
        engine = ENGINES[env["BACKUP_ENGINE"]](login)
        archives = Archives(FOLDER, env["BACKUP_SYSTEM"], env["BACKUP_ENGINE"], engine.suffix)
        return cls(engine, archives, Runs(MEMORY), int(env["BACKUP_KEEP_DAYS"]))

    def create(self) -> None:
        """Archive, check, then rotate; prints name and size. Raises BackupError or OSError, and remembers it."""
        try:
            with self.runs.alone():
                now = datetime.now(UTC)
                file = self.archives.add(now, self._write)
                print(f"{file.name}  {file.stat().st_size / 1024:.1f} KiB", flush=True)
                for name in self.archives.rotate(now, self.keep_days):
                    print(f"{name}  deleted after {self.keep_days} days", flush=True)
        except (BackupError, OSError) as error:
            self.runs.note(str(error))
            raise
        self.runs.note(None)

    def restore(self, name: str) -> None:
        """Put an archive back. Raises BackupError; Redis' server must be stopped for it, which is done from outside."""
        if isinstance(self.engine, Redis):
            raise BackupError("Redis is restored from outside: `make restore`")
        with self.runs.alone():
            self.engine.restore(FOLDER / name)

    def cancel(self) -> None:
        """End a restore that still runs. Raises BackupError."""
        if isinstance(self.engine, Postgres):
            self.engine.cancel()

    def schedule(self, cron: str, address: str) -> None:
        """Answer Prometheus at an address, and create when it is time, for good."""
        # As process number 1 it would ignore the signal, and be killed after the grace time.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        schedule = Schedule(cron, datetime.now(UTC), self.archives, self.runs)
        answer(schedule, address)
        schedule.follow(self._attempt)

    def _write(self, file: Path) -> None:
        self.engine.dump(file)
        self.engine.check(file)

    def _attempt(self) -> None:
        try:
            self.create()
        except (BackupError, OSError) as error:
            print(f"error: {error}", file=sys.stderr, flush=True)


def main() -> int:
    """Command line; the exit status is 1, with the reason, when something is wrong."""
    parser = argparse.ArgumentParser(prog="backup", description=__doc__)
    parser.add_argument("action", choices=("schedule", "create", "list", "check", "restore", "cancel"))
    parser.add_argument("name", nargs="?", default="", help="of an archive: for check and restore")
    options = parser.parse_args()
    os.umask(0o027)
    program = Program.of(os.environ)
    try:
        match options.action:
            case "schedule":
                program.schedule(os.environ["BACKUP_SCHEDULE"], os.environ["BACKUP_LISTEN"])
            case "create":
                program.create()
            case "list":
                print("\n".join(program.archives.names()))
            case "check":
                program.engine.check(FOLDER / options.name)
            case "restore":
                program.restore(options.name)
            case "cancel":
                program.cancel()
    except (BackupError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
