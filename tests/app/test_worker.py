"""Celery workers and the scheduler over a real Redis, in the eventlet pool (ARE-028, ARE-034 to ARE-038)."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import Any

import pytest
import requests

from tests.app.conftest import Running
from tests.app.lab import Lab, Tier, eventually, wait_for

TEXT = "# TODO\npassword = 'hunter22'\n"


def submit(api: Tier, text: str = TEXT) -> str:
    answer = requests.post(api.url + "/jobs", json={"text": text}, timeout=10)
    answer.raise_for_status()
    job_id: str = answer.json()["id"]
    return job_id


def job(api: Tier, job_id: str) -> Any:
    return requests.get(f"{api.url}/jobs/{job_id}", timeout=10).json()


def finished(api: Tier, job_id: str, seconds: float = 20) -> Any:
    eventually(lambda: job(api, job_id)["state"] == "done", f"job {job_id} is done", seconds)
    return job(api, job_id)


def own_queue(lab: Lab, database: int, **more: str) -> dict[str, str]:
    """Environment of tiers that share a queue of their own, so that the common worker does not take their tasks."""
    url = f"redis://:{lab.password}@redis:6379/{database}"
    return {"CELERY_BROKER_URL": url, "CELERY_RESULT_BACKEND": url, **more}


def start_api(lab: Lab, environment: dict[str, str]) -> Tier:
    api = lab.start("api", environment=environment)
    wait_for(api, "/ready")
    return api


def start_worker(lab: Lab, environment: dict[str, str]) -> Tier:
    worker = lab.start("worker", environment=environment)
    eventually(lambda: worker.execute("python", "alive.py", "worker")[0] == 0, "the worker is alive")
    return worker


def test_a_job_is_reviewed_by_a_worker_and_its_result_read_back(app: Running) -> None:
    result = finished(app.api, submit(app.api))
    assert result["score"] == 74
    assert [(finding["line"], finding["rule"]) for finding in result["findings"]] == [(1, "todo"), (2, "secret")]
    assert (result["attempts"], result["error"]) == (1, None)
    assert app.worker.host == result["worker"]


def test_the_same_text_always_gets_the_same_result(app: Running) -> None:
    first, second = (finished(app.api, submit(app.api)) for _ in range(2))
    for key in ("score", "findings", "statistics"):
        assert first[key] == second[key]


def test_a_backlog_is_worked_faster_than_ten_jobs_a_second(app: Running) -> None:
    ids = {submit(app.api, f"number {number}") for number in range(100)}
    start = time.monotonic()

    def all_done() -> bool:
        jobs = requests.get(app.api.url + "/jobs?limit=500", timeout=10).json()["jobs"]
        return ids <= {job["id"] for job in jobs if job["state"] == "done"}

    eventually(all_done, "a hundred jobs are done")
    assert time.monotonic() - start < 10


def test_a_task_that_is_delivered_twice_leaves_the_first_result(app: Running) -> None:
    job_id = submit(app.api)
    first = finished(app.api, job_id)
    code, output = app.worker.execute("celery", "-A", "tasks", "call", "tasks.review", "--args", f'["{job_id}"]')
    assert code == 0, output
    eventually(lambda: f"job {job_id}: nothing to do" in app.worker.logs(), "the second delivery is worked")
    assert app.postgres.sql(f"SELECT attempts FROM jobs WHERE id = '{job_id}'") == "1"  # noqa: S608
    second = app.postgres.sql(f"SELECT finished_at FROM jobs WHERE id = '{job_id}'")  # noqa: S608
    assert datetime.fromisoformat(second) == datetime.fromisoformat(first["finished_at"])


def test_waiting_for_the_database_does_not_block_the_other_tasks_of_a_worker(app: Running, lab: Lab) -> None:
    environment = own_queue(lab, 3, DATABASE_STATEMENT_SECONDS="60")
    api = start_api(lab, environment)
    blocked_id = submit(api, "blocked")
    # Another session holds the row, so that the worker waits inside PostgreSQL.
    hold = f"BEGIN; SELECT 1 FROM jobs WHERE id = '{blocked_id}' FOR UPDATE; SELECT pg_sleep(20); COMMIT"  # noqa: S608
    session = threading.Thread(target=app.postgres.sql, args=(hold,))
    session.start()
    worker = start_worker(lab, environment)
    free_id = submit(api, "free")
    finished(api, free_id, 15)
    assert job(api, blocked_id)["state"] == "queued"
    assert finished(api, blocked_id)["attempts"] == 1
    session.join()
    worker.remove()
    api.remove()


@pytest.mark.fact("ARE-037", stack="D S")
def test_a_stopped_worker_ends_its_review_first(app: Running, lab: Lab) -> None:
    environment = own_queue(lab, 4, REVIEW_LATENCY_SECONDS="3")
    api, worker = start_api(lab, environment), start_worker(lab, environment)
    job_id = submit(api)
    eventually(lambda: job(api, job_id)["state"] == "running", "the job runs")
    code, seconds = worker.stop(grace=20)
    assert code == 0
    assert seconds < 10
    assert job(api, job_id)["state"] == "done"
    worker.remove()
    api.remove()


def test_the_job_of_a_killed_worker_is_done_by_another_one(app: Running, lab: Lab) -> None:
    # Longer than the start of the second worker, so that it finds the lost task while it idles.
    environment = own_queue(lab, 5, CELERY_VISIBILITY_TIMEOUT="12")
    api, first = start_api(lab, environment), start_worker(lab, {**environment, "REVIEW_LATENCY_SECONDS": "60"})
    job_id = submit(api)
    eventually(lambda: job(api, job_id)["state"] == "running", "the job runs")
    first.container.kill()
    second = start_worker(lab, environment)
    result = finished(api, job_id, 60)
    assert result["attempts"] == 2
    assert second.host == result["worker"]
    for tier in (first, second, api):
        tier.remove()


def test_a_worker_that_starts_before_redis_and_loses_it_later_comes_back(app: Running, lab: Lab) -> None:
    url = f"redis://:{lab.password}@late-redis:6379/0"
    environment = {"CELERY_BROKER_URL": url, "CELERY_RESULT_BACKEND": url}
    worker = lab.start("worker", environment=environment)
    redis = lab.start_redis("late-redis")
    api = start_api(lab, environment)
    finished(api, submit(api))
    redis.container.restart(timeout=5)
    wait_for(api, "/ready")
    finished(api, submit(api), 40)
    for tier in (worker, api, redis):
        tier.remove()


def test_a_lost_task_is_sent_again_by_housekeeping_and_a_job_that_kills_workers_is_given_up(app: Running) -> None:
    template = "INSERT INTO jobs (id, text, sent_at, attempts) VALUES (gen_random_uuid(), 'lost', {}, {}) RETURNING id"
    long_ago = "now() - interval '2 hours'"
    lost, poison, recent = (
        app.postgres.sql(template.format(*row)) for row in ((long_ago, 0), (long_ago, 5), ("now()", 0))
    )
    code, output = app.worker.execute("celery", "-A", "tasks", "call", "tasks.housekeeping")
    assert code == 0, output
    assert finished(app.api, lost)["attempts"] == 1
    eventually(lambda: job(app.api, poison)["state"] == "failed", "the poisonous job is given up")
    assert job(app.api, poison)["error"] == "given up after 5 attempts"
    assert job(app.api, recent)["state"] == "queued"


def test_a_worker_answers_to_inspect_ping_and_sends_events(app: Running, lab: Lab) -> None:
    node = f"celery@{app.worker.host}"
    code, output = app.worker.execute("celery", "-A", "tasks", "inspect", "ping", "-d", node)
    assert code == 0
    assert f"{node}: OK" in output
    script = (
        "import tasks; from celery.events import EventReceiver; seen = set()\n"
        "def note(event):\n"
        "    seen.add(event['type'])\n"
        "    receiver.should_stop = {'task-sent', 'task-succeeded', 'worker-heartbeat'} <= seen\n"
        "with tasks.app.connection() as connection:\n"
        "    receiver = EventReceiver(connection, handlers={'*': note}, app=tasks.app)\n"
        "    receiver.capture(timeout=10)\n"
        "print(sorted(seen))\n"
    )
    code, output = app.worker.execute("python", "-c", script)
    assert code == 0, output
    for event in ("task-sent", "task-succeeded", "worker-heartbeat"):
        assert event in output


def test_the_liveness_command_notices_a_worker_and_a_scheduler_that_lost_their_broker(app: Running) -> None:
    assert app.worker.execute("python", "alive.py", "worker")[0] == 0
    assert app.beat.execute("python", "alive.py", "beat")[0] == 0
    make_stale = "mkdir -p /tmp/stale && echo 30 >/tmp/stale/$1.alive && touch -d '-1 minute' /tmp/stale/$1.alive"
    script = f"{make_stale} && ALIVE_DIR=/tmp/stale python alive.py $1"
    for tier, role in ((app.worker, "worker"), (app.beat, "beat")):
        code, output = tier.execute("sh", "-c", script, "sh", role)
        assert code == 1
        assert f"{role} last reached the broker 60 s ago" in output
    assert app.api.execute("python", "../worker/alive.py", "worker")[0] == 1


def ticks(api: Tier, limit: int) -> Any:
    return requests.get(f"{api.url}/heartbeats?limit={limit}", timeout=10).json()["heartbeats"]


def test_a_single_scheduler_ticks_once_per_interval_and_a_second_one_is_found_out(app: Running, lab: Lab) -> None:
    eventually(lambda: len(ticks(app.api, 500)) >= 5, "five ticks", 20)
    seen = ticks(app.api, 500)
    assert {tick["times"] for tick in seen} == {1}
    numbers = [tick["tick"] for tick in seen]
    assert numbers == sorted(set(numbers), reverse=True)
    second = lab.start("beat", environment={"HEARTBEAT_SECONDS": "1"})
    eventually(lambda: max(tick["times"] for tick in ticks(app.api, 5)) == 2, "the second scheduler shows", 20)
    double = next(tick for tick in ticks(app.api, 10) if tick["times"] == 2)
    assert len(double["schedulers"]) == 2
    assert second.stop()[0] == 0
    second.remove()


def test_ticks_that_cannot_be_recorded_at_once_are_recorded_later_as_what_they_are(app: Running) -> None:
    eventually(lambda: len(ticks(app.api, 500)) >= 2, "the scheduler ticks", 20)
    app.postgres.container.stop(timeout=10)
    last = time.time()
    time.sleep(4)
    app.postgres.container.start()
    wait_for(app.api, "/ready")

    def recorded() -> list[dict[str, Any]]:
        return [tick for tick in ticks(app.api, 500) if last < tick["tick"] < last + 4]

    # A busy machine may leave out one or another.
    eventually(recorded, "the ticks of the outage are recorded", 90)
    assert {tick["times"] for tick in recorded()} == {1}
    assert {scheduler for tick in recorded() for scheduler in tick["schedulers"]} == {app.beat.host}


def test_a_scheduler_stops_on_request_and_starts_again(app: Running, lab: Lab) -> None:
    beat = lab.start("beat", environment={**own_queue(lab, 6), "HEARTBEAT_SECONDS": "1"})
    eventually(lambda: beat.execute("python", "alive.py", "beat")[0] == 0, "the scheduler is alive")
    for _ in range(2):
        start = time.monotonic()
        assert beat.stop()[0] == 0
        assert time.monotonic() - start < 5
        beat.container.start()
        eventually(lambda: beat.execute("python", "alive.py", "beat")[0] == 0, "the scheduler is alive again")
    beat.remove()
