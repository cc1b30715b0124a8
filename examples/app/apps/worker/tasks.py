"""The Celery application of the workers and of the scheduler.

`celery -A tasks worker --loglevel=info -P eventlet` reviews jobs; `celery -A tasks beat` sends the periodic tasks and
must run exactly once. Celery patches the standard library for eventlet before it imports this module.
"""

from __future__ import annotations

import os

# psycopg's own waiting is in C and would block every other task of an eventlet worker; select() is patched.
os.environ.setdefault("PSYCOPG_WAIT_FUNC", "wait_select")

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from celery import Task, signals

from common import database as connections
from common import logs, queue, store
from common import settings as configuration

import alive
from clock import Interval
from restore import RestoreLostTasks
from review import review as review_text
from ticks import Ticks

log = logging.getLogger("worker")
HOST = socket.gethostname()

try:
    settings = configuration.load()
    DATABASE_URL = configuration.database_url(settings)
    app = queue.celery_app(settings)
except configuration.SettingsError as error:
    configuration.exit_with(error)
    raise

app.steps["consumer"].add(RestoreLostTasks)
app.conf.beat_schedule = {
    # A tick that waited for more than five intervals tells nothing any more.
    "heartbeat": {
        "task": queue.HEARTBEAT,
        "schedule": Interval(settings.schedule_heartbeat_seconds),
        "options": {"expires": settings.schedule_heartbeat_seconds * 5},
    },
    "housekeeping": {"task": queue.HOUSEKEEPING, "schedule": Interval(settings.schedule_housekeeping_seconds)},
}
# Seconds without contact to the broker after which a liveness probe fails.
_WORKER_MAX_AGE = 30.0
_BEAT_MAX_AGE = max(30.0, settings.schedule_heartbeat_seconds * 4)
_ticks = Ticks(settings.schedule_heartbeat_seconds)
# Reviews wait for a model most of their time, not for the database: fifteen workers stay below PostgreSQL's default of
# 100 connections.
_connections = threading.BoundedSemaphore(4)
_RETRY: dict[str, Any] = {
    "autoretry_for": (psycopg.OperationalError,),
    "retry_backoff": 1,
    "retry_backoff_max": 30,
    "max_retries": 10,
}


@contextmanager
def database() -> Iterator[psycopg.Connection]:
    """One connection and one transaction, as soon as one of the worker's few connections is free."""
    with (
        _connections,
        connections.Connection.connect(DATABASE_URL, **connections.arguments(settings, f"worker {HOST}")) as connection,
    ):
        yield connection


@app.task(name=queue.REVIEW, **_RETRY)
def review(job_id: str) -> int | None:
    """Review one job and store the result; returns the score, or `None` when there was nothing (left) to do."""
    identity = UUID(job_id)
    with database() as connection:
        job = store.start_job(connection, identity, HOST)
        if job is not None and job["attempts"] > store.MAX_ATTEMPTS:
            store.fail_job(connection, identity, f"given up after {store.MAX_ATTEMPTS} attempts")
            job = None
    if job is None:
        log.info("job %s: nothing to do", job_id)
        return None
    time.sleep(settings.review_latency_seconds)
    result = review_text(job["text"])
    content = result.as_json()
    with database() as connection:
        stored = store.finish_job(connection, identity, result.score, content["statistics"], content["findings"])
    log.info("job %s: score %d%s", job_id, result.score, "" if stored else ", already stored")
    return result.score


@app.task(name=queue.HEARTBEAT, bind=True, **_RETRY)
def heartbeat(self: Task) -> int:
    """Record a tick of the scheduler; returns its number."""
    tick, published = int(self.request.tick), datetime.fromtimestamp(self.request.published_at, UTC)
    with database() as connection:
        store.record_heartbeat(connection, tick, self.request.id, self.request.scheduler, published)
    return tick


@app.task(name=queue.HOUSEKEEPING, **_RETRY)
def housekeeping() -> dict[str, int]:
    """Send the tasks of jobs again that were lost on their way, and delete what is older than the retention."""
    with database() as connection:
        stuck = store.stuck_jobs(connection, settings.redis_visibility_timeout_seconds)
        purged = store.purge(connection, settings.retention_jobs_days)
    for job_id in stuck:
        review.apply_async(args=[str(job_id)], task_id=str(job_id))
    if stuck or purged:
        log.info("housekeeping: %d jobs sent again, %d deleted", len(stuck), purged)
    return {"sent": len(stuck), "purged": purged}


@signals.setup_logging.connect
def _configure_logs(loglevel: int | None = None, **_: Any) -> None:
    level = logging.getLevelName(loglevel) if loglevel else settings.log_level
    logs.configure("worker", level)


@signals.beat_init.connect
def _beat_started(**_: Any) -> None:
    alive.touch("beat", _BEAT_MAX_AGE)
    logs.configure("beat", settings.log_level)
    log.info("scheduler started")


@signals.before_task_publish.connect(sender=queue.HEARTBEAT)
def _stamp(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Number the tick where it is sent, not where it is worked: a late or repeated delivery is no new tick.

    Nor is one that a worker sends again, because it could not record it.
    """
    if headers is not None and "tick" not in headers:
        headers.update(tick=_ticks.next(time.time()), published_at=time.time(), scheduler=HOST)


@signals.after_task_publish.connect(sender=queue.HEARTBEAT)
def _beat_is_alive(**_: Any) -> None:
    alive.touch("beat", _BEAT_MAX_AGE)


@signals.heartbeat_sent.connect
def _worker_is_alive(**_: Any) -> None:
    alive.touch("worker", _WORKER_MAX_AGE)
