"""Kubernetes objects of add-ons, restricted as the Pod Security Standard of that name wants them."""

from __future__ import annotations

from typing import Any

from toolchain.cluster.addons.addon import Object

LABEL = "ai-platform/addon"
"""On every object that is made here: the add-on's name."""
USER = 65532


def meta(addon: str, name: str, namespace: str = "") -> Object:
    """Metadata with the labels of an add-on's objects."""
    labels = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": addon,
        "app.kubernetes.io/managed-by": "ai-platform-toolchain",
        LABEL: addon,
    }
    return {"name": name, "labels": labels} | ({"namespace": namespace} if namespace else {})


def namespace(addon: str, name: str, *, privileged: bool = False) -> Object:
    """The add-on's namespace; `privileged` where its pods need what "restricted" forbids."""
    found: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": meta(addon, name)}
    found["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "privileged" if privileged else "restricted"
    return found


def account(addon: str, name: str, namespace: str, rules: list[Object]) -> list[Object]:
    """A ServiceAccount with a ClusterRole of its own."""
    role = f"{addon}:{name}"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(addon, name, namespace)},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": meta(addon, role) | {"labels": meta(addon, name)["labels"]},
            "rules": rules,
        },
        binding(addon, role, role, name, namespace),
    ]


def binding(addon: str, name: str, role: str, account: str, namespace: str) -> Object:
    """A ClusterRoleBinding of a ServiceAccount."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": meta(addon, name) | {"labels": meta(addon, account)["labels"]},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }


def local_role(addon: str, name: str, namespace: str, rules: list[Object], account: str | None = None) -> list[Object]:
    """A Role in a namespace and its binding to the account of the same (or the given) name there."""
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": meta(addon, name, namespace),
            "rules": rules,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": meta(addon, name, namespace),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account or name, "namespace": namespace}],
        },
    ]


def service(addon: str, name: str, namespace: str, ports: dict[str, tuple[int, int]]) -> Object:
    """A Service of the Deployment of the same name; ports: name → (Service's port, container's port)."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(addon, name, namespace),
        "spec": {
            "selector": {"app.kubernetes.io/name": name},
            "ports": [{"name": key, "port": port, "targetPort": target} for key, (port, target) in ports.items()],
        },
    }


def container(
    name: str,
    image: str,
    command: list[str],
    *,
    ports: dict[str, int],
    probe: Object,
    memory: tuple[str, str],
    env: dict[str, str] | None = None,
    mounts: dict[str, str] | None = None,
) -> Object:
    """A restricted container; `probe` is asked for readiness and life, `memory` is (request, limit).

    The environment always has the pod's namespace as POD_NAMESPACE.
    """
    variables: list[Object] = [{"name": key, "value": value} for key, value in (env or {}).items()]
    variables.append({"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}})
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": variables,
        "ports": [{"name": key, "containerPort": port} for key, port in ports.items()],
        "readinessProbe": probe | {"periodSeconds": 3, "failureThreshold": 3},
        # Slow on purpose: a busy machine is no reason to start a program anew.
        "livenessProbe": probe | {"periodSeconds": 20, "timeoutSeconds": 10, "initialDelaySeconds": 60},
        # Small requests: the local node has few cores, and add-ons idle nearly always.
        "resources": {
            "requests": {"cpu": "20m", "memory": memory[0]},
            "limits": {"cpu": "1", "memory": memory[1]},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": key, "mountPath": path} for key, path in (mounts or {}).items()],
    }


def http_probe(port: int, path: str, scheme: str = "HTTP") -> Object:
    """A probe that asks over HTTP."""
    return {"httpGet": {"port": port, "path": path, "scheme": scheme}}


def deployment(
    addon: str,
    name: str,
    namespace: str,
    containers: list[Object],
    *,
    account: str | None = None,
    volumes: list[Object] | None = None,
) -> Object:
    """One replica of restricted containers under the account of the same (or the given) name."""
    labels = meta(addon, name)["labels"]
    pod: dict[str, Any] = {
        "serviceAccountName": account or name,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": containers,
        "volumes": volumes or [],
        "terminationGracePeriodSeconds": 15,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta(addon, name, namespace),
        "spec": {
            "replicas": 1,
            # One at a time: host ports cannot be shared, and none of the programs elects a leader.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
