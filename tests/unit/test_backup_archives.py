"""The program of the image `backup`: what gets a name, what is deleted, what is refused, when the next one is due."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from toolchain.images.backup.archives import Archives, BackupError, Runs
from toolchain.images.backup.engines import Login, Redis
from toolchain.images.backup.schedule import RETRY, Metrics, Schedule

NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)  # a Sunday
DUMP = base64.b64decode(
    "UkVESVMwMDEw+glyZWRpcy12ZXIGNy4wLjE1+gpyZWRpcy1iaXRzwED6BWN0aW1lwl6zAWv6CHVzZWQtbWVtwnhUDgD6CGFvZi1iYXNlwAD+APsBAAABawF2/8jbTMAhLWBS"
)
"""Written by Redis 7, with one key."""


@pytest.fixture
def archives(tmp_path: Path) -> Archives:
    """An empty folder of archives."""
    return Archives(tmp_path, "shop", "redis", ".rdb")


def taken(archives: Archives, *days_ago: float) -> list[str]:
    """Archives of some days ago, the names in the order given."""
    names = [archives.name(NOW - timedelta(days=days)) for days in days_ago]
    for name in names:
        (archives.folder / name).write_bytes(DUMP)
    return names


def schedule(archives: Archives, cron: str = "0 2 * * *", started: datetime = NOW) -> Schedule:
    """A schedule whose process started now."""
    return Schedule(cron, started, archives, Runs(archives.folder))


def test_what_is_older_than_the_days_to_keep_is_deleted(archives: Archives) -> None:
    old, older, kept, newest = taken(archives, 14.1, 40, 13.9, 1)
    assert archives.rotate(NOW, 14) == [older, old]
    assert archives.names() == [kept, newest]


def test_the_newest_is_never_deleted_however_old(archives: Archives) -> None:
    taken(archives, 400, 300)
    archives.rotate(NOW, 14)
    assert archives.names() == [archives.name(NOW - timedelta(days=300))]
    assert archives.rotate(NOW, 14) == []


@pytest.mark.parametrize(
    "name",
    [
        "shop-redis-20200101T000000Z.dump",
        "shop-postgres-20200101T000000Z.rdb",
        "other-shop-redis-20200101T000000Z.rdb",
        "shop-redis-20201301T000000Z.rdb",
        "shop-redis-20200101T000000Z.rdb.copy",
        "notes.txt",
    ],
)
def test_what_is_not_one_of_the_archives_is_neither_listed_nor_deleted(archives: Archives, name: str) -> None:
    (archives.folder / name).write_bytes(b"somebody's")
    (newest,) = taken(archives, 1)
    archives.rotate(NOW, 1)
    assert archives.names() == [newest]
    assert (archives.folder / name).read_bytes() == b"somebody's"


def test_an_archive_gets_its_name_when_it_is_whole(archives: Archives) -> None:
    def write(file: Path) -> None:
        file.write_bytes(DUMP)

    file = archives.add(NOW, write)
    assert file.name == "shop-redis-20260315T120000Z.rdb"
    assert [one.name for one in archives.folder.iterdir()] == [file.name]
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_backup_that_fails_leaves_nothing_of_itself_and_all_of_the_others(archives: Archives) -> None:
    (before,) = taken(archives, 1)

    def fail(file: Path) -> None:
        file.write_bytes(DUMP[:10])
        raise BackupError("the disk is full")

    with pytest.raises(BackupError, match="the disk is full"):
        archives.add(NOW, fail)
    assert [one.name for one in archives.folder.iterdir()] == [before]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda dump: dump[:-1], id="last byte missing"),
        pytest.param(lambda dump: dump[: len(dump) // 2], id="half"),
        pytest.param(lambda dump: dump[:7], id="shorter than a checksum"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda dump: dump + b"\n", id="a byte more"),
        pytest.param(lambda dump: dump.replace(b"v", b"w", 1), id="a byte changed"),
        pytest.param(lambda dump: b"PGDMP" + dump[5:], id="foreign"),
        pytest.param(lambda dump: dump[:-8] + bytes(8), id="without a checksum"),
    ],
)
def test_a_dump_of_redis_is_taken_whole_or_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    redis = Redis(Login("redis", "6379", "", "", tmp_path / "password"))
    file = tmp_path / "dump.rdb"
    file.write_bytes(DUMP)
    redis.check(file)
    file.write_bytes(change(DUMP))
    with pytest.raises(BackupError, match="not a whole dump of Redis"):
        redis.check(file)


@pytest.mark.parametrize(
    ("cron", "days_ago", "due"),
    [
        pytest.param("0 2 * * *", 0.4, "2026-03-16 02:00", id="tomorrow"),
        pytest.param("0 2 * * *", 0.5, "2026-03-15 02:00", id="missed today"),
        pytest.param("0 2 * * *", 30, "2026-02-14 02:00", id="missed for weeks"),
        pytest.param("*/15 * * * *", 0, "2026-03-15 12:15", id="in a quarter of an hour"),
        pytest.param("0 2 * * 0", 0.4, "2026-03-22 02:00", id="0 is Sunday"),
        pytest.param("0 2 * * 1-5", 0, "2026-03-16 02:00", id="1 is Monday"),
        pytest.param("0 2 1 * *", 0, "2026-04-01 02:00", id="monthly"),
    ],
)
def test_a_backup_is_due_at_the_first_time_after_the_newest_one(
    archives: Archives, cron: str, days_ago: float, due: str
) -> None:
    taken(archives, days_ago, 100)
    assert schedule(archives, cron).due() == datetime.fromisoformat(f"{due}+00:00")


def test_without_an_archive_the_first_is_due_after_the_start(archives: Archives) -> None:
    assert schedule(archives).due() == datetime(2026, 3, 16, 2, 0, tzinfo=UTC)


def test_a_run_that_failed_is_tried_again_after_some_minutes(archives: Archives) -> None:
    taken(archives, 3)
    missed = schedule(archives)
    assert missed.next_run() == datetime(2026, 3, 13, 2, 0, tzinfo=UTC)
    before = datetime.now(UTC)
    missed.runs.note("the server does not answer")
    again = missed.next_run()
    assert again is not None
    assert before + RETRY <= again <= datetime.now(UTC) + RETRY
    missed.runs.note(None)
    assert missed.next_run() == missed.due()


def test_nothing_is_due_where_the_schedule_is_off(archives: Archives) -> None:
    taken(archives, 3)
    off = schedule(archives, "off")
    off.runs.note("by hand")
    assert (off.due(), off.next_run()) == (None, None)


def test_prometheus_is_told_age_size_and_failure(archives: Archives) -> None:
    def values() -> dict[str, float]:
        families = list(Metrics(watched).collect())
        assert {sample.labels["engine"] for family in families for sample in family.samples} == {"redis"}
        return {sample.name: sample.value for family in families for sample in family.samples}

    watched = schedule(archives)
    first = datetime(2026, 3, 16, 2, 0, tzinfo=UTC).timestamp()
    assert values() == {"backup_last_run_failed": 0, "backup_due_timestamp_seconds": first}
    taken(archives, 2)
    watched.runs.note("the server does not answer")
    assert values() == {
        "backup_last_run_failed": 1,
        "backup_due_timestamp_seconds": datetime(2026, 3, 14, 2, 0, tzinfo=UTC).timestamp(),
        "backup_last_success_timestamp_seconds": (NOW - timedelta(days=2)).timestamp(),
        "backup_last_size_bytes": len(DUMP),
    }
