"""Jobs are done although their workers die, and once; the scheduler ticks once, although it is replaced."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.docker.conftest import PLATFORM
from tests.docker.faults import events, kill, redis, restarts
from tests.docker.stack import Stack, eventually

VISIBILITY_SECONDS = 12
LATENCY_SECONDS = 6
"""The longest job here: below the time after which its task is delivered again."""
BEAT = {"HEARTBEAT_SECONDS": "1"}
JOBS = 6


def configure(stack: Stack, **beat: str) -> None:
    """Jobs that take long, tasks that come back soon, and a scheduler that ticks every second."""
    worker = {"CELERY_VISIBILITY_TIMEOUT": str(VISIBILITY_SECONDS), "REVIEW_LATENCY_SECONDS": str(LATENCY_SECONDS)}
    services = {"worker": {"env": worker}, "beat": {"env": {**BEAT, **beat}}}
    stack.configure(platform=PLATFORM, systems=[{"name": "ai-review-engine", "services": services}])
    stack.make("up")


@pytest.fixture(scope="module", autouse=True)
def quick(stack: Stack) -> Iterator[None]:
    """The stack with short times, and as it was afterwards."""
    configure(stack)
    yield
    stack.configure(platform=PLATFORM)
    # A worker was removed behind Pulumi's back.
    stack.make("up", "ARGS=--refresh")


def jobs(stack: Stack, ids: list[str]) -> list[dict[str, str]]:
    """The rows of the jobs, from the database; times in seconds since the epoch."""
    wanted = ", ".join(f"'{one}'" for one in ids)
    columns = "id, state, attempts, worker, extract(epoch FROM started_at), extract(epoch FROM finished_at)"
    rows = stack.query(f"SELECT {columns} FROM jobs WHERE id IN ({wanted}) ORDER BY id")  # noqa: S608 - ids of the API's
    names = ("id", "state", "attempts", "worker", "started", "finished")
    return [dict(zip(names, row.split("|"), strict=True)) for row in rows.splitlines()]


def test_the_jobs_of_killed_workers_are_done_by_others_and_once(stack: Stack) -> None:
    workers = {str(one.attrs["Config"]["Hostname"]): one for one in stack.containers("worker")}
    rows = int(stack.query("SELECT count(*) FROM jobs"))
    ids = [str(stack.post("/api/jobs", {"text": f"# TODO: {number}"}).json["id"]) for number in range(JOBS)]

    def running(*hosts: str) -> list[dict[str, str]]:
        return [row for row in jobs(stack, ids) if row["state"] == "running" and row["worker"] in hosts]

    def two_busy() -> list[str]:
        # A task that a dying worker has taken from the queue and not noted yet is housekeeping's, an hour later.
        if any(row["state"] == "queued" for row in jobs(stack, ids)):
            return []
        hosts = sorted({row["worker"] for row in running(*workers)})[:2]
        return hosts if len(hosts) > 1 else []

    busy = eventually(two_busy, seconds=LATENCY_SECONDS, what="two workers are in the middle of a job")
    killed, gone = (workers[host] for host in busy)
    starts = restarts(killed)
    gone.kill()
    kill(stack, killed)
    gone.remove(force=True)
    lost = {row["id"]: row["worker"] for row in running(*busy)}
    assert set(lost.values()) == set(busy), "a worker was killed that did nothing"

    def waiting() -> list[dict[str, str]]:
        return [row for row in jobs(stack, ids) if row["state"] != "done"]

    try:
        eventually(lambda: not waiting(), seconds=4 * VISIBILITY_SECONDS, what="every job is done")
    except AssertionError as error:
        error.add_note(f"not done: {waiting()}; lost: {lost}")
        error.add_note(f"unacknowledged: {redis(stack, 'ZRANGE', 'unacked_index', '0', '-1', 'WITHSCORES')}")
        error.add_note(stack.log("worker"))
        raise
    done = jobs(stack, ids)
    assert restarts(killed) == starts + 1
    for row in done:
        took = float(row["finished"]) - float(row["started"])
        # A second delivery comes when the time-out since the first is over, not before.
        assert (int(row["attempts"]) > 1, took > VISIBILITY_SECONDS) == (row["id"] in lost,) * 2, row
    # When nothing is left that could be delivered once more, the results are still the first ones.
    eventually(
        lambda: (redis(stack, "HLEN", "unacked"), redis(stack, "LLEN", "celery")) == ("0", "0"),
        what="no task waits for anything",
    )
    assert [(row["id"], row["finished"]) for row in jobs(stack, ids)] == [(row["id"], row["finished"]) for row in done]
    assert int(stack.query("SELECT count(*) FROM jobs")) == rows + JOBS


def ticks(stack: Stack, since: float) -> list[dict[str, Any]]:
    """The recorded ticks that were sent after `since`, oldest first."""
    rows = stack.query(
        "SELECT tick, scheduler, extract(epoch FROM published_at) FROM heartbeats"  # noqa: S608 - a number
        f" WHERE published_at > to_timestamp({since}) ORDER BY published_at",
    )
    found = [row.split("|") for row in rows.splitlines()]
    return [{"tick": int(tick), "scheduler": host, "at": float(at)} for tick, host, at in found]


def started_at(stack: Stack) -> float:
    """When the newest start of the scheduler began to work, in seconds since the epoch; 0 while none has."""
    lines = [line for line in stack.log("beat").splitlines() if '"scheduler started"' in line]
    return datetime.fromisoformat(json.loads(lines[-1])["time"]).timestamp() if lines else 0.0


def assert_once_each(stack: Stack, since: float, gaps: list[tuple[float, float]]) -> None:
    """Every second since then has one tick, but those that began while no scheduler ran."""
    # The last ones may still be on their way through the queue.
    end = math.floor(time.time()) + 1
    eventually(lambda: ticks(stack, since)[-1]["tick"] > end, seconds=20, what="the ticks until now are recorded")
    numbers = [one["tick"] for one in ticks(stack, since)]
    assert len(numbers) == len(set(numbers)), "a tick was sent twice"
    missing = [number for number in range(numbers[0], end) if number not in numbers]
    allowed = [number for number in missing if any(gone <= number <= back for gone, back in gaps)]
    assert missing == allowed, (missing, gaps)


@pytest.mark.fact("ARE-034", stack="D")
def test_every_tick_is_sent_once_through_a_restart_and_a_crash_of_the_scheduler(stack: Stack) -> None:
    eventually(lambda: len(ticks(stack, time.time() - 5)) >= 3, what="the scheduler ticks")
    since, gaps = time.time() - 3, []
    scheduler = stack.containers("beat")[0]
    gone = time.time()
    scheduler.restart(timeout=20)
    eventually(lambda: started_at(stack) > gone, what="the scheduler ticks again")
    gaps.append((gone, started_at(stack)))
    time.sleep(3)
    gone = kill(stack, scheduler)
    eventually(lambda: started_at(stack) > gone, what="the scheduler ticks after its crash")
    gaps.append((gone, started_at(stack)))
    assert_once_each(stack, since, gaps)


@pytest.mark.fact("ARE-034", stack="D")
def test_every_tick_is_sent_once_through_a_replacement_of_the_scheduler(stack: Stack) -> None:
    since, old = time.time() - 3, stack.containers("beat")[0]
    with events(stack, "beat") as happened:
        configure(stack, LOG_LEVEL="debug")
    new = stack.containers("beat")[0]
    assert happened.never_two(), happened.seen
    assert happened.started == [new.id] != [old.id]
    sent = ticks(stack, since)
    last = max(one["at"] for one in sent if one["scheduler"] == old.attrs["Config"]["Hostname"])
    assert_once_each(stack, since, [(last, started_at(stack))])
