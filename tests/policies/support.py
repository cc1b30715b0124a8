"""Resources as the engine sends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2
from pulumi.runtime import proto
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from policies.engine import subject
from policies.kubernetes import CRON_JOB, DEPLOYMENT, JOB, POD
from policies.names import POLICY_NAMES
from policies.rule import Rule
from policies.rules import RULES
from policies.settings import Settings
from policies.subject import CONTAINER

UNKNOWN = UNKNOWN_STRING_VALUE
"""What stands on the wire for a value that is not known in a preview."""
RULES_BY_NAME: Mapping[str, Rule] = dict(zip(POLICY_NAMES, RULES, strict=True))
MISSING = object()
"""Stands for: leave this property out."""


def secret(value: Any) -> dict[str, Any]:
    """A Pulumi secret on the wire."""
    return {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG, "value": value}


def labels(**values: str) -> list[dict[str, str]]:
    """Docker labels; `role="app"` is `ai-platform.role`."""
    merged = {"stack": "dev", "system": "shop", "service": "api", "role": "app"} | values
    return [{"label": f"ai-platform.{key}", "value": value} for key, value in merged.items() if value]


def container(**changes: Any) -> dict[str, Any]:
    """Inputs of a container that breaks no rule, with changes; `MISSING` leaves a property out."""
    inputs: dict[str, Any] = {
        "image": "sha256:" + "0a" * 32,
        "command": ["uvicorn", "main:app", "--host", "0.0.0.0"],  # noqa: S104 - inside a container
        "envs": ["ENVIRONMENT=development", "PORT=8000"],
        "labels": labels(),
        "memory": 512,
        "cpus": "0.5",
        "ulimits": [{"name": "nproc", "soft": 256, "hard": 256}],
        "logDriver": "json-file",
        "logOpts": {"max-size": "10m", "max-file": "3"},
        "restart": "unless-stopped",
        "healthcheck": {"tests": ["CMD", "curl", "-fsS", "http://127.0.0.1:8000/health"], "interval": "5s"},
        "networkMode": "bridge",
        "networksAdvanced": [{"name": "shop-net", "aliases": ["api"]}],
        "capabilities": {"drops": ["ALL"]},
        "securityOpts": ["no-new-privileges:true"],
        "user": "10001:10001",
        "readOnly": True,
    }
    return {key: value for key, value in (inputs | changes).items() if value is not MISSING}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Objects merged at every depth; a list replaces a list. `MISSING` stays until `pruned` leaves it out."""
    result = dict(base)
    for key, value in changes.items():
        inner = result.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping) and SPECIAL_SIG_KEY not in {*inner, *value}:
            result[key] = merged(inner, value)
        else:
            result[key] = value
    return result


def pruned(value: Any) -> Any:
    """The same without what is `MISSING`."""
    if isinstance(value, Mapping):
        return {key: pruned(inner) for key, inner in value.items() if inner is not MISSING}
    return [pruned(inner) for inner in value] if isinstance(value, list) else value


def kube_labels(**values: str) -> dict[str, str]:
    """Kubernetes' labels; `role="app"` is `ai-platform/role`."""
    found = {"stack": "staging", "system": "shop", "service": "api", "role": "app"} | values
    return {f"ai-platform/{key}": value for key, value in found.items() if value}


KUBE_CONTAINER: Mapping[str, Any] = {
    "name": "api",
    "image": "ai-platform/api:0a1b2c3d4e5f",
    "imagePullPolicy": "IfNotPresent",
    "command": ["uvicorn", "main:app"],
    "env": [
        {"name": "ENVIRONMENT", "value": "staging"},
        {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "shop-db", "key": "password"}}},
        {"name": "DATABASE_URL", "value": "postgresql://app:$(DB_PASSWORD)@postgres:5432/shop"},
    ],
    "ports": [{"name": "http", "containerPort": 8000}],
    "resources": {
        "requests": {"cpu": "250m", "memory": "512Mi", "ephemeral-storage": "256Mi"},
        "limits": {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "256Mi"},
    },
    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
    "livenessProbe": {"httpGet": {"path": "/health", "port": 8000}},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}
KUBE_POD: Mapping[str, Any] = {
    "automountServiceAccountToken": False,
    "serviceAccountName": "api",
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"ai-platform/service": "api"}},
        }
    ],
}


def workload(kind: str = DEPLOYMENT, labels: Mapping[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    """Inputs of a pod-bearing object that breaks no rule.

    Changes are given by place: `container`, `pod`, `spec`, `metadata`, `pod_metadata`.
    """
    found = kube_labels() if labels is None else labels
    pod = {**KUBE_POD, "containers": [merged_or(KUBE_CONTAINER, changes.get("container"))]}
    if kind in (JOB, CRON_JOB):
        pod |= {"restartPolicy": "Never"}
    bearer = {
        "metadata": merged_or({"labels": found}, changes.get("pod_metadata")),
        "spec": merged_or(pod, changes.get("pod")),
    }
    spec: dict[str, Any] = {"template": bearer}
    if kind == DEPLOYMENT:
        spec |= {
            "replicas": 2,
            "selector": {"matchLabels": {"ai-platform/service": "api"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        }
    elif kind == JOB:
        spec |= {"activeDeadlineSeconds": 600}
    elif kind == CRON_JOB:
        spec |= {"ttlSecondsAfterFinished": 3600}
    if kind == CRON_JOB:
        more = {"schedule": "0 2 * * *", "startingDeadlineSeconds": 600, "concurrencyPolicy": "Forbid"}
        spec = more | {"jobTemplate": {"spec": spec}}
    elif kind == POD:
        spec = bearer["spec"]
    metadata = {"name": "api", "namespace": "shop", "labels": found}
    made: dict[str, Any] = pruned(
        {"metadata": merged_or(metadata, changes.get("metadata")), "spec": merged_or(spec, changes.get("spec"))}
    )
    return made


def merged_or(base: Mapping[str, Any], changes: Any) -> Any:
    """Merged, or replaced by what is no object."""
    return merged(base, changes or {}) if isinstance(changes, Mapping | None) else changes


def kube(spec: Mapping[str, Any] | None = None, name: str = "api", **more: Any) -> dict[str, Any]:
    """Inputs of another object in the namespace `shop`."""
    base = {"metadata": {"name": name, "namespace": "shop", "labels": kube_labels()}}
    made: dict[str, Any] = pruned(merged(base | ({"spec": dict(spec)} if spec is not None else {}), more))
    return made


def wire(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Properties as the engine marshals them."""
    message = struct_pb2.Struct()
    json_format.ParseDict(dict(properties), message)
    return message


def urn(kind: str, name: str) -> str:
    """A URN of the test stack."""
    return f"urn:pulumi:dev::ai-platform::{kind}::{name}"


def args(properties: Mapping[str, Any], kind: str = CONTAINER, name: str = "shop-api-0") -> proto.AnalyzeRequest:
    """What the engine asks about one resource."""
    return proto.AnalyzeRequest(type=kind, urn=urn(kind, name), name=name, properties=wire(properties))


def stack_resource(properties: Mapping[str, Any], name: str, kind: str = CONTAINER) -> proto.AnalyzerResource:
    """One resource of what the engine asks about the whole stack."""
    return proto.AnalyzerResource(type=kind, urn=urn(kind, name), name=name, properties=wire(properties))


def texts(
    rule: str, properties: Mapping[str, Any], kind: str = CONTAINER, settings: Settings | None = None
) -> list[str]:
    """What a resource rule says about one resource."""
    found = RULES_BY_NAME[rule].findings(subject(args(properties, kind)), settings or Settings())
    return [finding.text for finding in found]
