"""Metrics: what is scraped how often, by whom, and with which rights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pytest

from platforms.kubernetes.namespaces import Namespaces, Quota
from platforms.kubernetes.telemetry import KubernetesTelemetry
from platforms.kubernetes.workloads import KubernetesWorkloads
from platforms.secrets import HeldSecrets
from platforms.specs import GIB, AlertRule, ScrapeTarget, TelemetrySpec
from tests.support.kubernetes import NAMESPACE, cluster, context, endpoint, made
from tests.support.network_policies import network_of
from tests.support.recording import Graph

API = ScrapeTarget(job="shop", endpoint=endpoint("api", 8000), service="api")
BOARD = ScrapeTarget(job="shop", endpoint=endpoint("board", 8501), path="/_core/metrics", service="board")
NODE = ScrapeTarget(
    job="host", endpoint=endpoint("node", 9100, namespace="ai-platform-staging", system="foundation"), service="host"
)
RULE = AlertRule(name="Down", expression="up == 0", hold="2m", severity="page", summary="gone")


def collected(targets: Sequence[ScrapeTarget] = (API, BOARD, NODE), *, settings: Any = None, **changes: Any) -> Graph:
    spec: dict[str, Any] = {
        "targets": targets,
        "rules": [RULE],
        "dashboards": {"shop.json": "{}"},
        "scrape_interval": 15,
        "retention": 86_400,
        "external_url": "https://shop.example.org",
        "grafana": False,
    }

    def make(parent: pulumi.Resource) -> None:
        offers = cluster(**settings or {})
        namespaces = Namespaces(stack="staging", cluster=offers, quota=Quota(cpu=1, memory=GIB, pods=10), registries=())
        telemetry = KubernetesTelemetry(KubernetesWorkloads(context(cluster=offers)), HeldSecrets(), namespaces)
        telemetry.collect("shop-watch", TelemetrySpec(**spec | changes), parent=parent)

    return made(make)


def monitor(graph: Graph, service: str) -> Any:
    return graph.named(f"shop-watch-{service}").inputs["spec"]


def prometheus(graph: Graph) -> Any:
    return graph.named("shop-watch-prometheus").inputs["spec"]


def test_each_target_s_pods_are_scraped_at_their_own_port_and_path() -> None:
    graph = collected(scrape_interval=7)
    (api,), (board,) = (monitor(graph, name)["podMetricsEndpoints"] for name in ("api", "board"))
    assert (api["portNumber"], api["path"], api["interval"]) == (8000, "/metrics", "7s")
    assert (board["portNumber"], board["path"]) == (8501, "/_core/metrics")
    assert monitor(graph, "api")["selector"]["matchLabels"]["ai-platform/service"] == "api"
    assert monitor(graph, "host")["namespaceSelector"] == {"matchNames": ["ai-platform-staging"]}


def test_series_carry_the_labels_that_rules_and_dashboards_ask_for() -> None:
    (api,) = monitor(collected(), "api")["podMetricsEndpoints"]
    assert {one["targetLabel"]: one["replacement"] for one in api["relabelings"]} == {
        "job": "shop",
        "service": "api",
        "system": "shop",
    }


def test_prometheus_takes_its_own_system_s_objects_and_no_other_s() -> None:
    graph = collected()
    mine = {"matchLabels": {"ai-platform/system": "shop"}}
    assert prometheus(graph)["podMonitorSelector"] == prometheus(graph)["ruleSelector"] == mine
    for one in (*graph.of_type(":PodMonitor"), *graph.of_type(":PrometheusRule")):
        assert one.inputs["metadata"]["labels"]["ai-platform/system"] == "shop"
        assert one.inputs["metadata"]["namespace"] == NAMESPACE


def test_interval_retention_and_address_are_those_of_the_system() -> None:
    found = prometheus(collected(scrape_interval=30, retention=7200))
    assert (found["scrapeInterval"], found["evaluationInterval"], found["retention"]) == ("30s", "30s", "7200s")
    assert found["externalUrl"] == "https://shop.example.org/prometheus/"
    assert found["externalLabels"] == {"stack": "staging", "system": "shop"}


def test_the_rules_become_one_group() -> None:
    (group,) = collected().named("shop-watch-rules").inputs["spec"]["groups"]
    assert group["rules"] == [
        {
            "alert": "Down",
            "expr": "up == 0",
            "for": "2m",
            "labels": {"severity": "page"},
            "annotations": {"summary": "gone"},
        }
    ]


def test_prometheus_may_list_pods_where_its_targets_are_and_nothing_else() -> None:
    graph = collected()
    roles = graph.of_type(":Role")
    assert {one.inputs["metadata"]["namespace"] for one in roles} == {NAMESPACE, "ai-platform-staging"}
    for one in roles:
        assert one.inputs["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    assert graph.of_type(":ClusterRole") == []
    for binding in graph.of_type(":RoleBinding"):
        assert binding.inputs["subjects"][0]["namespace"] == NAMESPACE


def test_prometheus_reaches_its_targets_and_the_api_server() -> None:
    graph = collected(targets=[API])
    network = network_of(graph)
    (server,) = network.pods
    assert network.lets_out(server, "10.96.0.1", 443)
    assert not network.lets_out(server, "10.96.0.1", 80)
    (inwards,) = [one for one in graph.of_type(":NetworkPolicy") if "ingress" in one.inputs["spec"]]
    assert inwards.inputs["spec"]["podSelector"]["matchLabels"]["ai-platform/service"] == "api"


def test_prometheus_runs_without_privileges_and_waits_for_what_it_reads() -> None:
    graph = collected()
    assert prometheus(graph)["securityContext"]["runAsNonRoot"] is True
    for one in prometheus(graph)["containers"]:
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    waits = {urn.rpartition("::")[2] for urn in graph.named("shop-watch-prometheus").depends_on}
    assert {"shop-watch-api", "shop-watch-board", "shop-watch-host", "shop-watch-rules"} <= waits


@pytest.mark.parametrize("named", [{}, {"image": "prom/prometheus:v2.53.5", "version": "v2.53.5"}])
def test_the_operator_brings_its_prometheus_unless_the_stack_file_names_one(named: dict[str, str]) -> None:
    found = prometheus(collected(settings={"metrics_image": named}))
    assert {key: found[key] for key in ("image", "version") if key in found} == named


@pytest.mark.parametrize("storage_class", [None, "fast"])
def test_series_lie_on_a_claim_of_the_stack_s_class(storage_class: str | None) -> None:
    found = prometheus(collected(settings={"storage_class": storage_class}))
    claim = found["storage"]["volumeClaimTemplate"]["spec"]
    assert claim["resources"]["requests"]["storage"] == "5120Mi"
    assert claim.get("storageClassName") == storage_class


def test_grafana_reads_this_prometheus_and_is_reached_by_nobody_of_its_own() -> None:
    graph = collected(grafana=True)
    (grafana,) = graph.of_type(":Deployment")
    assert grafana.name == "shop-watch-grafana"
    config = graph.named("shop-watch-grafana-config").inputs["data"]
    assert "http://prometheus:9090/prometheus/" in config["etc_grafana_provisioning_datasources_prometheus.yaml"]
    assert collected().of_type(":Deployment") == []
