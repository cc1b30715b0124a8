"""What was written stays, whatever happens to the engines: killed, restarted, resized, replaced by another version.

Nobody has to help afterwards: the API is ready again and the workers work again by themselves.
"""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.docker.conftest import PLATFORM
from tests.docker.faults import events, kill, redis, restarts, run
from tests.docker.stack import Stack, eventually
from tests.support.clients import Clients, clients

ANSWER_SECONDS = 15.0
"""A client is never left without an answer for longer; the limits of the API add up to less."""
MEMORY_MIB = 768
TAG = "ai-platform-e2e/{}:other"
PACKAGES = {"postgres": "postgresql-15", "redis": "redis-server redis-tools"}
UPSTREAM = {"postgres": "postgres:15.13-bookworm", "redis": "redis:7.2.9-bookworm"}
"""Other minor versions, where the engines' images come from a registry."""


def post(stack: Stack) -> str:
    """Id of a new job."""
    created = stack.post("/api/jobs", {"text": "# TODO: outlive everything\n"})
    assert created.status == 201, created.text
    return str(created.json["id"])


def await_done(stack: Stack, *jobs: str, seconds: float = 90) -> None:
    """Return when a worker has done every job. Asks the database: the API would answer from its cache afterwards."""
    ids = ", ".join(f"'{job}'" for job in jobs)
    ask = f"SELECT count(*) FROM jobs WHERE id IN ({ids}) AND state = 'done'"  # noqa: S608 - ids of the API's
    eventually(lambda: int(stack.query(ask)) == len(jobs), seconds=seconds, what=f"{len(jobs)} jobs are done")


def await_ready(stack: Stack) -> None:
    """Return when the API says that it can work. Nothing is restarted to get there."""
    eventually(lambda: stack.get("/api/ready").status == 200, seconds=90, what="the API is ready again")


@pytest.fixture(scope="module")
def written(stack: Stack) -> dict[str, str]:
    """Done jobs as the API told them, by id."""
    jobs = [post(stack) for _ in range(5)]
    await_done(stack, *jobs)
    return {job: stack.get(f"/api/jobs/{job}").text for job in jobs}


@dataclass(frozen=True)
class Before:
    """How many jobs the database held, and when."""

    rows: int
    at: str


def rows_now(stack: Stack) -> Before:
    """The jobs that must be there from now on."""
    rows, at = stack.query("SELECT count(*), now() FROM jobs").split("|")
    return Before(int(rows), at)


def assert_kept(
    stack: Stack, written: dict[str, str], before: Before, seen: Clients | None = None, *, same_broker: bool = True
) -> None:
    """Every row is there, every job is told as before from the database, and new ones are worked.

    Without the `same_broker` a task may be lost between the queue and a worker: housekeeping sends it again after the
    visibility time-out of an hour, for which nobody waits here.
    """
    await_ready(stack)
    count = f"SELECT count(*) FROM jobs WHERE created_at <= '{before.at}'"  # noqa: S608 - a time of the database's
    assert int(stack.query(count)) == before.rows
    redis(stack, "-n", "2", "FLUSHDB")  # The API's cache would hide what the database has lost.
    for job, text in written.items():
        assert stack.get(f"/api/jobs/{job}").text == text
    promised = seen.promised if seen else []
    assert all(stack.get(f"/api/jobs/{job}").status == 200 for job in promised), "an accepted job is lost"
    await_done(stack, post(stack), *(promised if same_broker else ()))
    if seen:
        for what in ("ready", "read", "post"):
            assert set(seen.statuses(what)) <= {200, 201, 503}, (what, seen.statuses(what))
        assert seen.slowest < ANSWER_SECONDS


def volume_of(stack: Stack, service: str) -> str:
    """Name of the volume that a data engine writes to."""
    mounts = stack.containers(service)[0].attrs["Mounts"]
    return str(next(one["Name"] for one in mounts if one["Destination"] in ("/var/lib/postgresql/data", "/data")))


