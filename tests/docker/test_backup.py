"""Backups: what was lost with its volumes is back, what is damaged is refused, and the schedule keeps its times."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anycrc  # type: ignore[import-untyped]
import pytest

from tests.docker.conftest import PLATFORM
from tests.docker.stack import Stack, eventually

ARCHIVE = re.compile(r"^(ai-review-engine-(postgres|redis)-\d{8}T\d{6}Z\.(?:dump|rdb))  \d+\.\d KiB$", re.MULTILINE)
TIERS = ("api", "web", "dashboard", "worker", "beat")
ENGINES = ("postgres", "redis")
TEXT = "lost, and found again"


def starts(stack: Stack, *services: str) -> dict[str, str]:
    """When each container of the services started, by id."""
    return {str(one.id): one.attrs["State"]["StartedAt"] for name in services for one in stack.containers(name)}


def inside(stack: Stack, service: str, *command: str, user: str = "") -> bytes:
    """What a command prints that runs in a service's container."""
    code, output = stack.containers(service)[0].exec_run(list(command), user=user)
    assert isinstance(output, bytes)
    assert code == 0, output
    return output


def query(stack: Stack, sql: str) -> str:
    """The answer of the database to a query."""
    login = ("psql", "-qAt", "-h", "/var/run/postgresql", "-U", "ai_review", "-d", "ai_review_dev", "-c", sql)
    return inside(stack, "postgres", *login).decode().strip()


def redis(stack: Stack, *command: str) -> str:
    """The answer of Redis to a command."""
    login = 'REDISCLI_AUTH="$(cat /run/secrets/redis-password)" exec redis-cli -n 5 "$@"'
    return inside(stack, "redis", "sh", "-c", login, "sh", *command).decode().strip()


def state(stack: Stack, job: str) -> str:
    """The state of a job in the database, empty for one that is not there."""
    return query(stack, f"SELECT state FROM jobs WHERE id = '{job}'")  # noqa: S608 - an id of the API's


def in_volume(stack: Stack, engine: str) -> list[str]:
    """Archives of an engine, the oldest first."""
    return inside(stack, f"{engine}-backup", "python3", "-m", "backup", "list").decode().split()


def hidden(stack: Stack) -> bytes:
    """Files of the volume that are no archives: unfinished ones, and copies of files of the host."""
    return inside(stack, "postgres-backup", "find", "/backups", "-name", ".*", "-type", "f")


@pytest.fixture(scope="module")
def job(stack: Stack) -> str:
    """A job that a worker has done, asked of the database: the API would answer from its cache from then on."""
    job = str(stack.post("/api/jobs", {"text": TEXT}).json["id"])
    eventually(lambda: state(stack, job) == "done", what="the job is done")
    return job


@pytest.fixture(scope="module", autouse=True)
def commands(stack: Stack) -> Iterator[list[str]]:
    """What was run in containers meanwhile: listened to, since the engine remembers the last few hundred only."""
    events = stack.engine.events(decode=True, filters={"type": "container", "event": "exec_create"})
    heard: list[str] = []
    listener = threading.Thread(target=lambda: heard.extend(event["Action"] for event in events), daemon=True)
    listener.start()
    yield heard
    events.close()
    listener.join(timeout=30)


@pytest.fixture(scope="module")
def archives(stack: Stack, job: str) -> dict[str, str]:
    """An archive of each engine, with the job and a key in them."""
    redis(stack, "SET", "found", TEXT)
    made = {found[2]: found[1] for found in ARCHIVE.finditer(stack.make("backup").output)}
    assert sorted(made) == sorted(ENGINES)
    return made


@pytest.fixture
def on_host(
    stack: Stack, archives: dict[str, str], tmp_path: Path
) -> Callable[[str, Callable[[bytes], bytes], str], Path]:
    """Makes a file on the host of a changed copy of an engine's archive."""

    def write(engine: str, change: Callable[[bytes], bytes], name: str) -> Path:
        file = tmp_path / name
        file.write_bytes(change(inside(stack, f"{engine}-backup", "cat", f"/backups/{archives[engine]}")))
        return file

    return write


def later_version(dump: bytes) -> bytes:
    """A whole dump of a Redis that is yet to come."""
    content = b"REDIS0099" + dump[9:-8]
    return content + int(anycrc.Model("CRC64-REDIS").calc(content)).to_bytes(8, "little")


