"""`python -m schema.migrate` against a real PostgreSQL (ARE-049, ARE-110)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import pytest

from tests.app.conftest import Running
from tests.app.lab import Lab, Tier

_names = (f"migrations_{number}" for number in count())


@dataclass(frozen=True)
class Database:
    """An own database for one test."""

    name: str
    sql: Callable[[str], str]
    migrate: Callable[..., Tier]


@pytest.fixture
def database(lab: Lab, app: Running) -> Iterator[Database]:
    """A database that does not exist yet."""
    name = next(_names)
    started: list[Tier] = []

    def sql(statement: str) -> str:
        return app.postgres.sql(statement, name)

    def migrate(**environment: str) -> Tier:
        url = f"postgresql://app:{lab.password}@prod-db.internal/{name}"
        wait = {"DATABASE_WAIT_SECONDS": "10"}
        started.append(lab.start("migrate", environment={"DATABASE_URL": url, **wait, **environment}))
        return started[-1]

    yield Database(name, sql, migrate)
    for tier in started:
        tier.remove()


def create(app: Running, name: str) -> None:
    app.postgres.sql(f"CREATE DATABASE {name}")


def test_it_waits_for_the_database_applies_everything_once_and_can_be_repeated(
    app: Running, database: Database
) -> None:
    first = database.migrate()
    time.sleep(2)
    create(app, database.name)
    assert first.finish() == 0, first.logs()
    assert "applied 0001_jobs.sql" in first.logs()
    again = database.migrate()
    assert again.finish() == 0
    assert "0 applied" in again.logs()
    assert database.sql("SELECT string_agg(version::text, ',' ORDER BY version) FROM schema_migrations") == "1,2"


def test_copies_that_start_together_apply_each_file_once(app: Running, database: Database) -> None:
    create(app, database.name)
    copies = [database.migrate() for _ in range(3)]
    assert [copy.finish() for copy in copies] == [0, 0, 0], [copy.logs() for copy in copies]
    assert sum("applied 0001_jobs.sql" in copy.logs() for copy in copies) == 1


def test_a_failing_file_is_rolled_back_and_ends_with_its_reason(app: Running, database: Database) -> None:
    create(app, database.name)
    database.sql("CREATE TABLE heartbeats (other integer)")
    job = database.migrate()
    assert job.finish() == 1
    expected = 'migration failed: 0002_heartbeats.sql failed and was rolled back: relation "heartbeats" already exists'
    assert job.logs().splitlines()[-1] == expected
    assert database.sql("SELECT max(version) FROM schema_migrations") == "1"
    database.sql("DROP TABLE heartbeats")
    assert database.migrate().finish() == 0


def test_a_file_that_was_changed_after_it_was_applied_is_refused(app: Running, database: Database) -> None:
    create(app, database.name)
    assert database.migrate().finish() == 0
    database.sql("UPDATE schema_migrations SET checksum = 'other' WHERE version = 1")
    job = database.migrate()
    assert job.finish() == 1
    assert "0001_jobs.sql was changed after it was applied" in job.logs()


def test_a_database_that_is_newer_than_the_code_is_left_alone(app: Running, database: Database) -> None:
    create(app, database.name)
    assert database.migrate().finish() == 0
    database.sql("INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'future', 'x')")
    assert database.migrate().finish() == 0


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://app:wr0ngpass@prod-db.internal/ai_review_prod", "password authentication failed"),
        ("postgresql://app:wr0ngpass@no-such-host/x", "no-such-host"),
    ],
)
def test_without_a_database_it_gives_up_with_the_reason_and_without_the_password(
    database: Database, url: str, reason: str
) -> None:
    job = database.migrate(DATABASE_URL=url, DATABASE_WAIT_SECONDS="1")
    assert job.finish() == 1
    assert "migration failed: no database within 1 s" in job.logs()
    assert reason in job.logs()
    assert "wr0ngpass" not in job.logs()
