"""Whatever dies, nobody is left without an answer, and nothing that was promised is lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from tests.kubernetes.conftest import KEYS
from tests.kubernetes.stack import SYSTEM, Stack, is_ready, name_of
from tests.support.clients import clients
from tests.support.deployment import Ran, eventually
from tests.support.traffic import Traffic

UNNOTICED = (
    *("api", "web", "dashboard", "worker", "beat", "prometheus"),
    *("postgres-exporter", "redis-exporter", "celery-exporter", "postgres-backup", "redis-backup"),
)
"""Services of which one pod may go without a client's notice."""
BUDGETED = ("api", "web", "dashboard", "worker", "redis")
COOL = "/tmp/cool"
BURN = f"import os\nwhile not os.path.exists({COOL!r}): pass"


def await_done(stack: Stack, condition: str, seconds: float = 180) -> None:
    """Return when every job of those that the condition selects is done."""
    ask = f"SELECT count(*) FROM jobs WHERE {condition} AND state <> 'done'"  # noqa: S608 - conditions of this module
    eventually(lambda: stack.query(ask) == "0", seconds=seconds, what="every job is done")


@pytest.fixture(autouse=True)
def whole(stack: Stack) -> Iterator[None]:
    """Every test begins with every pod ready, and with a standby that has everything."""
    stack.await_ready(seconds=300)
    eventually(lambda: stack.query("SELECT state FROM pg_stat_replication") == "streaming", what="a standby streams")
    yield


@pytest.mark.fact("ARE-013", stack="S")
def test_the_death_of_any_one_pod_costs_no_request_and_no_job(stack: Stack) -> None:
    with Traffic(stack, stack.trust()) as traffic:
        for service in UNNOTICED:
            victim = name_of(stack.pods(service)[0])
            before = stack.uids(service)
            stack.kubectl("delete", "pod", victim)
            eventually(
                lambda: len(stack.uids(service)) == len(before) and stack.uids(service) != before,  # noqa: B023
                seconds=120,
                what=f"another pod of {service}",
            )
            stack.await_ready([service])
        traffic.reach()
    traffic.assert_lossless()
    await_done(stack, f"starts_with(text, '{traffic.run}')")


@pytest.mark.parametrize("pod", ["redis-1", "redis-0"])
def test_the_death_of_a_redis_costs_no_request_and_no_job(stack: Stack, pod: str) -> None:
    with clients(stack) as seen:
        eventually(lambda: len(seen.promised) > 3, what="jobs are accepted")
        uid = stack.uids("redis")[pod]
        stack.kubectl("delete", "pod", pod)
        eventually(lambda: stack.uids("redis").get(pod, uid) != uid, seconds=120, what=f"another {pod}")
        stack.await_ready(["redis"])
        count = len(seen.promised)
        eventually(lambda: len(seen.promised) > count + 3, what="jobs are accepted again")
    # Without a broker a job waits in the database.
    assert set(seen.statuses("post")) == {201}, seen.statuses("post")
    assert set(seen.statuses("read")) == {200}
    ids = ", ".join(f"'{job}'" for job in seen.promised)
    assert stack.query(f"SELECT count(*) FROM jobs WHERE id IN ({ids})") == str(len(seen.promised))  # noqa: S608
    await_done(stack, f"id IN ({ids})")


@pytest.mark.fact("ARE-044", stack="S")
def test_the_sudden_death_of_the_primary_loses_no_acknowledged_row(stack: Stack) -> None:
    primary = stack.primary()
    with clients(stack, pause=0.05) as seen:
        eventually(lambda: len(seen.promised) > 10, what="rows are written")
        stack.kubectl("delete", "pod", primary, "--force", "--grace-period=0")
        eventually(lambda: stack.primary() != primary, seconds=180, what="the standby takes over")
        count = len(seen.promised)
        eventually(lambda: len(seen.promised) > count + 10, seconds=180, what="rows are written again")
    ids = ", ".join(f"'{job}'" for job in seen.promised)
    assert stack.query(f"SELECT count(*) FROM jobs WHERE id IN ({ids})") == str(len(seen.promised))  # noqa: S608
    for what in ("post", "read", "ready"):
        # 0: the connection ended without an answer.
        assert 0 not in seen.statuses(what), (what, seen.statuses(what))
    await_done(stack, f"id IN ({ids})")

    def rejoined() -> bool:
        (cluster,) = stack.objects("clusters.postgresql.cnpg.io")
        return bool(cluster["status"].get("readyInstances") == 2)

    eventually(rejoined, seconds=300, what="the old primary is a standby")


def evict(stack: Stack, pod: str) -> Ran:
    """What the API server says to an eviction, as `kubectl drain` asks for it."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": stack.namespace},
    }
    path = f"/api/v1/namespaces/{stack.namespace}/pods/{pod}/eviction"
    return stack.try_kubectl("create", "--raw", path, "--filename=-", input=json.dumps(eviction))


def test_a_drained_node_lets_go_of_one_replica_at_a_time_and_costs_no_request(stack: Stack) -> None:
    with Traffic(stack, stack.trust()) as traffic:
        for service in ("api", "web", "dashboard", "worker"):
            first, second = list(stack.uids(service))[:2]
            assert evict(stack, first).code == 0
            refused = evict(stack, second)
            assert refused.code != 0
            assert "violate the pod's disruption budget" in refused.output
            stack.await_ready([service])
            eventually(lambda: len(stack.uids(service)) >= 2, what="two pods again")  # noqa: B023
            stack.await_ready([service])
        refused = evict(stack, stack.primary())
        assert refused.code != 0
        assert "violate the pod's disruption budget" in refused.output
        traffic.reach()
    traffic.assert_lossless()


def test_every_service_with_replicas_has_a_budget_that_lets_one_go(stack: Stack) -> None:
    for service in BUDGETED:
        status = stack.one("poddisruptionbudgets", service)["status"]
        assert status["disruptionsAllowed"] == 1, (service, status)


@pytest.fixture
def small_api(stack: Stack) -> Iterator[None]:
    """An API with so little CPU that a small machine can load it fully."""
    services = {
        "api": {"cpu": 0.3, "scale": {"min": 2, "max": 3}},
        "worker": {"scale": {"min": 3, "max": 15}},
    }
    stack.configure(**KEYS, systems=[{"name": SYSTEM, "services": services}])
    stack.make("up")
    yield
    stack.configure(**KEYS)
    stack.make("up")
    stack.await_ready()


@pytest.mark.fact("ARE-012", stack="S")
def test_the_autoscaler_follows_the_load_of_the_api_up_and_back(stack: Stack, small_api: None) -> None:
    def count() -> int:
        return len([pod for pod in stack.pods("api") if is_ready(pod)])

    eventually(lambda: count() == 2, seconds=300, what="the API is idle")
    burning = [
        threading.Thread(
            target=stack.try_kubectl, args=("exec", name, "--", "python", "-c", BURN), kwargs={"seconds": 900}
        )
        for name in stack.uids("api")
    ]
    for each in burning:
        each.start()
    try:
        eventually(lambda: count() == 3, seconds=240, what="a third replica")
    finally:
        for name in stack.uids("api"):
            stack.run(name, "touch", COOL)
        for each in burning:
            each.join()
    eventually(lambda: count() == 2, seconds=420, what="two replicas again")
