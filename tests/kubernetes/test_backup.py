"""Backups: what was lost is back, what is damaged is refused, and no deployment changes anything without one."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kubernetes.conftest import KEYS, PRECEDED
from tests.kubernetes.stack import LABEL, SYSTEM, Stack, name_of
from tests.support.deployment import eventually
from toolchain.backup.on_kubernetes_cluster import MANAGER
from toolchain.backup.on_kubernetes_redis import RESTORE

ARCHIVE = re.compile(rf"^({SYSTEM}-(postgres|redis)-\d{{8}}T\d{{6}}Z\.(?:dump|rdb))  \d+\.\d KiB$", re.MULTILINE)
ENGINES = ("postgres", "redis")
TEXT = "lost, and found again"
DATABASE = "5"
"""Of Redis: one that no tier uses."""


def keeper(stack: Stack, engine: str, *command: str) -> str:
    """What a command prints in the pod that archives an engine."""
    (pod,) = stack.pods(f"{engine}-backup")
    return stack.kubectl("exec", name_of(pod), "--", *command)


def archived(stack: Stack, engine: str) -> list[str]:
    """Archives of an engine, the oldest first."""
    return keeper(stack, engine, "python3", "-m", "backup", "list").split()


def state(stack: Stack, job: str) -> str:
    """The state of a job in the database, empty for one that is not there."""
    return stack.query(f"SELECT state FROM jobs WHERE id = '{job}'")  # noqa: S608 - an id of the API's


def key(stack: Stack, pod: str, name: str) -> str:
    """The value of a key in one Redis, empty for one that is not there."""
    return stack.redis(pod, "-n", DATABASE, "GET", name)


@pytest.fixture(scope="module")
def job(stack: Stack) -> str:
    """A job that a worker has done, asked of the database: the API would answer from its cache from then on."""
    stack.await_ready()
    job = str(stack.post("/api/jobs", {"text": TEXT}).json["id"])
    eventually(lambda: state(stack, job) == "done", what="the job is done")
    return job


@pytest.fixture(scope="module")
def archives(stack: Stack, job: str) -> dict[str, str]:
    """An archive of each engine, with the job and a key in them."""
    stack.redis("redis-0", "-n", DATABASE, "SET", "found", TEXT)
    made = {found[2]: found[1] for found in ARCHIVE.finditer(stack.make("backup").output)}
    assert sorted(made) == sorted(ENGINES)
    return made


@pytest.fixture
def on_host(stack: Stack, archives: dict[str, str], tmp_path: Path) -> Callable[[str, str, str], Path]:
    """Makes a file on this host of an engine's archive, as a shell command changes it."""

    def write(engine: str, change: str, name: str) -> Path:
        file = tmp_path / name
        content = keeper(stack, engine, "sh", "-c", f"{change} < /backups/{archives[engine]} | base64")
        file.write_bytes(base64.b64decode(content))
        return file

    return write


@pytest.mark.fact("ARE-116", stack="S")
@pytest.mark.parametrize(
    ("of", "name", "change", "reason"),
    [
        pytest.param("postgres", "a.dump", "head -c 3000", "not a whole archive", id="half a dump"),
        pytest.param("redis", "a.rdb", "head -c -1", "not a whole dump", id="last byte missing of Redis"),
    ],
)
def test_a_damaged_archive_is_refused_before_anything_is_stopped(
    stack: Stack, on_host: Callable[[str, str, str], Path], of: str, name: str, change: str, reason: str
) -> None:
    before = stack.uids()
    refused = stack.make("restore", f"FROM={on_host(of, change, name)}", check=False)
    assert refused.code != 0
    assert reason in refused.output
    assert "nothing was stopped or changed" in refused.output
    assert "Traceback" not in refused.output
    assert stack.uids() == before
    assert keeper(stack, of, "find", "/backups", "-name", ".*", "-type", "f") == ""


@pytest.fixture
def wanted(stack: Stack) -> Iterator[dict[str, int]]:
    """How many replicas each Deployment asks for that no autoscaler rules; the same at the end."""
    ruled = {one["spec"]["scaleTargetRef"]["name"] for one in stack.objects("horizontalpodautoscalers")}

    def replicas() -> dict[str, int]:
        return {
            name_of(one): one["spec"]["replicas"] for one in stack.objects("deployments") if name_of(one) not in ruled
        }

    before = replicas()
    yield before
    assert replicas() == before


@pytest.fixture
def by_keda(stack: Stack) -> Iterator[None]:
    """The web tier scaled by KEDA, which keeps two replicas."""
    rule = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "web-by-keda"},
        "spec": {
            "scaleTargetRef": {"name": name_of(stack.one("deployments", "web"))},
            "minReplicaCount": 2,
            "maxReplicaCount": 3,
            "pollingInterval": 1,
            "triggers": [
                {
                    "type": "cron",
                    "metadata": {"timezone": "UTC", "start": "0 0 * * *", "end": "59 23 * * *", "desiredReplicas": "2"},
                }
            ],
        },
    }
    stack.kubectl("create", "--filename=-", input=json.dumps(rule))
    stack.kubectl("wait", "scaledobject/web-by-keda", "--for=condition=Ready", "--timeout=60s")
    yield
    stack.kubectl("delete", "scaledobject", "web-by-keda", "--timeout=60s")


@contextmanager
def watched(stack: Stack, service: str) -> Iterator[list[int]]:
    """How many replicas a service was to have, seen again and again."""
    seen: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.3):
            seen.append(stack.one("deployments", service)["spec"]["replicas"])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


