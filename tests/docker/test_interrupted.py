"""Interrupted runs: whatever is killed at whatever moment, the next `make up` completes, and no data is lost.

`INTERRUPT_SEED=<seed>` repeats the moments of a run that failed: each failure names its seed.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.docker.conftest import NAME, PLATFORM, SECOND_POOL
from tests.docker.interruption import Bench, Running, deployment, on_engine, verify
from tests.docker.private_engine import PrivateEngine, images_of, private_engine
from tests.docker.stack import Stack, eventually

SEED = os.environ.get("INTERRUPT_SEED") or secrets.token_hex(4)
CREATION = 3
ROUNDS = (
    # What changes, who is killed, and how long after the run or its deployment began, at most, in seconds. Two names:
    # `make up` is killed again while it recovers.
    ("api", ("everything",), 14),
    ("redis", ("everything",), 10),
    ("worker", ("pulumi",), 6),
    ("api", ("parents",), 12),
    ("redis", ("everything", "everything"), 10),
    ("beat", ("pulumi",), 8),
    ("everything", ("everything", "everything"), 35),
    ("worker", ("everything",), 6),
    ("api", ("pulumi", "everything"), 14),
    ("redis", ("parents",), 10),
    ("worker", ("everything", "pulumi"), 6),
    ("beat", ("everything",), 8),
    ("api", ("everything",), 14),
)
AGAIN = 5.0
"""The same for a `make up` that recovers."""
TEXT = "written before the first kill"
assert CREATION + sum(len(victims) for _, victims, _ in ROUNDS) == 20


@pytest.fixture(scope="module")
def own_engine(stack: Stack) -> Iterator[PrivateEngine]:
    """An engine that the last test stops; it gets its images meanwhile."""
    # The path of a Unix socket has at most 107 characters.
    with private_engine(Path(tempfile.mkdtemp(prefix="engine-"))) as engine:
        engine.copy_images(images_of(stack.folder))
        yield engine


@pytest.fixture(scope="module")
def bench(stack: Stack, own_engine: PrivateEngine) -> Iterator[Bench]:
    """The shared stack, which is as it was afterwards."""
    made = Bench(stack, PLATFORM, SEED)
    yield made
    stack.configure(platform=PLATFORM)
    stack.make("up")


@pytest.fixture(scope="module")
def job(bench: Bench) -> str:
    """Id of a job that is done, asked of the database: it stands in the data volume."""
    made = str(bench.stack.post("/api/jobs", {"text": TEXT}).json["id"])
    eventually(lambda: row(bench.stack, made) == f"done {TEXT}", what="the job is done")
    return made


def moments(which: object) -> random.Random:
    """The random numbers of one test, the same for the same seed whatever ran before."""
    return random.Random(f"{SEED} {which}")  # noqa: S311 - no secret


def row(stack: Stack, job: str) -> str:
    """What the database has of a job."""
    sql = f"SELECT state || ' ' || text FROM jobs WHERE id = '{job}'"  # noqa: S608 - an id of the API's
    command = ["psql", "-qAt", "-h", "/var/run/postgresql", "-U", "ai_review", "-d", "ai_review_dev", "-c", sql]
    code, output = stack.containers("postgres")[0].exec_run(command, user="0")
    assert isinstance(output, bytes)
    assert code == 0, output
    return output.decode().strip()


def data_volumes(stack: Stack) -> set[str]:
    """Names of the volumes that hold data."""
    return on_engine(stack)["volumes"]


def answers(stack: Stack) -> bool:
    """Whether every tier answers through the edge."""
    return all(stack.get(path).status == 200 for path in ("/", "/api/ready", "/dashboard/"))


def test_a_first_creation_that_is_killed_three_times_completes(bench: Bench) -> None:
    rng = moments("creation")
    bench.stack.make("down")
    for _ in range(CREATION):
        assert bench.kill_once("everything", 15, rng), "the last of them still had work to do"
    bench.complete()
    eventually(lambda: answers(bench.stack), what="every tier answers")


@pytest.mark.parametrize(
    ("number", "change", "victims", "longest"),
    [(number, *one) for number, one in enumerate(ROUNDS)],
    ids=[f"{change}-{'-'.join(victims)}-{number}" for number, (change, victims, _) in enumerate(ROUNDS)],
)
def test_a_change_that_is_killed_completes(
    bench: Bench, job: str, number: int, change: str, victims: tuple[str, ...], longest: float
) -> None:
    rng = moments(number)
    volumes = data_volumes(bench.stack)
    bench.change(change)
    bench.interrupt(change, victims[0], longest, rng)
    for whom in victims[1:]:
        bench.interrupt(change, whom, AGAIN, rng)
    bench.complete()
    assert data_volumes(bench.stack) == volumes
    if number % 5 == 0:
        assert row(bench.stack, job) == f"done {TEXT}"
        bench.stack.pulumi("preview", "--expect-no-changes")


def test_after_all_kills_the_stack_serves_what_was_written_before_them(bench: Bench, job: str) -> None:
    eventually(lambda: answers(bench.stack), what="every tier answers")
    assert row(bench.stack, job) == f"done {TEXT}"
    bench.stack.pulumi("preview", "--refresh", "--expect-no-changes")
    # Redis may hand one message to each connection of a worker that was killed, until it notices: housekeeping sends it
    # again after the visibility time-out. A broker that is whole works off those that come later.
    late: list[str] = []
    for _ in range(4):
        late.append(str(bench.stack.post("/api/jobs", {"text": TEXT}).json["id"]))
        time.sleep(5)
    eventually(lambda: row(bench.stack, late[-1]) == f"done {TEXT}", what="workers and broker are whole")


def begun(stack: Stack) -> list[str]:
    """Kinds of the operations that are under way."""
    return [str(one["type"]) for one in deployment(stack).get("pending_operations") or []]


def test_pulumi_up_by_hand_on_an_interrupted_stack_says_what_to_run(bench: Bench) -> None:
    stack = bench.stack
    bench.change("redis")
    running = Running.start(stack)
    # The CLI keeps a creation in its state through commands that fail, and forgets a deletion.
    eventually(lambda: "creating" in begun(stack), what="something is being created")
    assert running.kill("everything")
    running.process.wait()
    pending = [one["resource"]["urn"].rpartition("::")[2] for one in deployment(stack)["pending_operations"]]

    locked = stack.pulumi("up", "--yes", "--skip-preview", check=False)
    assert locked.code != 0 and "pulumi cancel" in locked.output, "Pulumi's own word, before the program runs"
    stack.pulumi("cancel", "--yes")
    before = on_engine(stack)
    refused = stack.pulumi("up", "--yes", "--skip-preview", check=False)
    assert refused.code != 0
    assert f"stack {stack.name} was interrupted" in refused.output
    assert f"Run `make up STACK={stack.name}`" in refused.output
    assert any(f"ing {name}" in refused.output for name in pending)
    assert "Traceback" not in refused.output
    assert on_engine(stack) == before, "nothing was touched"
    warned = stack.pulumi("preview")
    assert f"Run `make up STACK={stack.name}`" in warned.output

    bench.runs.append(running)
    bench.complete()
    stack.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")


def test_pulumi_up_by_hand_names_what_is_in_no_state(bench: Bench) -> None:
    stack = bench.stack
    image = stack.containers("redis")[0].attrs["Image"]
    labels = {"ai-platform.stack": stack.name}
    stray = stack.engine.containers.create(image, ["sleep", "300"], entrypoint="", labels=labels)
    refused = stack.pulumi("up", "--yes", "--skip-preview", check=False)
    assert refused.code != 0
    assert f"left over: container {stray.name}. Run `make up STACK={stack.name}`" in refused.output
    stack.make("up")
    verify(stack)
    stack.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")


def test_a_stop_of_docker_half_way_is_completed_by_make_up(stack: Stack, own_engine: PrivateEngine) -> None:
    own_engine.await_images()
    rng = moments("engine")
    # PostgreSQL, which would take a minute to stop in the middle of its very first start, is past that.
    there = rng.randint(7, 15)
    print(f"seed {SEED}: stopped at {there} containers")
    other = Stack(name=f"{NAME}own", folder=stack.folder, engine=docker.DockerClient(own_engine.address))
    other.configure(platform={"kind": "docker", "host": own_engine.address, "networkPool": SECOND_POOL})
    try:
        running = Running.start(other)
        eventually(
            lambda: len(on_engine(other)["containers"]) >= there or running.ended() is not None,
            seconds=240,
            what=f"{there} containers are there",
        )
        own_engine.stop()
        assert running.process.wait(timeout=240) != 0
        assert own_engine.address in running.text(), running.text()[-3000:]

        own_engine.start()
        other.make("up")
        verify(other)
        assert own_engine.fetch("https://localhost/api/ready", other.output("caCertificate")) == 200
        other.pulumi("preview", "--expect-no-changes")
    finally:
        for file in (stack.folder / ".state" / ".pulumi").rglob(f"{other.name}*"):
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        (stack.folder / f"Pulumi.{other.name}.yaml").unlink(missing_ok=True)