@pytest.mark.fact("ARE-051", stack="D")
def test_what_was_written_survives_the_sudden_death_of_postgresql(stack: Stack, written: dict[str, str]) -> None:
    database = stack.containers("postgres")[0]
    apis = {one.id: one.attrs["State"]["StartedAt"] for one in stack.containers("api")}
    rows, starts = rows_now(stack), restarts(database)
    with events(stack, "postgres") as happened, clients(stack) as seen:
        time.sleep(1)
        kill(stack, database)
        eventually(lambda: restarts(database) == starts + 1, what="PostgreSQL runs again")
        await_ready(stack)
        time.sleep(2)
    assert happened.never_two(), happened.seen
    assert_kept(stack, written, rows, seen)
    assert seen.statuses("post")[201] > 0
    assert {one.id: one.attrs["State"]["StartedAt"] for one in stack.containers("api")} == apis


@pytest.mark.fact("ARE-050", stack="D")
def test_jobs_that_wait_in_the_queue_survive_the_sudden_death_of_redis(stack: Stack, written: dict[str, str]) -> None:
    broker, workers = stack.containers("redis")[0], stack.containers("worker")
    rows, starts = rows_now(stack), restarts(broker)
    stopping = [threading.Thread(target=one.stop, kwargs={"timeout": 30}) for one in workers]
    for each in stopping:
        each.start()
    for each in stopping:
        each.join()
    try:
        waiting = [post(stack) for _ in range(20)]
        kill(stack, broker)
        eventually(lambda: restarts(broker) == starts + 1, what="Redis runs again")
        await_ready(stack)
    finally:
        for one in workers:
            one.start()
    await_done(stack, *waiting)
    assert_kept(stack, written, rows)


def test_a_frozen_database_gets_every_client_a_clear_answer_in_time(stack: Stack, written: dict[str, str]) -> None:
    rows = rows_now(stack)
    database = stack.containers("postgres")[0]
    with clients(stack) as seen:
        time.sleep(1)
        database.pause()
        try:
            time.sleep(12)
            refused = stack.post("/api/jobs", {"text": "nobody stores this"})
        finally:
            database.unpause()
        await_ready(stack)
        time.sleep(1)
    assert (refused.status, refused.json) == (503, {"detail": "database unavailable"})
    assert {name.lower() for name in refused.headers} >= {"retry-after"}
    assert seen.statuses("post")[503] > 0
    assert seen.statuses("post")[201] > 0
    assert_kept(stack, written, rows, seen)


def test_a_job_posted_to_a_frozen_broker_is_answered_and_worked_later(stack: Stack, written: dict[str, str]) -> None:
    broker = stack.containers("redis")[0]
    stack.trust()
    broker.pause()
    try:
        started = time.monotonic()
        taken = stack.post("/api/jobs", {"text": "nobody works this yet"})
        waited = time.monotonic() - started
        done = stack.get(f"/api/jobs/{next(iter(written))}")
    finally:
        broker.unpause()
    assert taken.status == 201, taken.text
    assert waited < ANSWER_SECONDS
    assert done.status == 200, "what PostgreSQL knows needs no broker"
    # Housekeeping sends it, once a minute.
    await_done(stack, str(taken.json["id"]), seconds=150)
    assert_kept(stack, written, rows_now(stack))


def test_a_restart_of_every_container_at_once_is_survived(stack: Stack, written: dict[str, str]) -> None:
    rows = rows_now(stack)
    everything = stack.containers()
    threads = [threading.Thread(target=one.restart, kwargs={"timeout": 30}) for one in everything]
    with events(stack, "postgres") as happened:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert happened.never_two(), happened.seen

    def answers() -> bool:
        try:
            return stack.get("/api/ready").status == 200
        except OSError:
            return False

    eventually(answers, seconds=90, what="the proxy leads to an API that is ready")
    assert_kept(stack, written, rows)
    assert {one.id for one in stack.containers()} == {one.id for one in everything}


