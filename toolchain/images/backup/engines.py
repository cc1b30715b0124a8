"""The engines: how each is archived, how an archive is checked, and how one is put back.

Passwords are read from their file and handed on in the environment: they are on no command line and in no output.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anycrc  # type: ignore[import-untyped]

from .archives import BackupError

CHUNK = 1 << 20
RDB_MAGIC = b"REDIS"
RDB_CHECKSUM = 8
"""Bytes of the checksum that a dump of Redis ends with."""


@dataclass(frozen=True)
class Login:
    """Where the engine answers, and as whom."""

    host: str
    port: str
    user: str
    database: str
    password_file: Path

    @property
    def password(self) -> str:
        """The password."""
        return self.password_file.read_text(encoding="utf-8").strip()


@dataclass(frozen=True)
class Postgres:
    """PostgreSQL by `pg_dump` in its custom format (ARE-085)."""

    login: Login
    suffix: str = ".dump"

    def dump(self, file: Path) -> None:
        """Write an archive. Raises BackupError."""
        self._run("pg_dump", "--format=custom", f"--file={file}")

    def check(self, file: Path) -> None:
        """Read all of an archive. Raises BackupError where it is damaged, cut short or of another database."""
        try:
            listing = self._run("pg_restore", "--list", str(file))
            # The table of contents stands at the head: only reading all of it finds an archive that was cut short.
            self._run("pg_restore", "--file=/dev/null", str(file))
        except BackupError as error:
            raise BackupError(f"not a whole archive of pg_dump: {error}") from error
        found = next((line.partition("dbname:")[2].strip() for line in listing.splitlines() if "dbname:" in line), "?")
        if found != self.login.database:
            raise BackupError(f"an archive of {found}, not of {self.login.database}")

    def restore(self, file: Path) -> None:
        """Replace what the archive holds, in one transaction. Raises BackupError, with the database as it was."""
        # A session that holds a lock, a forgotten psql say, makes the restore fail instead of hanging.
        more = {"PGOPTIONS": "-c lock_timeout=60s", "PGAPPNAME": "restore"}
        flags = ("--clean", "--if-exists", "--single-transaction", "--no-owner")
        self._run("pg_restore", *flags, f"--dbname={self.login.database}", str(file), more=more)

    def cancel(self) -> None:
        """End a restore that still runs. Raises BackupError."""
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'restore'"
        self._run("psql", "--quiet", f"--command={ended}")

    def _run(self, *command: str, more: Mapping[str, str] | None = None) -> str:
        login = self.login
        names = {"PGHOST": login.host, "PGPORT": login.port, "PGUSER": login.user, "PGDATABASE": login.database}
        return _run(command, {**names, "PGPASSWORD": login.password, "PGCONNECT_TIMEOUT": "10", **(more or {})})


@dataclass(frozen=True)
class Redis:
    """Redis by a dump of its own format, as a replica gets it (ARE-086, ARE-087)."""

    login: Login
    suffix: str = ".rdb"

    def dump(self, file: Path) -> None:
        """Write an archive. Raises BackupError."""
        command = ("redis-cli", "-h", self.login.host, "-p", self.login.port, "--rdb", str(file))
        _run(command, {"REDISCLI_AUTH": self.login.password})

    def check(self, file: Path) -> None:
        """Read all of an archive. Raises BackupError where it is damaged or cut short.

        By the checksum that Redis itself wrote: `redis-check-rdb` refuses the dumps of every later Redis.
        """
        model, checksum, left = anycrc.Model("CRC64-REDIS"), 0, file.stat().st_size - RDB_CHECKSUM
        with file.open("rb") as content:
            is_dump = content.read(len(RDB_MAGIC)) == RDB_MAGIC
            content.seek(0)
            while is_dump and left > 0:
                part = content.read(min(CHUNK, left))
                checksum, left = model.calc(part, checksum), left - len(part)
            written = int.from_bytes(content.read(RDB_CHECKSUM), "little")
        if not is_dump or checksum != written:
            raise BackupError("not a whole dump of Redis: it is damaged, cut short or something else")


ENGINES: Final[Mapping[str, type[Postgres] | type[Redis]]] = {"postgres": Postgres, "redis": Redis}


def _run(command: tuple[str, ...], variables: Mapping[str, str]) -> str:
    done = subprocess.run(  # noqa: S603 - a client of the engine
        command, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BackupError(done.stderr.strip() or f"{command[0]} ended with exit code {done.returncode}")
    return done.stdout
