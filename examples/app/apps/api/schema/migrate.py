"""Bring the database to the newest schema: `python -m schema.migrate`.

Forward only. Each `sql/NNNN_name.sql` is applied once, in its own transaction, and noted with its checksum in
`schema_migrations`. An advisory lock lets several copies start at the same time; the second finds nothing to do. A
database that is newer than this code is left alone: an older image must be able to run beside it.

Exit codes: 0 up to date, 1 failed (one line on standard error says why), 78 configuration error.
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString, cast

import psycopg

from common import settings as configuration

SQL = Path(__file__).parent / "sql"
LOCK = 0x41525F4D
"""Key of the advisory lock: any constant that nothing else in this database uses."""
LOCK_WAIT = "60s"
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class MigrationError(Exception):
    """The schema could not be brought up to date."""


@dataclass(frozen=True)
class Migration:
    """One numbered SQL file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path = SQL) -> list[Migration]:
    """The files in order. Raises `MigrationError` for a wrong name, a gap or a number used twice."""
    migrations = []
    for expected, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        match = _NAME.fullmatch(path.name)
        if match is None or int(match[1]) != expected:
            raise MigrationError(f"{path.name}: expected the name {expected:04d}_<what>.sql")
        migrations.append(Migration(expected, path.name, path.read_text(encoding="utf-8")))
    return migrations


def connect(url: str, wait_seconds: float) -> psycopg.Connection:
    """Connect as soon as the database answers. Raises `MigrationError` after `wait_seconds`."""
    deadline = time.monotonic() + wait_seconds
    pause = 0.25
    while True:
        try:
            return psycopg.connect(url, autocommit=True, connect_timeout=5, application_name="migrate")
        except psycopg.OperationalError as error:
            if time.monotonic() + pause > deadline:
                reason = " ".join(str(error).split())
                raise MigrationError(f"no database within {wait_seconds:g} s: {reason}") from None
        time.sleep(pause)
        pause = min(pause * 2, 3)


def apply(connection: psycopg.Connection, migrations: list[Migration]) -> list[str]:
    """Apply what is missing and return the names. Raises `MigrationError`; what was applied before it stays."""
    connection.execute(f"SET lock_timeout = '{LOCK_WAIT}'")
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    except psycopg.errors.LockNotAvailable:
        raise MigrationError(f"another migration holds the lock for more than {LOCK_WAIT}") from None
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY KEY, name text NOT NULL,"
        " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    rows = connection.execute("SELECT version, checksum FROM schema_migrations").fetchall()
    done: dict[int, str] = dict(rows)
    applied = []
    for migration in migrations:
        if migration.version in done:
            if done[migration.version] != migration.checksum:
                raise MigrationError(f"{migration.name} was changed after it was applied: add a new file instead")
            continue
        _apply_one(connection, migration)
        applied.append(migration.name)
    return applied


def _apply_one(connection: psycopg.Connection, migration: Migration) -> None:
    try:
        with connection.transaction():
            connection.execute(cast("LiteralString", migration.sql))
            connection.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
                (migration.version, migration.name, migration.checksum),
            )
    except psycopg.Error as error:
        raise MigrationError(f"{migration.name} failed and was rolled back: {' '.join(str(error).split())}") from None


def main() -> int:
    """Run the command and return its exit code."""
    try:
        settings = configuration.load()
        url = configuration.database_url(settings)
    except configuration.SettingsError as error:
        configuration.exit_with(error)
        raise
    try:
        migrations = read_migrations()
        with connect(url, settings.database_wait_seconds) as connection:
            applied = apply(connection, migrations)
    except (MigrationError, psycopg.Error) as error:
        sys.stderr.write(f"migration failed: {error}\n")
        return 1
    for name in applied:
        sys.stdout.write(f"applied {name}\n")
    sys.stdout.write(f"schema is at version {len(migrations)}, {len(applied)} applied\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