def test_archives_lie_in_a_volume_that_outlives_the_engines_which_do_not_see_it(
    stack: Stack, archives: dict[str, str]
) -> None:
    for engine, name in archives.items():
        (keeper,) = stack.containers(f"{engine}-backup")
        mounts = {mount["Destination"]: mount for mount in keeper.attrs["Mounts"]}
        labels = stack.engine.volumes.get(mounts["/backups"]["Name"]).attrs["Labels"]
        assert (labels["ai-platform.service"], labels["ai-platform.retain"]) == ("backups", "true")
        stat = inside(stack, f"{engine}-backup", "stat", "-c", "%a %u %g", f"/backups/{name}").decode().split()
        assert stat == ["640", "10001", "10001"]
        assert "/backups" not in {mount["Destination"] for mount in stack.containers(engine)[0].attrs["Mounts"]}
    assert hidden(stack) == b""


@pytest.mark.parametrize(("one", "other"), [ENGINES, ENGINES[::-1]])
def test_what_archives_one_engine_does_not_reach_the_other(stack: Stack, one: str, other: str) -> None:
    port = {"postgres": 5432, "redis": 6379}
    attempt = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)"
    keeper = stack.containers(f"{one}-backup")[0]
    addresses = [
        network["IPAddress"] for network in stack.containers(other)[0].attrs["NetworkSettings"]["Networks"].values()
    ]
    inside(stack, f"{one}-backup", "python3", "-c", attempt, one, str(port[one]))
    for address in addresses:
        assert keeper.exec_run(["python3", "-c", attempt, address, str(port[other])]).exit_code != 0, address
    assert inside(stack, f"{one}-backup", "ls", "/run/secrets").decode().split() == [f"{one}-password"]


