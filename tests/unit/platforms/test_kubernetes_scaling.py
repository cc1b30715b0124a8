"""Workers by their queue where KEDA is, by their load elsewhere; everything else by its load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import run, tracked
from tests.support.recording import SECRET, Graph

WORKER = "ai-review-engine-jobs-worker"


def staging(folder: Path, autoscaler: str) -> Graph:
    """The tracked staging stack with one of the autoscalers."""
    config = tracked("staging")
    return run(config | {"platform": config["platform"] | {"autoscaler": autoscaler}}, folder, stack="staging")


@pytest.fixture(scope="module")
def keda(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return staging(tmp_path_factory.mktemp("keda"), "keda")


@pytest.fixture(scope="module")
def hpa(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return staging(tmp_path_factory.mktemp("hpa"), "hpa")


def environment(graph: Graph, resource: str) -> dict[str, Any]:
    (container,) = graph.named(resource).inputs["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value") for variable in container["env"]}


def test_keda_watches_the_list_that_the_workers_take_their_jobs_from(keda: Graph) -> None:
    """ARE-033."""
    (trigger,) = [one for one in triggers(keda) if one["type"] == "redis"]
    broker = environment(keda, WORKER)["CELERY_BROKER_URL"].partition("@")[2]
    host, _, database = broker.partition("/")
    service, _, port = host.partition(":")
    assert trigger["metadata"]["address"] == f"{service}.ai-review-engine-staging.svc:{port}"
    assert trigger["metadata"]["databaseIndex"] == database
    assert trigger["metadata"]["listName"] == "celery"
    assert int(trigger["metadata"]["listLength"]) > 0


def triggers(graph: Graph) -> list[Any]:
    return list(graph.named(f"{WORKER}-scale").inputs["spec"]["triggers"])


def test_keda_logs_in_by_a_secret_of_the_namespace(keda: Graph) -> None:
    login = keda.named(f"{WORKER}-queue-login")
    (trigger,) = [one for one in triggers(keda) if one["type"] == "redis"]
    assert trigger["authenticationRef"]["name"] == f"{login.name}-0000000"
    (source,) = login.inputs["spec"]["secretTargetRef"]
    secret = keda.named(f"{WORKER}-queue-password")
    assert source == {"parameter": "password", "name": f"{secret.name}-0000000", "key": "password"}
    assert secret.inputs["stringData"]["password"].startswith(SECRET)


def test_keda_is_let_in_to_the_queue_and_to_nothing_else(keda: Graph) -> None:
    doors = {
        one.name: one.inputs["spec"]
        for one in keda.of_type(":NetworkPolicy")
        if "'kubernetes.io/metadata.name': 'keda'" in str(one.inputs)
    }
    ((name, door),) = doors.items()
    assert door["podSelector"]["matchLabels"]["ai-platform/service"] == "redis"
    assert [port["port"] for rule in door["ingress"] for port in rule["ports"]] == [6379]
    assert keda.named(name).urn in keda.named(f"{WORKER}-scale").depends_on


def test_both_rules_keep_the_documents_bounds_and_leave_the_number_to_the_autoscaler(keda: Graph, hpa: Graph) -> None:
    """ARE-032."""
    by_queue, by_load = (graph.named(f"{WORKER}-scale").inputs["spec"] for graph in (keda, hpa))
    assert (by_queue["minReplicaCount"], by_queue["maxReplicaCount"]) == (3, 15)
    assert (by_load["minReplicas"], by_load["maxReplicas"]) == (3, 15)
    for graph, rule in ((keda, by_queue), (hpa, by_load)):
        deployment = graph.named(WORKER)
        assert "replicas" not in deployment.inputs["spec"]
        assert rule["scaleTargetRef"]["name"] == f"{deployment.name}-0000000"


def test_full_workers_count_even_when_the_list_is_short(keda: Graph, hpa: Graph) -> None:
    (share,) = [one["metadata"]["value"] for one in triggers(keda) if one["type"] == "cpu"]
    (metric,) = hpa.named(f"{WORKER}-scale").inputs["spec"]["metrics"]
    assert int(share) == metric["resource"]["target"]["averageUtilization"]


def test_both_rules_shrink_with_the_same_patience(keda: Graph, hpa: Graph) -> None:
    by_queue, by_load = (graph.named(f"{WORKER}-scale").inputs["spec"] for graph in (keda, hpa))
    assert by_queue["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == by_load["behavior"]


def test_what_has_no_queue_scales_by_its_load_with_either(keda: Graph, hpa: Graph) -> None:
    for graph in (keda, hpa):
        assert graph.named("ai-review-engine-api-scale").type == ("kubernetes:autoscaling/v2:HorizontalPodAutoscaler")
    assert keda.named(f"{WORKER}-scale").type == "kubernetes:keda.sh/v1alpha1:ScaledObject"
    assert [one for one in hpa.resources if ":keda.sh/" in one.type] == []
