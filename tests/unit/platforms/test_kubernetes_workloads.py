"""Services, jobs and node services: which objects they become, and what decides on replicas and roll-outs."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from platforms.kubernetes.workloads import KubernetesWorkloads, replicas
from platforms.specs import GIB, MIB, Health, HttpProbe, JobSpec, Resources, Scale, ServiceSpec, Started, Volume
from tests.support.kubernetes import cluster, context, made, service
from tests.support.recording import Graph


def served(spec: ServiceSpec, **settings: Any) -> Graph:
    return made(lambda parent: KubernetesWorkloads(context(**settings)).serve("shop-web", spec, parent=parent))


def spec_of(graph: Graph, suffix: str) -> Any:
    (one,) = graph.of_type(f":{suffix}")
    return one.inputs["spec"]


def kinds(graph: Graph) -> list[str]:
    return sorted(one.type.rpartition(":")[2] for one in graph.resources if one.custom)


def test_one_replica_is_a_deployment_behind_a_service_with_an_account_of_its_own() -> None:
    graph = served(service())
    assert kinds(graph) == ["Deployment", "Service", "ServiceAccount"]
    assert spec_of(graph, "Deployment")["replicas"] == 1
    assert graph.named("shop-web-service").inputs["metadata"]["name"] == "web"
    assert spec_of(graph, "Service")["ports"][0]["port"] == 8000
    assert spec_of(graph, "Service")["selector"] == spec_of(graph, "Deployment")["selector"]["matchLabels"]
    assert graph.named("shop-web-account").inputs["automountServiceAccountToken"] is False


def test_a_service_without_a_port_has_no_service_object() -> None:
    assert kinds(served(service(port=None))) == ["Deployment", "ServiceAccount"]


def test_the_service_object_waits_for_pods_that_are_ready() -> None:
    graph = served(service())
    deployment = next(one for one in graph.of_type(":Deployment"))
    assert deployment.urn in graph.named("shop-web-service").depends_on


@pytest.mark.parametrize(
    ("changes", "fewest"),
    [
        ({"replicas": 1}, 1),
        ({"replicas": 2}, 2),
        ({"scale": Scale(min=1, max=4)}, 1),
        ({"scale": Scale(min=3, max=4)}, 3),
    ],
)
def test_more_than_one_replica_has_a_budget_of_one_that_may_go(changes: dict[str, Any], fewest: int) -> None:
    spec = service(**changes)
    assert replicas(spec) == fewest
    budgets = served(spec).of_type(":PodDisruptionBudget")
    assert len(budgets) == (fewest > 1)
    for budget in budgets:
        assert budget.inputs["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize(("overcommit", "expected"), [(1, 70), (4, 280), (10, 700)])
def test_the_autoscaler_aims_at_a_share_of_the_upper_bound(overcommit: float, expected: int) -> None:
    graph = served(service(scale=Scale(min=2, max=10)), cluster=cluster(overcommit=overcommit))
    scale = spec_of(graph, "HorizontalPodAutoscaler")
    assert (scale["minReplicas"], scale["maxReplicas"]) == (2, 10)
    found = {one["resource"]["name"]: one["resource"]["target"]["averageUtilization"] for one in scale["metrics"]}
    assert found == {"cpu": expected, "memory": 80}, "memory's request is its limit"
    pods = spec_of(graph, "Deployment")["template"]["spec"]["containers"][0]["resources"]
    request, limit = (int(pods[key]["cpu"].removesuffix("m")) for key in ("requests", "limits"))
    assert round(expected * request / limit) == 70


def test_memory_may_say_nothing_of_the_load() -> None:
    scale = spec_of(served(service(scale=Scale(min=3, max=15, memory=None))), "HorizontalPodAutoscaler")
    assert [one["resource"]["name"] for one in scale["metrics"]] == ["cpu"]


def test_replicas_come_at_once_and_go_one_by_one() -> None:
    behaviour = spec_of(served(service(scale=Scale(min=2, max=10))), "HorizontalPodAutoscaler")["behavior"]
    assert behaviour["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behaviour["scaleDown"]["stabilizationWindowSeconds"] == 120
    assert behaviour["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


def test_the_number_of_replicas_has_one_owner() -> None:
    assert "replicas" not in spec_of(served(service(scale=Scale(min=2, max=10), replicas=2)), "Deployment")


def test_what_may_not_run_twice_is_ended_first() -> None:
    assert spec_of(served(service(rollout="exclusive")), "Deployment")["strategy"] == {"type": "Recreate"}
    overlap = spec_of(served(service(rollout="overlap")), "Deployment")["strategy"]
    assert overlap["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_a_roll_out_fails_after_the_deadline_of_the_health_check() -> None:
    health = Health(probe=HttpProbe(path="/", port=8000), deadline=77)
    assert spec_of(served(service(health=health)), "Deployment")["progressDeadlineSeconds"] == 77
    assert spec_of(served(service()), "Deployment")["progressDeadlineSeconds"] == 600


@pytest.mark.parametrize("storage_class", [None, "fast"])
def test_data_gets_a_claim_that_stays_where_it_is_asked_to(storage_class: str | None) -> None:
    volume = Volume(name="data", size=3 * GIB, keeps_data=True, retain=True)
    graph = served(service(volumes={"/data": volume}), cluster=cluster(storage_class=storage_class))
    claim = graph.named("shop-web-data")
    assert claim.inputs["metadata"]["name"] == "web-data"
    assert claim.inputs["spec"]["resources"]["requests"]["storage"] == "3072Mi"
    assert claim.inputs["spec"].get("storageClassName") == storage_class
    assert claim.retain_on_delete is True
    assert claim.urn in graph.of_type(":Deployment")[0].depends_on


def test_the_account_knows_the_logins_of_the_registries() -> None:
    graph = made(
        lambda parent: KubernetesWorkloads(context(pull_secret=pulumi.Output.from_input("logins"))).serve(
            "shop-web", service(), parent=parent
        )
    )
    assert graph.named("shop-web-account").inputs["imagePullSecrets"] == [{"name": "logins"}]


def job(**changes: Any) -> JobSpec:
    settings: dict[str, Any] = {
        "service": "schema",
        "image": "web:1",
        "command": ("migrate",),
        "resources": Resources(cpu=0.5, memory=128 * MIB),
    }
    return JobSpec(**settings | changes)


def test_a_job_ends_and_one_that_failed_is_made_anew() -> None:
    graph = made(lambda parent: KubernetesWorkloads(context()).run_once("shop-schema", job(), parent=parent))
    (made_job,) = graph.of_type(":Job")
    assert made_job.inputs["metadata"]["annotations"]["pulumi.com/replaceUnready"] == "true"
    assert made_job.inputs["spec"]["backoffLimit"] == 2
    assert made_job.inputs["spec"]["activeDeadlineSeconds"] == 600
    assert "ttlSecondsAfterFinished" not in made_job.inputs["spec"], "the state owns it"


def test_what_comes_after_waits_for_it() -> None:
    def make(parent: pulumi.Resource) -> None:
        workloads = KubernetesWorkloads(context())
        done = workloads.run_once("shop-schema", job(), parent=parent)
        web = workloads.serve("shop-web", service(after=[done]), parent=parent)
        workloads.serve("shop-page", service(service="page", after=[Started(ready=web.ready)]), parent=parent)

    graph = made(make)
    by_name = {one.name: one for one in graph.resources if one.type.endswith((":Deployment", ":Job", ":Service"))}
    assert by_name["shop-schema"].urn in by_name["shop-web"].depends_on
    assert {by_name["shop-web"].urn, by_name["shop-web-service"].urn} <= by_name["shop-page"].depends_on


def test_a_service_on_each_node_is_a_daemon_set_without_a_service_object() -> None:
    graph = made(lambda parent: KubernetesWorkloads(context()).on_each_node("shop-node", service(), parent=parent))
    assert kinds(graph) == ["DaemonSet", "ServiceAccount"]
    assert "topologySpreadConstraints" not in spec_of(graph, "DaemonSet")["template"]["spec"]


def test_an_endpoint_is_known_before_its_service_is_there() -> None:
    found = KubernetesWorkloads(context()).reserve(service())
    assert found.url == "http://web:8000"
    foreign = KubernetesWorkloads(context(local=False, namespace="ai-platform-staging")).reserve(service())
    assert foreign.url == "http://web.ai-platform-staging.svc:8000"
    with pytest.raises(ValueError, match="web has no port to be reached at"):
        KubernetesWorkloads(context()).reserve(service(port=None))
