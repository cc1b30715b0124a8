"""Backups: what was lost is back, what is damaged is refused, and the deployment is the same afterwards."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docker.stack import Stack, eventually

ARCHIVE = re.compile(r"^(ai-review-engine-postgres-\d{8}T\d{6}Z\.dump)  \d+\.\d KiB$", re.MULTILINE)
TEXT = "lost, and found again"
TIERS = ("api", "web", "dashboard", "worker", "beat")


def starts(stack: Stack, *services: str) -> dict[str, str]:
    """When each container of the services started, by id."""
    return {str(one.id): one.attrs["State"]["StartedAt"] for name in services for one in stack.containers(name)}


def in_database(stack: Stack, *command: str) -> bytes:
    """What a command prints that runs in the database's container, as the root user there."""
    code, output = stack.containers("postgres")[0].exec_run(list(command), user="0")
    assert isinstance(output, bytes)
    assert code == 0, output
    return output


def query(stack: Stack, sql: str) -> str:
    """The answer of the database to a query."""
    return in_database(
        stack, "psql", "-qAt", "-h", "/var/run/postgresql", "-U", "ai_review", "-d", "ai_review_dev", "-c", sql
    ).decode()


def finished_job(stack: Stack) -> str:
    """Id of a job that a worker has done, asked of the database: the API would answer from its cache from then on."""
    job = str(stack.post("/api/jobs", {"text": TEXT}).json["id"])
    eventually(lambda: state(stack, job) == "done", what="the job is done")
    return job


def state(stack: Stack, job: str) -> str:
    """The state of a job in the database, empty for one that is not there."""
    return query(stack, f"SELECT state FROM jobs WHERE id = '{job}'").strip()  # noqa: S608 - an id of the API's


@pytest.fixture
def archive(stack: Stack) -> str:
    """Name of a new backup."""
    found = ARCHIVE.search(stack.make("backup").output)
    assert found
    return found.group(1)


@pytest.fixture
def on_host(stack: Stack, archive: str, tmp_path: Path) -> Callable[[Callable[[bytes], bytes]], Path]:
    """Makes a file on the host of a changed copy of a backup."""

    def write(change: Callable[[bytes], bytes]) -> Path:
        file = tmp_path / "copy.dump"
        file.write_bytes(change(in_database(stack, "cat", f"/backups/{archive}")))
        return file

    return write


def test_a_backup_lies_in_a_volume_that_outlives_the_server_and_only_root_reads_it(stack: Stack, archive: str) -> None:
    mounts = {mount["Destination"]: mount for mount in stack.containers("postgres")[0].attrs["Mounts"]}
    volume = stack.engine.volumes.get(mounts["/backups"]["Name"])
    assert volume.attrs["Labels"]["ai-platform.retain"] == "true"
    assert in_database(stack, "stat", "-c", "%a %u", f"/backups/{archive}").decode().split() == ["600", "0"]
    assert in_database(stack, "find", "/backups", "-name", ".*", "-type", "f") == b""


@pytest.mark.fact("ARE-085", stack="D")
def test_a_restore_brings_a_lost_job_back_without_the_server_being_stopped(stack: Stack) -> None:
    job = finished_job(stack)
    found = ARCHIVE.search(stack.make("backup").output)
    assert found
    query(stack, f"DELETE FROM jobs WHERE id = '{job}'")  # noqa: S608 - an id of the API's
    assert stack.get(f"/api/jobs/{job}").status == 404
    server, applications = starts(stack, "postgres"), starts(stack, *TIERS)

    stack.make("restore", f"FROM={found.group(1)}")

    restored = stack.get(f"/api/jobs/{job}").json
    assert (restored["state"], restored["text"]) == ("done", TEXT)
    assert starts(stack, "postgres") == server
    again = starts(stack, *TIERS)
    assert again.keys() == applications.keys()
    assert all(again[one] > applications[one] for one in again)
    finished_job(stack)
    stack.pulumi("preview", "--refresh", "--expect-no-changes")


def test_a_file_on_the_host_is_restored_and_leaves_no_copy(
    stack: Stack, on_host: Callable[[Callable[[bytes], bytes]], Path]
) -> None:
    file = on_host(lambda content: content)
    jobs = int(query(stack, "SELECT count(*) FROM jobs"))
    late = finished_job(stack)
    stack.make("restore", f"FROM={file}")
    assert int(query(stack, "SELECT count(*) FROM jobs")) == jobs
    assert stack.get(f"/api/jobs/{late}").status == 404
    assert in_database(stack, "find", "/backups", "-name", ".*", "-type", "f") == b""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda content: content[: len(content) // 2], "not a whole archive", id="half"),
        pytest.param(lambda content: content[:-1], "not a whole archive", id="last byte missing"),
        pytest.param(lambda _: b"DROP TABLE jobs;\n", "not a whole archive", id="foreign"),
        pytest.param(
            lambda content: content.replace(b"ai_review_dev", b"ai_review_abc", 1),
            "an archive of ai_review_abc, not of ai_review_dev",
            id="another database",
        ),
    ],
)
def test_a_damaged_archive_is_refused_before_anything_is_stopped(
    stack: Stack,
    on_host: Callable[[Callable[[bytes], bytes]], Path],
    change: Callable[[bytes], bytes],
    reason: str,
) -> None:
    file = on_host(change)
    before = starts(stack, *TIERS)
    refused = stack.make("restore", f"FROM={file}", check=False)
    assert refused.code != 0
    assert reason in refused.output
    assert "Traceback" not in refused.output
    assert starts(stack, *TIERS) == before


def test_an_archive_that_is_not_there_is_answered_with_those_that_are(stack: Stack, archive: str) -> None:
    refused = stack.make("restore", "FROM=nowhere.dump", check=False)
    assert refused.code != 0
    assert "nowhere.dump" in refused.output
    assert archive in refused.output


def test_a_restore_that_fails_changes_nothing_and_starts_the_applications(stack: Stack, archive: str) -> None:
    job = finished_job(stack)
    # The view is in no archive, so that the table under it cannot be replaced.
    query(stack, "CREATE VIEW holds AS SELECT id FROM jobs")
    try:
        failed = stack.make("restore", f"FROM={archive}", check=False)
    finally:
        query(stack, "DROP VIEW holds")
    assert failed.code != 0
    assert "other objects depend on it" in failed.output
    assert stack.get(f"/api/jobs/{job}").json["state"] == "done"
    assert query(stack, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'restore'").strip() == "0"


def test_the_password_is_in_no_output_and_in_no_command(stack: Stack) -> None:
    secret = in_database(stack, "cat", "/run/secrets/postgres-password").decode().strip()
    # Listened to while it happens: the engine remembers the last few hundred events only.
    events = stack.engine.events(decode=True, filters={"type": "container", "event": "exec_create"})
    commands: list[str] = []
    listener = threading.Thread(target=lambda: commands.extend(event["Action"] for event in events), daemon=True)
    listener.start()
    found = ARCHIVE.search(stack.make("backup").output)
    assert found
    stack.make("restore", f"FROM={found.group(1)}")
    events.close()
    listener.join(timeout=30)
    assert secret not in "".join(stack.outputs)
    assert any("pg_dump" in one for one in commands)
    assert any("pg_restore --clean" in one for one in commands)
    assert not [one for one in commands if secret in one]
