"""The SQL of the application. Each function takes an open connection; the caller owns the transaction.

Every write of the worker can be repeated: a task that is delivered twice leaves the same rows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

MAX_ATTEMPTS = 5
"""A job that was started this often without an end takes its worker down with it: it is given up."""
EXCERPT_CHARACTERS = 80

Row = dict[str, Any]


def create_job(connection: Connection, job_id: UUID, text: str) -> Row:
    """Insert a queued job."""
    row = _one(connection, "INSERT INTO jobs (id, text) VALUES (%s, %s) RETURNING id, state, created_at", job_id, text)
    if row is None:
        raise RuntimeError("INSERT … RETURNING gave no row")
    return row


def mark_unsent(connection: Connection, job_id: UUID) -> None:
    """Note that the task of a job was not sent: `stuck_jobs` finds it at once."""
    connection.execute("UPDATE jobs SET sent_at = '-infinity' WHERE id = %s", (job_id,))


def get_job(connection: Connection, job_id: UUID) -> Row | None:
    """The whole job, or `None`."""
    return _one(connection, "SELECT * FROM jobs WHERE id = %s", job_id)


def latest_jobs(connection: Connection, limit: int) -> list[Row]:
    """The newest jobs first, without their findings."""
    return _all(
        connection,
        "SELECT id, state, score, left(text, %s) AS excerpt, created_at, finished_at"
        " FROM jobs ORDER BY created_at DESC, id LIMIT %s",
        EXCERPT_CHARACTERS,
        limit,
    )


def start_job(connection: Connection, job_id: UUID, worker: str) -> Row | None:
    """Mark a job as running and return its text and attempts; `None` when it is finished, given up or gone."""
    return _one(
        connection,
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, worker = %s,"
        " started_at = coalesce(started_at, now())"
        " WHERE id = %s AND state IN ('queued', 'running') RETURNING text, attempts",
        worker,
        job_id,
    )


def finish_job(connection: Connection, job_id: UUID, score: int, statistics: Row, findings: list[Row]) -> bool:
    """Store the result once; `False` when another delivery of the task already did."""
    row = _one(
        connection,
        "UPDATE jobs SET state = 'done', score = %s, statistics = %s, findings = %s, error = NULL, finished_at = now()"
        " WHERE id = %s AND state <> 'done' RETURNING id",
        score,
        Jsonb(statistics),
        Jsonb(findings),
        job_id,
    )
    return row is not None


def fail_job(connection: Connection, job_id: UUID, reason: str) -> None:
    """End a job without a result; `reason` is shown to the user."""
    connection.execute(
        "UPDATE jobs SET state = 'failed', error = %s, finished_at = now() WHERE id = %s AND state <> 'done'",
        (reason, job_id),
    )


def stuck_jobs(connection: Connection, after_seconds: float, limit: int = 100) -> list[UUID]:
    """Unfinished jobs whose task was not sent, or must have been lost: it was sent longer than `after_seconds` ago.

    Marks them as sent now.
    """
    rows = _all(
        connection,
        "UPDATE jobs SET sent_at = now() WHERE id IN (SELECT id FROM jobs WHERE state IN ('queued', 'running')"
        " AND sent_at < now() - make_interval(secs => %s) ORDER BY sent_at LIMIT %s FOR UPDATE SKIP LOCKED)"
        " RETURNING id",
        after_seconds,
        limit,
    )
    return [row["id"] for row in rows]


def purge(connection: Connection, days: int) -> int:
    """Delete finished jobs and heartbeats older than `days`; returns the number of jobs."""
    connection.execute("DELETE FROM heartbeats WHERE published_at < now() - make_interval(days => %s)", (days,))
    cursor = connection.execute("DELETE FROM jobs WHERE finished_at < now() - make_interval(days => %s)", (days,))
    return cursor.rowcount


def record_heartbeat(connection: Connection, tick: int, task_id: str, scheduler: str, published_at: datetime) -> None:
    """Note that `scheduler` sent a tick. A tick has one row per message: two rows are two schedulers."""
    connection.execute(
        "INSERT INTO heartbeats (tick, task_id, scheduler, published_at) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        (tick, task_id, scheduler, published_at),
    )


def latest_heartbeats(connection: Connection, limit: int) -> list[Row]:
    """The newest ticks first; `times` above 1 means that the scheduler ran twice."""
    return _all(
        connection,
        "SELECT tick, count(*) AS times, array_agg(DISTINCT scheduler) AS schedulers, min(published_at) AS published_at"
        " FROM heartbeats GROUP BY tick ORDER BY tick DESC LIMIT %s",
        limit,
    )


def _one(connection: Connection, query: str, *parameters: object) -> Row | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters).fetchone()


def _all(connection: Connection, query: str, *parameters: object) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters).fetchall()