@pytest.mark.fact("ARE-116", stack="D")
@pytest.mark.parametrize(
    ("of", "name", "change", "reason"),
    [
        pytest.param("postgres", "a.dump", lambda one: one[: len(one) // 2], "not a whole archive", id="half a dump"),
        pytest.param("postgres", "a.dump", lambda one: one[:-1], "not a whole archive", id="last byte missing"),
        pytest.param("postgres", "a.dump", lambda _: b"DROP TABLE jobs;\n", "not a whole archive", id="a script"),
        pytest.param(
            "postgres",
            "a.dump",
            lambda one: one.replace(b"ai_review_dev", b"ai_review_abc", 1),
            "an archive of ai_review_abc, not of ai_review_dev",
            id="another database",
        ),
        pytest.param("redis", "a.rdb", lambda one: one[: len(one) // 2], "not a whole dump", id="half of Redis"),
        pytest.param("postgres", "a.rdb", lambda one: one, "not a whole dump", id="PostgreSQL's as Redis'"),
        pytest.param(
            "redis",
            "shop-redis-20260101T020000Z.rdb",
            lambda one: one,
            "does not tell what it is of",
            id="another system's",
        ),
    ],
)
def test_a_damaged_or_foreign_archive_is_refused_before_anything_is_stopped(
    stack: Stack,
    on_host: Callable[[str, Callable[[bytes], bytes], str], Path],
    of: str,
    name: str,
    change: Callable[[bytes], bytes],
    reason: str,
) -> None:
    before = starts(stack, *TIERS, *ENGINES)
    refused = stack.make("restore", f"FROM={on_host(of, change, name)}", check=False)
    assert refused.code != 0
    assert reason in refused.output
    assert "nothing was stopped or changed" in refused.output
    assert "Traceback" not in refused.output
    assert starts(stack, *TIERS, *ENGINES) == before
    assert hidden(stack) == b""


def test_an_archive_that_is_not_there_is_answered_with_those_that_are(stack: Stack, archives: dict[str, str]) -> None:
    refused = stack.make("restore", "FROM=nowhere.dump", check=False)
    assert refused.code != 0
    assert "nowhere.dump" in refused.output
    assert all(name in refused.output for name in archives.values())


def test_a_restore_of_postgresql_that_fails_changes_nothing_and_starts_the_applications(
    stack: Stack, job: str, archives: dict[str, str]
) -> None:
    # The view is in no archive, so that the table under it cannot be replaced.
    query(stack, "CREATE VIEW holds AS SELECT id FROM jobs")
    try:
        failed = stack.make("restore", f"FROM={archives['postgres']}", check=False)
    finally:
        query(stack, "DROP VIEW holds")
    assert failed.code != 0
    assert "other objects depend on it" in failed.output
    assert stack.get(f"/api/jobs/{job}").json["state"] == "done"
    assert query(stack, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'restore'") == "0"


def test_a_restore_of_redis_that_fails_leaves_the_data_even_what_one_that_was_killed_had_set_aside(
    stack: Stack, on_host: Callable[[str, Callable[[bytes], bytes], str], Path]
) -> None:
    redis(stack, "SET", "newer", "than the archive")
    # As if the host had lost power between the renames; the running server goes on in the folder it has open.
    inside(stack, "redis", "sh", "-c", "mkdir /data/.previous && mv /data/appendonlydir /data/.previous/")
    failed = stack.make("restore", f"FROM={on_host('redis', later_version, 'later.rdb')}", check=False)
    assert failed.code != 0
    assert "Can't handle RDB format version 99" in failed.output
    assert redis(stack, "GET", "newer") == "than the archive"
    assert set(inside(stack, "redis", "ls", "-A", "/data").decode().split()) == {"appendonlydir", "dump.rdb"}
    assert stack.containers("redis-restore", everything=True) == []
    assert stack.get("/api/ready").json["checks"] == {"database": "ok", "cache": "ok"}


@pytest.mark.fact("ARE-077", stack="D")
@pytest.mark.fact("ARE-084", stack="D")
@pytest.mark.fact("ARE-085", stack="D")
@pytest.mark.fact("ARE-086", stack="D")
@pytest.mark.fact("ARE-116", stack="D")
def test_what_was_lost_with_its_volumes_is_restored_and_the_schedule_keeps_its_times(
    stack: Stack, job: str, archives: dict[str, str], on_host: Callable[[str, Callable[[bytes], bytes], str], Path]
) -> None:
    dump = on_host("redis", lambda one: one, archives["redis"])
    old = f"ai-review-engine-postgres-{datetime.now(UTC) - timedelta(days=3):%Y%m%dT%H%M%SZ}.dump"
    inside(stack, "postgres-backup", "cp", f"/backups/{archives['postgres']}", f"/backups/{old}")
    destroy(stack, *ENGINES)
    stack.configure(platform=PLATFORM, backups={"schedule": "* * * * *", "keepDays": 2})
    stack.make("refresh")
    stack.make("up")
    assert query(stack, "SELECT count(*) FROM pg_tables WHERE tablename = 'jobs'") == "0"
    assert redis(stack, "GET", "found") == ""
    server = starts(stack, "postgres")

    stack.make("restore", f"FROM={archives['postgres']}")
    redis(stack, "SET", "late", "written after the backup")
    stack.make("restore", f"FROM={dump}")

    assert starts(stack, "postgres") == server
    restored = stack.get(f"/api/jobs/{job}").json
    assert (restored["state"], restored["text"]) == ("done", TEXT)
    stack.containers("redis")[0].restart()
    eventually(lambda: stack.containers("redis")[0].health == "healthy", what="Redis is healthy")
    assert (redis(stack, "GET", "found"), redis(stack, "GET", "late")) == (TEXT, "")
    assert "aof_enabled:1" in redis(stack, "INFO", "persistence")
    again = str(stack.post("/api/jobs", {"text": TEXT}).json["id"])
    eventually(lambda: state(stack, again) == "done", what="a new job is done")

    for engine in ENGINES:
        eventually(
            lambda engine=engine: in_volume(stack, engine)[-1] > archives[engine],  # type: ignore[misc]
            seconds=90,
            what=f"{engine} is archived unasked",
        )
    names = in_volume(stack, "postgres")
    assert old not in names
    assert archives["postgres"] in names

    stack.configure(platform=PLATFORM)
    stack.make("up")
    stack.pulumi("preview", "--refresh", "--expect-no-changes")


def destroy(stack: Stack, *services: str) -> None:
    """Remove the containers of data engines, and what they had stored."""
    for service in services:
        (container,) = stack.containers(service)
        container.remove(force=True)
        for mount in container.attrs["Mounts"]:
            if mount["Type"] == "volume":
                stack.engine.volumes.get(mount["Name"]).remove()


def test_no_password_is_in_what_was_printed_or_run(stack: Stack, commands: list[str]) -> None:
    for engine in ENGINES:
        secret = inside(stack, engine, "cat", f"/run/secrets/{engine}-password").decode().strip()
        assert secret not in "".join(stack.outputs)
        assert not [one for one in commands if secret in one]
        assert secret.encode() not in stack.containers(f"{engine}-backup")[0].logs()
    for action in ("create", "check", "restore"):
        assert any(f"-m backup {action}" in one for one in commands), action
