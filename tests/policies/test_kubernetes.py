"""Rules about objects of Kubernetes beside each other, and what the adapter makes of single ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from policies.engine import subject
from policies.kubernetes import (
    CRON_JOB,
    DATABASE,
    DEPLOYMENT,
    JOB,
    METRICS_SERVER,
    PODS,
    POOLER,
    STATEFUL_SET,
    quantity,
)
from policies.objects import (
    AUTOSCALERS,
    BUDGET,
    GATEWAY,
    INGRESS,
    LIMITS,
    NAMESPACE,
    NETWORK_POLICY,
    QUOTA,
    ROUTE,
    SCALED_OBJECT,
    SERVICE,
    selects,
)
from policies.rules import RULES
from policies.settings import Settings
from policies.subject import Resource
from policies.values import UNKNOWN as UNKNOWN_MARK
from tests.policies.support import (
    MISSING,
    RULES_BY_NAME,
    UNKNOWN,
    args,
    kube,
    kube_labels,
    stack_resource,
    texts,
    workload,
)

AUTOSCALER = AUTOSCALERS[0]
SERVICE_LABEL = {"ai-platform/service": "api"}
FINDS = {"matchLabels": SERVICE_LABEL}


def deployment(name: str = "api", kind: str = DEPLOYMENT, **changes: Any) -> Resource:
    return subject(stack_resource(workload(kind, **changes), name, kind))


def one(kind: str, spec: Mapping[str, Any] | None = None, name: str = "api", **more: Any) -> Resource:
    return subject(stack_resource(kube(spec, name, **more), name, kind))


def budget(**spec: Any) -> Resource:
    return one(BUDGET, {"selector": FINDS, "maxUnavailable": 1} | spec)


def scaler(low: Any = 2, target: Any = "api", **more: Any) -> Resource:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return one(AUTOSCALER, {"scaleTargetRef": reference, "minReplicas": low, "maxReplicas": 10}, **more)


def policy(name: str = "deny", selector: Any = None, **spec: Any) -> Resource:
    given = {"podSelector": {} if selector is None else selector, "policyTypes": ["Ingress", "Egress"]}
    return one(NETWORK_POLICY, given | spec, name)


def scaled(count: Any = MISSING, **changes: Any) -> Resource:
    return deployment(spec={"replicas": count}, **changes)


def gateway(*listeners: Mapping[str, Any]) -> Resource:
    return one(GATEWAY, {"gatewayClassName": "traefik", "listeners": list(listeners)}, "edge")


def route(section: Any = "websecure", **spec: Any) -> Resource:
    parent = {"name": "edge", "sectionName": section} if section else {"name": "edge"}
    return one(ROUTE, {"hostnames": ["a.example"], "parentRefs": [parent], "rules": [{}]} | spec)


SHOP = one(NAMESPACE, name="shop", metadata={"name": "shop", "namespace": MISSING})
PLAIN = {"name": "web", "protocol": "HTTP", "port": 8000}
SECURE = {"name": "websecure", "protocol": "HTTPS", "port": 8443, "tls": {"certificateRefs": [{"name": "edge"}]}}
REDIRECT = [{"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]}]
SCHEDULER = kube_labels(role="scheduler", service="beat")
WORKER = kube_labels(role="worker", service="worker")
DATA = kube_labels(role="data", service="redis")
PORT = {"port": 80, "targetPort": "http"}
KEDA = {"scaleTargetRef": {"name": "api"}, "minReplicaCount": 2}
UNKNOWN_NAMESPACE: dict[str, Any] = {"metadata": {"namespace": UNKNOWN}}

PASSES: list[tuple[str, list[Resource]]] = [
    ("replicas-app-require", [deployment()]),
    ("replicas-app-require", [scaled(), scaler(2)]),
    ("replicas-app-require", [scaled(), one(SCALED_OBJECT, KEDA)]),
    ("replicas-app-require", [scaled(UNKNOWN)]),
    ("replicas-app-require", [scaled(), scaler(2, UNKNOWN)]),
    ("replicas-worker-require", [scaled(1, labels=SCHEDULER), scaled(1, labels=WORKER)]),
    ("replicas-scheduler-limit", [scaled(1, labels=SCHEDULER)]),
    ("replicas-data-limit", [scaled(1, labels=DATA)]),
    ("replicas-data-limit", [deployment(kind=STATEFUL_SET, labels=DATA, spec={"replicas": 3})]),
    ("replicas-budget-require", [deployment(), budget()]),
    ("replicas-budget-require", [scaled(1)]),
    ("replicas-budget-require", [deployment(), budget(selector=UNKNOWN)]),
    ("replicas-budget-require", [deployment(metadata={"namespace": UNKNOWN}), budget()]),
    ("replicas-budget-forbid-blocking", [deployment(), budget()]),
    ("replicas-budget-forbid-blocking", [deployment(), budget(minAvailable=1, maxUnavailable=MISSING)]),
    ("replicas-budget-forbid-blocking", [scaled(), scaler(UNKNOWN), budget(minAvailable=2, maxUnavailable=MISSING)]),
    ("replicas-budget-forbid-blocking", [deployment(), budget(minAvailable=UNKNOWN, maxUnavailable=UNKNOWN)]),
    ("replicas-autoscaler-own-count", [scaled(), scaler()]),
    ("replicas-autoscaler-own-count", [deployment(), scaler(target="web")]),
    ("replicas-autoscaler-require-target", [scaled(), scaler()]),
    ("replicas-autoscaler-require-target", [scaler(target=UNKNOWN)]),
    ("replicas-workload-require-spread", [deployment()]),
    ("replicas-workload-require-spread", [scaled(1, pod={"topologySpreadConstraints": MISSING})]),
    ("replicas-workload-require-spread", [deployment(pod={"topologySpreadConstraints": UNKNOWN})]),
    ("resources-namespace-require-quota", [SHOP, one(QUOTA, {}), one(LIMITS, {})]),
    ("resources-namespace-require-quota", [SHOP, one(QUOTA, {}, **UNKNOWN_NAMESPACE), one(LIMITS, {})]),
    ("network-namespace-deny-default", [SHOP, policy()]),
    ("network-namespace-deny-default", [SHOP, policy(policyTypes=UNKNOWN)]),
    ("network-pod-require-policy", [deployment(), policy()]),
    ("network-pod-require-policy", [deployment(), policy("api", FINDS, ingress=[{}], egress=[{}])]),
    ("network-pod-require-policy", [one(DATABASE, {}, "db"), policy("db", {"matchLabels": {"cnpg.io/cluster": "db"}})]),
    ("network-pod-require-policy", [deployment(), policy("api", UNKNOWN)]),
    ("network-service-require-target", [deployment(), one(SERVICE, {"selector": SERVICE_LABEL, "ports": [PORT]})]),
    ("network-service-require-target", [one(SERVICE, {"selector": {"cnpg.io/cluster": "db"}})]),
    ("network-service-require-target", [one(SERVICE, {"externalName": "db.example"})]),
    ("network-service-require-target", [deployment(), one(SERVICE, {"selector": {"ai-platform/service": UNKNOWN}})]),
    ("network-route-require-tls", [gateway(PLAIN, SECURE), route()]),
    ("network-route-require-tls", [gateway(PLAIN, SECURE), route("web", rules=REDIRECT)]),
    ("network-route-require-tls", [gateway(PLAIN, SECURE), route(UNKNOWN)]),
    ("network-route-require-tls", [gateway(SECURE | {"tls": UNKNOWN}), route(None)]),
    ("network-route-require-tls", [one(INGRESS, {"tls": [{"secretName": "edge"}]})]),
]
FAILS: list[tuple[str, list[Resource], str, str]] = [
    ("replicas-app-require", [scaled(1)], "service shop/api", "has 1 replica and needs 2"),
    ("replicas-app-require", [scaled()], "service shop/api", "has 1 replica"),
    ("replicas-app-require", [scaled(), scaler(1)], "service shop/api", "`scale.min`"),
    ("replicas-worker-require", [scaled(1, labels=SCHEDULER), scaled(0, labels=WORKER)], "service shop/beat", "worker"),
    ("replicas-scheduler-limit", [deployment(labels=SCHEDULER)], "service shop/beat", "set its replicas to 1"),
    ("replicas-scheduler-limit", [scaled(labels=SCHEDULER), scaler(1)], "service shop/beat", "remove its autoscaler"),
    ("replicas-data-limit", [deployment(labels=DATA)], "service shop/redis", "one data folder"),
    ("replicas-budget-require", [deployment()], "deployment api", "add a PodDisruptionBudget"),
    ("replicas-budget-require", [scaled(), scaler(3)], "deployment api", "has 3 replicas"),
    (
        "replicas-budget-require",
        [deployment(), budget(selector={"matchLabels": {"ai-platform/service": "web"}})],
        "deployment api",
        "selects its pods",
    ),
    (
        "replicas-budget-require",
        [deployment(), one(BUDGET, {"selector": FINDS}, metadata={"namespace": "blog"})],
        "deployment api",
        "no budget",
    ),
    ("replicas-budget-forbid-blocking", [budget(maxUnavailable=0)], "poddisruptionbudget api", "lets no pod go"),
    (
        "replicas-budget-forbid-blocking",
        [scaled(), scaler(2), budget(minAvailable=2, maxUnavailable=MISSING)],
        "poddisruptionbudget api",
        "wants 2 of 2 pods of api",
    ),
    (
        "replicas-budget-forbid-blocking",
        [deployment(), budget(minAvailable="100%", maxUnavailable=MISSING)],
        "poddisruptionbudget api",
        "wants 100%",
    ),
    ("replicas-autoscaler-own-count", [deployment(), scaler()], "deployment api", "leave `spec.replicas` out"),
    ("replicas-autoscaler-require-target", [deployment(), scaler(target="web")], "autoscaler api", "Deployment web"),
    (
        "replicas-autoscaler-require-target",
        [deployment(), scaler(metadata={"namespace": "blog"})],
        "autoscaler api",
        "scaleTargetRef",
    ),
    (
        "replicas-workload-require-spread",
        [deployment(pod={"topologySpreadConstraints": MISSING})],
        "deployment api",
        "add `topologySpreadConstraints`",
    ),
    (
        "replicas-workload-require-spread",
        [deployment(pod={"topologySpreadConstraints": [{"labelSelector": {"matchLabels": {"app": "web"}}}]})],
        "deployment api",
        "finds its pods",
    ),
    ("resources-namespace-require-quota", [SHOP, one(LIMITS, {})], "namespace shop", "add a ResourceQuota"),
    ("resources-namespace-require-quota", [SHOP, one(QUOTA, {})], "namespace shop", "add a LimitRange"),
    ("network-namespace-deny-default", [SHOP], "namespace shop", "empty `podSelector`"),
    ("network-namespace-deny-default", [SHOP, policy(selector=FINDS)], "namespace shop", "lets everybody in"),
    ("network-namespace-deny-default", [SHOP, policy(policyTypes=["Ingress"])], "namespace shop", "Egress"),
    ("network-namespace-deny-default", [SHOP, policy(ingress=[{}])], "namespace shop", "no rules"),
    ("network-pod-require-policy", [deployment()], "deployment api", "for Ingress and Egress"),
    ("network-pod-require-policy", [deployment(), policy(policyTypes=["Ingress"])], "deployment api", "for Egress;"),
    ("network-pod-require-policy", [one(DATABASE, {}, "db"), policy("api", FINDS)], "cluster db", "`podSelector`"),
    (
        "network-service-require-target",
        [deployment(), one(SERVICE, {"selector": {"ai-platform/service": "web"}})],
        "service api",
        "selects no pods",
    ),
    (
        "network-service-require-target",
        [deployment(), one(SERVICE, {"selector": SERVICE_LABEL, "ports": [{"port": 80, "targetPort": 9000}]})],
        "service api",
        "sends to port 9000",
    ),
    ("network-route-require-tls", [gateway(PLAIN), route("web")], "httproute api", "answers on edge/web without TLS"),
    ("network-route-require-tls", [gateway(PLAIN, SECURE), route(None)], "httproute api", "sectionName"),
    ("network-route-require-tls", [gateway(SECURE | {"tls": {}})], "gateway edge", "set `tls.certificateRefs`"),
    ("network-route-require-tls", [one(INGRESS, {})], "ingress api", "set `spec.tls`"),
]


def messages(rule: str, resources: list[Resource]) -> list[str]:
    return [finding.message for finding in RULES_BY_NAME[rule].stack_findings(resources, Settings())]


def test_every_rule_about_the_stack_passes_and_fails_here() -> None:
    of_stack = {rule.name for rule in RULES if rule.check_stack is not None}
    assert {rule for rule, _ in PASSES} == {rule for rule, *_ in FAILS} == of_stack


@pytest.mark.parametrize(("rule", "resources"), PASSES)
def test_objects_that_fit_together_pass(rule: str, resources: list[Resource]) -> None:
    assert messages(rule, resources) == []


@pytest.mark.parametrize(("rule", "resources", "start", "advice"), FAILS)
def test_objects_that_do_not_fit_together_are_found_with_advice(
    rule: str, resources: list[Resource], start: str, advice: str
) -> None:
    found = messages(rule, resources)
    assert len(found) == 1
    assert start in found[0].split(": ")[0]
    assert advice in found[0]


@pytest.mark.parametrize("rule", sorted({rule for rule, *_ in FAILS}))
def test_rules_about_the_stack_do_not_look_at_other_types_and_bear_what_is_empty(rule: str) -> None:
    others = [Resource("kubernetes:core/v1:ServiceAccount", "x", "urn", one.marked) for one in FAILS[0][1]]
    assert messages(rule, others) == []
    empty: list[dict[str, Any]] = [
        {},
        {"metadata": {}, "spec": {}},
        {"metadata": UNKNOWN_MARK, "spec": UNKNOWN_MARK},
    ]
    for kind in {resource.type for name, resources, *_ in FAILS if name == rule for resource in resources}:
        for properties in empty:
            assert isinstance(messages(rule, [Resource(kind, "x", "urn", properties)]), list)


@pytest.mark.parametrize("kind", PODS)
def test_every_kind_that_bears_pods_is_looked_into(kind: str) -> None:
    found = texts("security-container-require-user", workload(kind, container={"securityContext": MISSING}), kind)
    assert len(found) == 1


@pytest.mark.parametrize("kind", PODS)
def test_an_object_that_keeps_every_rule_has_no_findings(kind: str) -> None:
    resource = subject(args(workload(kind), kind))
    assert [finding.message for rule in RULES for finding in rule.findings(resource, Settings())] == []


@pytest.mark.parametrize(("kind", "image"), [(DATABASE, "imageName"), (METRICS_SERVER, "image")])
def test_what_an_operator_runs_is_limited_and_named_too(kind: str, image: str) -> None:
    found = kube({image: "bitnami/x:latest", "resources": {"limits": {"memory": "8Mi"}}})
    for rule in (
        "images-reference-forbid-bitnami",
        "images-reference-forbid-latest",
        "resources-container-limit-memory",
    ):
        assert len(texts(rule, found, kind)) == 1
    assert texts("security-container-require-user", found, kind) == []


def test_what_a_pool_of_connections_runs_is_limited_and_selected_too() -> None:
    small = {"name": "pgbouncer", "image": "pgbouncer:1", "resources": {"limits": {"memory": "8Mi"}}}
    pooler = {"template": {"metadata": {"labels": SERVICE_LABEL}, "spec": {"containers": [small]}}}
    assert len(texts("resources-container-limit-memory", kube(pooler), POOLER)) == 1
    assert len(texts("resources-container-limit-memory", kube({"cluster": {"name": "db"}}), POOLER)) == 1
    assert texts("resources-container-limit-memory", kube({"template": UNKNOWN}), POOLER) == []
    assert messages("network-pod-require-policy", [one(POOLER, pooler), policy("api", FINDS)]) == []
    assert len(messages("network-pod-require-policy", [one(POOLER, pooler)])) == 1


def test_a_message_names_object_and_container() -> None:
    side = {"name": "exporter", "image": "exporter:latest"}
    resource = subject(args(workload(pod={"initContainers": [side]}), DEPLOYMENT, "shop-api"))
    found = RULES_BY_NAME["images-reference-forbid-latest"].findings(resource, Settings())
    assert [finding.message.partition(" uses")[0] for finding in found] == ["deployment shop-api, container exporter:"]


def test_what_prepares_a_pod_needs_no_probes_and_a_sidecar_does() -> None:
    bare = {"name": "migrate", "image": "a:1"}
    for extra, count in (({}, 0), ({"restartPolicy": "Always"}, 1)):
        found = texts(
            "lifecycle-container-require-liveness", workload(pod={"initContainers": [bare | extra]}), DEPLOYMENT
        )
        assert len(found) == count


def test_a_job_has_an_end_and_is_not_removed_behind_the_back_of_the_state() -> None:
    rule = "lifecycle-job-limit-life"
    assert texts(rule, workload(JOB), JOB) == []
    assert "activeDeadlineSeconds" in texts(rule, workload(JOB, spec={"activeDeadlineSeconds": MISSING}), JOB)[0]
    assert "ttlSecondsAfterFinished" in texts(rule, workload(JOB, spec={"ttlSecondsAfterFinished": 60}), JOB)[0]
    assert texts(rule, workload(JOB, spec={"ttlSecondsAfterFinished": UNKNOWN}), JOB) == []
    assert texts("lifecycle-job-limit-life", workload(CRON_JOB), CRON_JOB) == []


def test_an_ingress_names_its_hosts() -> None:
    rule = "network-route-require-host"
    assert texts(rule, kube({"rules": [{"host": "a.example"}, {"http": {}}]}), INGRESS)
    assert texts(rule, kube({"rules": [{"host": "a.example"}]}), INGRESS) == []


def test_objects_of_the_whole_cluster_need_no_namespace() -> None:
    assert texts("network-namespace-forbid-default", kube(metadata={"namespace": MISSING}), NAMESPACE) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [("250m", 0.25), ("1", 1), (2, 2), ("512Mi", 512 * 2**20), ("1G", 1e9), ("1e3", 1000), ("1.5Gi", 1.5 * 2**30)],
)
def test_quantities_are_read_as_kubernetes_writes_them(text: object, number: float) -> None:
    assert quantity(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "lots", "1 Gi", "1gi", "Mi", None, True, [1]])
def test_what_is_no_quantity_is_none(text: object) -> None:
    assert quantity(text) is None


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ({}, True),
        (None, False),
        ({"matchLabels": {"a": "1"}}, True),
        ({"matchLabels": {"a": "2"}}, False),
        ({"matchLabels": {"b": "1"}}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, False),
        ({"matchExpressions": [{"key": "b", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}, True),
        ({"matchLabels": {"a": UNKNOWN_MARK}}, True),
    ],
)
def test_selectors_find_what_kubernetes_finds(selector: Any, found: bool) -> None:
    assert selects(selector, {"a": "1"}) is found