@pytest.mark.fact("ARE-085", stack="S")
@pytest.mark.fact("ARE-086", stack="S")
@pytest.mark.fact("ARE-116", stack="S")
def test_what_was_lost_is_restored_and_the_program_finds_nothing_to_change(
    stack: Stack,
    job: str,
    archives: dict[str, str],
    on_host: Callable[[str, str, str], Path],
    wanted: dict[str, int],
    by_keda: None,
) -> None:
    dump = on_host("redis", "cat", archives["redis"])
    engines = stack.uids("postgres") | stack.uids("redis")
    stack.query("DROP TABLE jobs")
    stack.redis("redis-0", "FLUSHALL")

    stack.redis("redis-0", "-n", DATABASE, "SET", "late", "written after the backup")

    with watched(stack, "web") as seen:
        stack.make("restore", f"FROM={archives['postgres']} {dump}")
    # KEDA, which asks every second, has started none while the data was replaced.
    stopped = seen[seen.index(0) : len(seen) - seen[::-1].index(0)]
    assert len(stopped) > 3
    assert set(stopped) == {0}

    assert stack.uids("postgres") | stack.uids("redis") == engines
    restored = stack.get(f"/api/jobs/{job}").json
    assert (restored["state"], restored["text"]) == ("done", TEXT)
    assert "role:master" in stack.redis("redis-0", "INFO", "replication")
    # From the append-only file: the dump beside it is not read.
    stack.run("redis-0", "sh", "-c", 'REDISCLI_AUTH="$(cat /run/secrets/redis-password)" redis-cli SHUTDOWN NOSAVE')
    eventually(lambda: _answers(stack), what="Redis runs again")
    for pod in ("redis-0", "redis-1"):
        eventually(lambda: key(stack, pod, "found") == TEXT, what=f"the key is in {pod}")  # noqa: B023
        assert key(stack, pod, "late") == ""
    stack.await_ready()
    again = str(stack.post("/api/jobs", {"text": TEXT}).json["id"])
    eventually(lambda: state(stack, again) == "done", what="a new job is done")

    assert stack.try_kubectl("get", "pod", RESTORE).code != 0
    managers = stack.kubectl("get", "deployments,scaledobjects", "--show-managed-fields", "--output=json")
    assert MANAGER not in managers
    assert f"{LABEL}/restore-replicas" not in managers
    stack.pulumi("preview", "--refresh", "--expect-no-changes")


def _answers(stack: Stack) -> bool:
    script = 'REDISCLI_AUTH="$(cat /run/secrets/redis-password)" redis-cli PING'
    return stack.run("redis-0", "sh", "-c", script).output.strip() == "PONG"


def scaled(most: int) -> list[dict[str, object]]:
    """The system with another upper bound: a change that starts no pod."""
    api, worker = {"scale": {"min": 2, "max": most}}, {"scale": {"min": 3, "max": 15}}
    return [{"name": SYSTEM, "services": {"api": api, "worker": worker}}]


@pytest.fixture
def as_it_was(stack: Stack) -> Iterator[None]:
    """The stack file, and what it says, as before; without another backup."""
    yield
    stack.configure(**KEYS)
    before = {engine: archived(stack, engine) for engine in ENGINES}
    stack.make("up")
    assert {engine: archived(stack, engine) for engine in ENGINES} == before


@pytest.mark.fact("ARE-088", stack="S")
@pytest.mark.fact("ARE-107", stack="S")
def test_a_deployment_that_changes_something_makes_a_backup_first_and_reads_it_back(
    stack: Stack, archives: dict[str, str], as_it_was: None
) -> None:
    stack.configure(**PRECEDED, systems=scaled(9))
    said = stack.make("up").output
    made = {found[2]: found for found in ARCHIVE.finditer(said)}
    for engine, name in archives.items():
        newest = archived(stack, engine)[-1]
        assert newest > name
        assert made[engine][1] == newest
        # Before the first resource is touched.
        assert made[engine].start() < said.index("Updating (")
    assert stack.one("horizontalpodautoscalers", "api")["spec"]["maxReplicas"] == 9


@pytest.mark.fact("ARE-088", stack="S")
@pytest.mark.fact("ARE-107", stack="S")
def test_a_backup_that_fails_stops_the_deployment_and_says_how_to_go_on(stack: Stack, archives: dict[str, str]) -> None:
    unfinished = f"/backups/.{SYSTEM}-redis.partial"
    stack.configure(**PRECEDED, systems=scaled(8))
    keeper(stack, "redis", "mkdir", unfinished)
    try:
        refused = stack.make("up", check=False)
    finally:
        keeper(stack, "redis", "rmdir", unfinished)
        stack.configure(**KEYS)
        # Whoever failed last is not ready.
        keeper(stack, "redis", "python3", "-m", "backup", "create")
        stack.await_ready(["redis-backup"])
    assert refused.code != 0
    for words in ("not backed up:", f"redis of {SYSTEM}:", "nothing was changed", "ARGS=--no-backup"):
        assert words in refused.output
    assert "Traceback" not in refused.output
    assert "Updating (" not in refused.output
    assert stack.one("horizontalpodautoscalers", "api")["spec"]["maxReplicas"] == 10


def test_no_password_is_in_what_was_printed(stack: Stack, archives: dict[str, str]) -> None:
    for engine in ENGINES:
        secret = keeper(stack, engine, "cat", f"/run/secrets/{engine}-password").strip()
        assert len(secret) >= 32
        found = [secret in "".join(stack.outputs), secret in stack.log(f"{engine}-backup")]
        assert found == [False, False]
