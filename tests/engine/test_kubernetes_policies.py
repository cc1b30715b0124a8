"""The policy pack in the real engine, on Kubernetes' objects. There is no cluster: nothing could be made unseen."""

from __future__ import annotations

import pytest
import yaml

from tests.engine.pack import FAR, VALUE, Project, exempt

MEMORY = "resources-container-limit-memory"
ENVIRONMENT = "secrets-environment-require-secret"
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "none",
    # A port that nobody listens on.
    "clusters": [{"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "none", "user": {}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
}
PRELUDE = """
import copy

import pulumi
from pulumi_kubernetes import Provider
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.autoscaling.v2 import HorizontalPodAutoscaler
from pulumi_kubernetes.core.v1 import ConfigMap, LimitRange, Namespace, ResourceQuota, Secret, Service
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

SECRET = pulumi.Config().get_secret("password")
OPTS = pulumi.ResourceOptions(provider=Provider("cluster", kubeconfig="kubeconfig.yaml"))


def labels(role="telemetry", service="shop"):
    pairs = {"stack": "dev", "system": "shop", "service": service, "role": role}
    return {f"ai-platform/{key}": value for key, value in pairs.items()}


def meta(name, **more):
    return {"name": name, "namespace": "shop", "labels": labels(**more)}


def namespace():
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    Namespace("shop", metadata={"name": "shop", "labels": labels() | enforced}, opts=OPTS)
    ResourceQuota("quota", metadata=meta("quota"), spec={"hard": {"pods": "50"}}, opts=OPTS)
    LimitRange("limits", metadata=meta("limits"), spec={"limits": [{"type": "Container"}]}, opts=OPTS)
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    NetworkPolicy("deny", metadata=meta("deny"), spec=deny, opts=OPTS)


CONTAINER = {
    "image": "ai-platform/api:0a1b2c3d4e5f",
    "imagePullPolicy": "IfNotPresent",
    "env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}],
    "ports": [{"name": "http", "containerPort": 8000}],
    "resources": {
        "requests": {"cpu": "250m", "memory": "512Mi", "ephemeral-storage": "64Mi"},
        "limits": {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "64Mi"},
    },
    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
    "livenessProbe": {"httpGet": {"path": "/health", "port": "http"}},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}


def deployment(name, role="telemetry", replicas=1, containers=None, pod=None, **changes):
    found = labels(role, name)
    chosen = {"matchLabels": {"ai-platform/service": name}}
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    inner = {
        "automountServiceAccountToken": False,
        "serviceAccountName": name,
        "topologySpreadConstraints": [spread | {"labelSelector": chosen}],
        "containers": containers or [{"name": "main"} | CONTAINER | changes],
    } | (pod or {})
    spec = {
        "selector": chosen,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": found}, "spec": inner},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return Deployment(name, metadata=meta(name, role=role, service=name), spec=spec, opts=OPTS)


def budget(name):
    chosen = {"matchLabels": {"ai-platform/service": name}}
    spec = {"selector": chosen, "maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    PodDisruptionBudget(name, metadata=meta(name, service=name), spec=spec, opts=OPTS)


namespace()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project.make(tmp_path_factory.mktemp("policies"), PRELUDE)
    (made.folder / "kubeconfig.yaml").write_text(yaml.safe_dump(KUBECONFIG), encoding="utf-8")
    return made


def test_a_stack_that_keeps_the_rules_is_planned(project: Project) -> None:
    ran = project.preview("""
        Secret("db", metadata=meta("db"), string_data={"password": SECRET}, opts=OPTS)
        ConfigMap("app", metadata=meta("app"), data={"app.yml": "debug: false"}, opts=OPTS)
        deployment("api", "app", 2)
        budget("api")
        port = {"name": "http", "port": 80, "targetPort": "http"}
        Service("api", metadata=meta("api", service="api"), opts=OPTS,
                spec={"selector": {"ai-platform/service": "api"}, "ports": [port]})
    """)
    assert ran.code == 0, ran.output
    assert "[mandatory]" not in ran.output
    assert "[advisory]" not in ran.output
    assert VALUE not in ran.output


def test_a_finding_names_resource_container_value_and_fix_and_nothing_is_deployed(project: Project) -> None:
    project.write("""
        small = copy.deepcopy(CONTAINER)
        small["resources"]["limits"]["memory"] = "1Gi"
        deployment("bad-api", containers=[{"name": "main"} | CONTAINER, {"name": "side"} | small])
    """)
    ran = project.pulumi("up", "--yes", "--policy-pack", "policies")
    assert ran.code != 0
    assert "[mandatory]" in ran.output
    assert "resources-container-request-memory" in ran.output
    assert "deployment bad-api, container side: requests 512Mi of memory and is limited to 1Gi" in ran.output
    assert "set `resources.requests.memory`" in ran.output
    assert "container main:" not in ran.output
    state = project.pulumi("stack", "export")
    assert "kubernetes:apps" not in state.output


@pytest.mark.parametrize(
    ("body", "policy", "finding"),
    [
        ("deployment('bad-api', resources={})", MEMORY, "container main: has no memory limit"),
        ("deployment('bad-api', pod={'hostNetwork': True})", "network-container-forbid-host", "remove `hostNetwork`"),
        (
            "deployment('bad-api', securityContext={'privileged': True})",
            "security-container-forbid-privileged",
            "is privileged",
        ),
        ("deployment('bad-api', image='api')", "images-reference-forbid-latest", "uses the image api without a tag"),
        ("deployment('bad-api', 'app', 2)", "replicas-budget-require", "deployment bad-api: has 2 replicas"),
        ("deployment('bad-api', 'app', 1)", "replicas-app-require", "service shop/bad-api: has 1 replica and needs 2"),
        (
            "deployment('bad-api', 'app', 2, livenessProbe=None)",
            "lifecycle-container-require-liveness",
            "set `livenessProbe`",
        ),
        (
            "Service('bad', metadata=meta('bad'), spec={'type': 'NodePort'}, opts=OPTS)",
            "network-service-restrict-type",
            "is of type NodePort",
        ),
        (
            "Namespace('bad', metadata={'name': 'bad', 'labels': labels()}, opts=OPTS)",
            "network-namespace-deny-default",
            "namespace bad: lets everybody in",
        ),
    ],
)
def test_each_family_stops_the_preview(project: Project, body: str, policy: str, finding: str) -> None:
    ran = project.preview(body)
    assert ran.code != 0
    assert policy in ran.output
    assert finding in ran.output


def test_a_number_of_replicas_beside_an_autoscaler_is_refused(project: Project) -> None:
    body = """
        made = deployment("bad-api", "app", REPLICAS)
        budget("bad-api")
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": made.metadata["name"]}
        HorizontalPodAutoscaler("bad-api", metadata=meta("bad-api", service="bad-api"), opts=OPTS,
                                spec={"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4})
    """
    refused = project.preview(body.replace("REPLICAS", "3"))
    assert refused.code != 0
    assert "sets its replicas (3) beside the autoscaler bad-api; leave `spec.replicas` out" in refused.output
    allowed = project.preview(body.replace("REPLICAS", "None"))
    assert allowed.code == 0, allowed.output


@pytest.mark.parametrize("value", [f"'{VALUE}'", "SECRET"])
def test_a_password_in_a_pod_is_refused_secret_or_not_and_never_shown(project: Project, value: str) -> None:
    ran = project.preview(f"deployment('bad-api', env=[{{'name': 'DB_PASSWORD', 'value': {value}}}])")
    assert ran.code != 0
    assert ENVIRONMENT in ran.output
    assert "valueFrom.secretKeyRef" in ran.output
    assert VALUE not in ran.output


def test_a_password_in_a_configmap_is_refused_secret_or_not_and_never_shown(project: Project) -> None:
    ran = project.preview("ConfigMap('bad', metadata=meta('bad'), data={'app.yml': SECRET}, opts=OPTS)")
    assert ran.code != 0
    assert "secrets-configmap-forbid" in ran.output
    assert VALUE not in ran.output


def test_a_url_of_references_passes(project: Project) -> None:
    ran = project.preview("""
        deployment("good", env=[{"name": "DATABASE_URL", "value": "postgresql://app:$(DB_PASSWORD)@postgres/shop"}])
    """)
    assert ran.code == 0, ran.output


def test_an_unknown_value_does_not_hide_a_fault_beside_it(project: Project) -> None:
    ran = project.preview("""
        made = ConfigMap("app", metadata=meta("app"), data={}, opts=OPTS)
        late = made.metadata["uid"]
        deployment("bad-api", resources={}, workingDir=late, env=[{"name": "UID", "value": late}])
    """)
    assert ran.code != 0
    assert "deployment bad-api, container main: has no memory limit" in ran.output
    assert "can't run policy" not in ran.output


def test_an_exemption_is_of_one_container_and_is_seen(project: Project) -> None:
    body = """
        bare = {key: value for key, value in CONTAINER.items() if key != "resources"}
        limited = {"name": "main"} | CONTAINER
        deployment("bad-api", containers=[limited, {"name": "side", "resources": {}} | bare])
    """
    rules = (
        "resources-container-limit-memory",
        "resources-container-request-memory",
        "resources-container-request-cpu",
    )
    entries = [exempt(rule, container="side")["exemptions"][0] for rule in rules]
    ran = project.preview(body, {"exemptions": entries})
    assert ran.code == 0, ran.output
    assert (
        f"{MEMORY} is exempted until {FAR} because load test 7 (team-a): deployment bad-api, container side"
        in ran.output
    )
    other = project.preview(body, {"exemptions": [exempt(rule, container="main")["exemptions"][0] for rule in rules]})
    assert other.code != 0
    assert "container side: has no memory limit" in other.output


def test_the_stack_file_lowers_a_rule_to_a_warning(project: Project) -> None:
    ran = project.preview(
        "deployment('bad-api', imagePullPolicy=None)", {"levels": {"images-container-set-pull": "advisory"}}
    )
    assert ran.code == 0, ran.output
    assert "[advisory] [severity: high]  images-container-set-pull" in ran.output


def test_nothing_gets_past_a_locked_rule(project: Project) -> None:
    policies = exempt("secrets-command-forbid") | {"levels": {"secrets-command-forbid": "disabled"}}
    ran = project.preview(f"deployment('bad-api', args=['--token', '{VALUE}'])", policies)
    assert ran.code != 0
    assert "this rule cannot be bypassed" in ran.output
    assert VALUE not in ran.output