@pytest.fixture(scope="module")
def others(stack: Stack) -> Iterator[dict[str, str]]:
    """Images to change to: the application's with another id, and the engines' in another minor version."""
    inventory = json.loads((stack.folder / ".toolchain" / "images.json").read_text(encoding="utf-8"))
    images, made = {}, []
    app = stack.containers("api")[0].attrs["Image"]
    recipes = {"api": f"FROM {app}\nLABEL ai-platform.e2e=another-release\n"}
    for engine, packages in PACKAGES.items():
        if inventory[engine]["source"] == "pulled":
            images[engine] = UPSTREAM[engine]
        else:
            recipes[engine] = _another_version(inventory[engine]["image"], packages)
    for name, recipe in recipes.items():
        images[name] = TAG.format(name)
        stack.engine.images.build(
            fileobj=io.BytesIO(recipe.encode()), tag=images[name], network_mode="host", rm=True, forcerm=True
        )
        made.append(images[name])
    yield images
    for name in made:
        stack.engine.images.remove(name, force=True)


def _another_version(image: str, packages: str) -> str:
    """The same image with the other version of its packages that the distribution's archive and security suite hold."""
    first = packages.split(maxsplit=1)[0]
    return (
        f"FROM {image}\nUSER 0\nRUN apt-get update"
        f" && other=$(apt-cache madison {first} | cut -d'|' -f2 | tr -d ' '"
        f" | grep -vxF \"$(dpkg-query -W -f '${{Version}}' {first})\" | head -1)"
        ' && { [ -n "$other" ] || { echo "the archive has one version only"; exit 1; }; }'
        " && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends --allow-downgrades"
        f" {' '.join(f'{package}=$other' for package in packages.split())} && rm -rf /var/lib/apt/lists/*\n"
        "USER 999:999\n"
    )


def versions(stack: Stack) -> dict[str, str]:
    """What the engines say that they are, down to the package."""
    package = run(stack, "redis", "sh", "-c", "dpkg-query -W redis-server || redis-server --version")
    return {"postgres": stack.query("SELECT version()"), "redis": package}


def test_another_release_of_the_api_and_another_memory_limit_keep_what_was_written(
    stack: Stack, written: dict[str, str], others: dict[str, str]
) -> None:
    rows = rows_now(stack)
    volumes = {service: volume_of(stack, service) for service in ("postgres", "redis")}
    database, broker = stack.containers("postgres")[0], stack.containers("redis")[0]
    stack.configure(
        platform=PLATFORM,
        systems=[{"name": "ai-review-engine", "services": {"api": {"image": others["api"]}}}],
        data={"postgres": {"memory": f"{MEMORY_MIB}Mi"}, "redis": {"memory": f"{MEMORY_MIB}Mi"}},
    )
    with events(stack, "postgres") as postgres, events(stack, "redis") as brokers, clients(stack) as seen:
        stack.make("up")
    # The engine changes the limit of a running container. Redis is told its share of it by a file: it is replaced.
    after = stack.containers("postgres")[0]
    assert (after.id, postgres.seen) == (database.id, [])
    assert after.attrs["HostConfig"]["Memory"] == MEMORY_MIB * 1024**2
    assert brokers.never_two(), brokers.seen
    assert brokers.started == [stack.containers("redis")[0].id] != [broker.id]
    assert volumes == {service: volume_of(stack, service) for service in volumes}
    assert {one.labels.get("ai-platform.e2e") for one in stack.containers("api")} == {"another-release"}
    assert_kept(stack, written, rows, seen, same_broker=False)


@pytest.mark.fact("ARE-039", stack="D")
def test_another_minor_version_of_the_engines_and_back_keeps_what_was_written(
    stack: Stack, written: dict[str, str], others: dict[str, str]
) -> None:
    volumes = {service: volume_of(stack, service) for service in ("postgres", "redis")}
    was = versions(stack)
    engines = {name: others[name] for name in PACKAGES}
    for images in ({"engines": engines}, {}):
        rows = rows_now(stack)
        stack.configure(platform=PLATFORM, images=images)
        with events(stack, "postgres") as postgres, events(stack, "redis") as brokers, clients(stack) as seen:
            stack.make("up")
        for happened, service in ((postgres, "postgres"), (brokers, "redis")):
            assert happened.never_two(), happened.seen
            assert happened.started == [stack.containers(service)[0].id]
        assert volumes == {service: volume_of(stack, service) for service in volumes}
        now = versions(stack)
        if images:
            assert all(now[name] != was[name] for name in was), now
            assert re.search(r"PostgreSQL 15\.", now["postgres"])
        else:
            assert now == was
        assert_kept(stack, written, rows, seen, same_broker=False)
