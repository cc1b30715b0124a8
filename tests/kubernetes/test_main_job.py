"""`make up` on a real cluster: the system answers over TLS, works jobs, and is watched."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.kubernetes.conftest import HOST
from tests.kubernetes.stack import LABEL, Stack, is_ready, name_of
from tests.support.deployment import LOOPBACK, eventually

TEXT = "password = 'hunter2-hunter2'\n# TODO: remove\nresult = eval(user_input)\n"
READY = {
    "api": 2,
    "web": 2,
    "dashboard": 2,
    "worker": 3,
    "beat": 1,
    "postgres": 2,
    "redis": 2,
    "prometheus": 1,
    "postgres-exporter": 1,
    "redis-exporter": 1,
    "celery-exporter": 1,
    "postgres-backup": 1,
    "redis-backup": 1,
}
"""Pods of each service, as Pulumi.staging.yaml says or the platform."""
TARGETS = {
    ("ai_review_engine", "api"): 2,
    ("ai_review_engine", "web"): 2,
    ("ai_review_engine", "dashboard"): 2,
    ("worker", "worker"): 1,
    ("postgres", "postgres"): 1,
    ("redis", "redis"): 1,
    ("postgres-backup", "postgres-backup"): 1,
    ("redis-backup", "redis-backup"): 1,
    ("host", "host"): 1,
    ("edge", "edge"): 1,
}


def test_make_up_ends_with_the_url(stack: Stack) -> None:
    if stack.outputs:  # A deployment that was kept has been told of before.
        assert stack.url in "\n".join(stack.outputs[0].rstrip().splitlines()[-12:])
    assert list(stack.output("urls").values()) == [stack.url]


def test_make_up_leaves_the_checkout_clean(stack: Stack) -> None:
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=stack.folder, check=True, capture_output=True, text=True
    )
    assert status.stdout == ""


@pytest.mark.fact("ARE-053", stack="S")
def test_the_page_comes_over_verified_tls(stack: Stack) -> None:
    page = stack.get("/")
    assert page.status == 200
    assert "<title>AI Review Engine</title>" in page.text


def test_plain_http_is_redirected_to_tls(stack: Stack) -> None:
    answer = stack.request(f"http://{HOST}:{stack.http_port}/some/page?x=1")
    assert (answer.status, answer.headers["Location"]) == (301, f"{stack.url}/some/page?x=1")


def test_security_headers_stand_on_every_route(stack: Stack) -> None:
    for path in ("/", "/api/health", "/dashboard/"):
        headers = stack.get(path).headers
        assert re.fullmatch(r"max-age=\d{8,}.*", headers["Strict-Transport-Security"]), path
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["X-Frame-Options"] == "SAMEORIGIN", path


@pytest.mark.fact("ARE-054", stack="S")
def test_api_web_and_dashboard_are_behind_one_host(stack: Stack) -> None:
    assert stack.get("/api/ready").json["checks"] == {"database": "ok", "cache": "ok"}
    assert stack.get("/health").status == 200
    assert "streamlit" in stack.get("/dashboard/").text.lower()


def test_a_host_that_nobody_published_is_not_served(stack: Stack) -> None:
    assert stack.get("/", headers={"Host": "elsewhere.example.org"}).status in (404, 421)


@pytest.mark.fact("ARE-035", stack="S")
@pytest.mark.fact("ARE-036", stack="S")
def test_a_job_is_worked_by_a_celery_worker_and_read_back(stack: Stack) -> None:
    created = stack.post("/api/jobs", {"text": TEXT})
    assert created.status == 201, created.text
    job = created.json["id"]
    done = eventually(
        lambda: (found := stack.get(f"/api/jobs/{job}").json)["state"] == "done" and found, what="the job is done"
    )
    assert {finding["rule"] for finding in done["findings"]} >= {"secret", "todo", "dynamic-code"}
    assert any(name_of(pod) in str(done["worker"]) for pod in stack.pods("worker")), done["worker"]


@pytest.mark.fact("ARE-034", stack="S")
def test_exactly_one_scheduler_ticks(stack: Stack) -> None:
    ticks = eventually(
        lambda: stack.get("/api/heartbeats?limit=50").json["heartbeats"], seconds=120, what="the first tick"
    )
    assert {tick["times"] for tick in ticks} == {1}


def test_metrics_are_not_shown_to_the_outside(stack: Stack) -> None:
    for path in ("/metrics", "/api/metrics", "/dashboard/_stcore/metrics"):
        assert stack.get(path).status == 404, path


@pytest.mark.fact("ARE-015", stack="S")
@pytest.mark.fact("ARE-112", stack="S")
@pytest.mark.parametrize("service", sorted(READY))
def test_every_pod_of_a_service_is_ready(stack: Stack, service: str) -> None:
    assert [is_ready(pod) for pod in stack.pods(service)] == [True] * READY[service]


@pytest.mark.fact("ARE-043", stack="S")
@pytest.mark.fact("ARE-039", stack="S")
def test_postgresql_15_has_a_standby_that_streams(stack: Stack) -> None:
    (cluster,) = stack.objects("clusters.postgresql.cnpg.io")
    assert cluster["status"]["readyInstances"] == cluster["spec"]["instances"] == 2
    assert stack.query("SHOW server_version").startswith("15.")
    standbys = [name_of(pod) for pod in stack.pods("postgres") if name_of(pod) != stack.primary()]
    assert stack.query("SELECT application_name, state, sync_state FROM pg_stat_replication").split("|") == [
        *standbys,
        "streaming",
        "quorum",
    ]


@pytest.mark.fact("ARE-045", stack="S")
def test_the_replica_of_redis_is_in_sync(stack: Stack) -> None:
    primary = stack.redis("redis-0", "INFO", "replication").splitlines()
    assert "role:master" in primary
    assert "connected_slaves:1" in primary
    replica = stack.redis("redis-1", "INFO", "replication").splitlines()
    assert "role:slave" in replica
    assert "master_link_status:up" in replica


@pytest.mark.fact("ARE-059", stack="S")
@pytest.mark.fact("ARE-061", stack="S")
@pytest.mark.fact("ARE-062", stack="S")
def test_prometheus_finds_every_target_up(stack: Stack) -> None:
    def up() -> dict[tuple[str, str], int] | None:
        answer = stack.get("/prometheus/api/v1/targets?state=active")
        if answer.status != 200:
            return None
        counts: dict[tuple[str, str], int] = {}
        for target in answer.json["data"]["activeTargets"]:
            if target["health"] != "up":
                return None
            key = (target["labels"]["job"], target["labels"]["service"])
            counts[key] = counts.get(key, 0) + 1
        return counts if counts == TARGETS else None

    eventually(up, seconds=180, what=f"all targets up: {TARGETS}")


def test_both_namespaces_hold_every_pod_to_restricted(stack: Stack) -> None:
    spaces = {name_of(one): one for one in stack.objects("namespaces", "--selector", f"{LABEL}/stack={stack.name}")}
    assert set(spaces) == {stack.namespace, stack.ground}
    for space in spaces:
        assert spaces[space]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        # What runs already is judged anew when the label is set: each violation would be a warning.
        label = "pod-security.kubernetes.io/enforce=restricted"
        said = stack.warnings("label", "--dry-run=server", "--overwrite", f"namespace/{space}", label)
        assert said == "", said


def test_the_redirect_leads_to_a_page(stack: Stack) -> None:
    location = stack.request(f"http://{HOST}:{stack.http_port}/health").headers["Location"]
    assert LOOPBACK not in location
    assert stack.request(location).status == 200
