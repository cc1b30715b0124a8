"""The API over HTTP, against real databases (ARE-001, ARE-002, ARE-015, ARE-027)."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import requests

from tests.app.conftest import Running
from tests.app.lab import Lab, Tier, eventually, wait_for


def get(tier: Tier, path: str) -> requests.Response:
    return requests.get(tier.url + path, timeout=10)


def post(tier: Tier, body: object) -> requests.Response:
    return requests.post(tier.url + "/jobs", json=body, timeout=20)


def test_it_is_alive_and_ready(app: Running) -> None:
    assert get(app.api, "/health").json() == {"status": "ok"}
    ready = get(app.api, "/ready")
    assert (ready.status_code, ready.json()["checks"]) == (200, {"database": "ok", "cache": "ok"})


def test_a_new_job_is_stored_and_its_address_has_the_prefix_of_the_proxy(app: Running) -> None:
    created = post(app.api, {"text": "x = 1"})
    assert created.status_code == 201
    job_id = created.json()["id"]
    assert created.headers["Location"] == f"/api/jobs/{job_id}"
    assert get(app.api, f"/jobs/{job_id}").json()["text"] == "x = 1"
    assert job_id in [job["id"] for job in get(app.api, "/jobs").json()["jobs"]]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": " \n"},
        {"text": 5},
        {"text": None},
        {"text": "x", "other": 1},
        {"text": "x" * 100_001},
        {"text": "nul\x00"},
        {"text": "half of a pair \ud800"},
        [],
        "text",
    ],
)
def test_an_unusable_text_is_refused(app: Running, body: object) -> None:
    assert post(app.api, body).status_code == 422


def test_the_longest_text_and_every_script_are_kept_as_they_are(app: Running) -> None:
    for text in ("é" * 100_000, "日本語 🙂 \u202e'; DROP TABLE jobs; --\r\n\t<b>"):
        job_id = post(app.api, {"text": text}).json()["id"]
        assert get(app.api, f"/jobs/{job_id}").json()["text"] == text


def test_unknown_jobs_and_wrong_parameters_are_refused(app: Running) -> None:
    assert get(app.api, f"/jobs/{uuid4()}").status_code == 404
    for path in ("/jobs/not-an-id", "/jobs?limit=0", "/jobs?limit=501", "/jobs?limit=x"):
        assert get(app.api, path).status_code == 422


def test_the_list_holds_the_newest_first_and_no_more_than_asked_for(app: Running) -> None:
    ids = [post(app.api, {"text": f"number {number}"}).json()["id"] for number in range(3)]
    assert [job["id"] for job in get(app.api, "/jobs?limit=2").json()["jobs"]] == ids[:0:-1]


def test_requests_are_counted_and_timed_under_their_route(app: Running) -> None:
    get(app.api, f"/jobs/{uuid4()}")
    get(app.api, "/no/such/path")
    metrics = get(app.api, "/metrics").text
    assert re.search(r'http_requests_total\{method="GET",route="/jobs/\{job_id\}",status="404"\} \d', metrics)
    assert re.search(r'http_requests_total\{method="GET",route="unmatched",status="404"\} \d', metrics)
    assert 'http_request_duration_seconds_bucket{le="0.5",method="GET",route="/ready",status="200"}' in metrics
    assert "/no/such/path" not in metrics


def test_it_answers_after_its_start_and_stops_on_request(lab: Lab, app: Running) -> None:
    api = lab.start("api")
    wait_for(api, "/health")
    code, _ = api.stop()
    assert code == 0
    api.remove()


def test_without_a_database_it_is_alive_but_not_ready_and_tells_no_secret(lab: Lab, app: Running) -> None:
    url = f"postgresql://someone:{lab.password}@no-such-host/x"
    api = lab.start("api", environment={"DATABASE_URL": url})
    wait_for(api, "/health")
    ready = get(api, "/ready")
    assert (ready.status_code, ready.json()["checks"]) == (503, {"database": "failed", "cache": "ok"})
    answer = post(api, {"text": "x"})
    assert (answer.status_code, answer.json()) == (503, {"detail": "database unavailable"})
    assert "no-such-host" not in ready.text
    assert lab.password not in api.logs()
    api.remove()


def test_without_redis_it_is_not_ready_keeps_jobs_and_recovers_by_itself(lab: Lab, app: Running) -> None:
    urls = {
        name: f"redis://:{lab.password}@other-redis:6379/{number}"
        for number, name in enumerate(("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "REDIS_URL"))
    }
    api = lab.start("api", environment=urls)
    wait_for(api, "/health")
    ready = get(api, "/ready")
    assert (ready.status_code, ready.json()["checks"]) == (503, {"database": "ok", "cache": "failed"})
    start = time.monotonic()
    taken = post(api, {"text": "nobody works this"})
    assert taken.status_code == 201
    assert time.monotonic() - start < 15
    newest = get(api, "/jobs?limit=1").json()["jobs"][0]
    assert (newest["id"], newest["state"]) == (taken.json()["id"], "queued")
    # The next housekeeping sends it, whatever the visibility time-out is.
    assert app.postgres.sql("SELECT text FROM jobs WHERE sent_at < now() - interval '1 year'") == "nobody works this"
    redis = lab.start_redis("other-redis")
    wait_for(api, "/ready")
    assert post(api, {"text": "x"}).status_code == 201
    api.remove()
    redis.remove()


def test_a_database_that_hangs_makes_it_unready_and_refuses_jobs_in_time(app: Running) -> None:
    app.postgres.container.pause()
    try:
        ready = requests.get(app.api.url + "/ready", timeout=5)
        refused = post(app.api, {"text": "nobody stores this"})
    finally:
        app.postgres.container.unpause()
    assert (ready.status_code, ready.json()["checks"]) == (503, {"database": "failed", "cache": "ok"})
    assert (refused.status_code, refused.json()) == (503, {"detail": "database unavailable"})
    wait_for(app.api, "/ready")
    assert post(app.api, {"text": "x"}).status_code == 201


def test_a_statement_that_waits_too_long_is_ended_by_the_server_and_leaves_the_connection(
    lab: Lab, app: Running
) -> None:
    api = lab.start("api", environment={"DATABASE_STATEMENT_SECONDS": "1"})
    wait_for(api, "/ready")
    hold = threading.Thread(target=app.postgres.sql, args=("BEGIN; LOCK TABLE jobs; SELECT pg_sleep(4); COMMIT",))
    hold.start()
    eventually(
        lambda: app.postgres.sql("SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"),
        "the table is locked",
    )
    refused = post(api, {"text": "x"})
    assert (refused.status_code, refused.json()) == (503, {"detail": "database unavailable"})
    assert "canceling statement due to statement timeout" in api.logs()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'api' AND wait_event_type = 'Lock'"
    assert app.postgres.sql(waiting) == "0"
    hold.join()
    assert post(api, {"text": "x"}).status_code == 201
    api.remove()


def test_after_a_restart_of_the_database_every_request_is_answered(app: Running) -> None:
    hold = threading.Thread(target=app.postgres.sql, args=("BEGIN; LOCK TABLE jobs; SELECT pg_sleep(2); COMMIT",))
    hold.start()
    locked = "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
    eventually(lambda: app.postgres.sql(locked), "the table is locked")
    # Each waits on a connection of its own, which is dead after the restart.
    with ThreadPoolExecutor(8) as clients:
        assert all(clients.map(lambda _: get(app.api, "/jobs").ok, range(8)))
    hold.join()
    app.postgres.container.restart(timeout=10)
    eventually(lambda: get(app.api, "/ready").ok, "the API is ready again", 20)
    assert [get(app.api, "/jobs").status_code for _ in range(8)] == [200] * 8
