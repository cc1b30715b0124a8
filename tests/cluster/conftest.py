"""The running local cluster, and a namespace of their own for the tests of this folder."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.support.engine import missing
from toolchain.cluster import images, kubectl
from toolchain.console import ToolchainError

Pod = dict[str, Any]
PATIENCE = 300
"""Seconds that anything on the cluster may take before a test gives up, on a machine with much else to do."""


@pytest.fixture(scope="session")
def cluster() -> None:
    """This clone's cluster, answering."""
    try:
        kubectl("get", "--raw=/readyz")
    except ToolchainError as error:
        missing(f"no local cluster answers: make cluster ({error})")


@pytest.fixture(scope="session")
def namespace(cluster: None) -> Iterator[str]:
    """A namespace without labels: what holds in it is the cluster's default."""
    name = f"cluster-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def shell(cluster: None) -> str:
    """The image with a shell."""
    return images.busybox()


def restricted(name: str, image: str, script: str, **container: Any) -> Pod:
    """A pod that keeps to Pod Security "restricted" and runs a script; `container` adds to its container."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "fsGroup": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "command": ["sh", "-c", script],
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    **container,
                }
            ],
        },
    }


def create(namespace: str, *objects: dict[str, Any]) -> None:
    """Create objects, and wait for those that are pods."""
    kubectl("create", f"--namespace={namespace}", "-f", "-", input=yaml.safe_dump_all(objects))
    if pods := [f"pod/{one['metadata']['name']}" for one in objects if one["kind"] == "Pod"]:
        kubectl("wait", f"--namespace={namespace}", "--for=condition=Ready", *pods, f"--timeout={PATIENCE}s")


def inside(namespace: str, pod: str, script: str) -> str:
    """What a script prints in a running pod."""
    return kubectl("exec", f"--namespace={namespace}", pod, "--", "sh", "-c", script)


def read(*args: str) -> dict[str, Any]:
    """An object as the API server has it."""
    found: dict[str, Any] = json.loads(kubectl("get", *args, "--output=json"))
    return found


@pytest.fixture(scope="session")
def web(namespace: str, shell: str) -> str:
    """A pod that serves one page behind a Service; returns the name of both."""
    script = "echo served > /tmp/page; exec httpd -f -p 8080 -h /tmp"
    pod = restricted("web", shell, script, volumeMounts=[{"name": "tmp", "mountPath": "/tmp"}])
    pod["spec"]["volumes"] = [{"name": "tmp", "emptyDir": {}}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    create(namespace, pod, service)
    return "web"


@pytest.fixture(scope="session")
def client(namespace: str, shell: str) -> str:
    """A pod that others are asked from."""
    create(namespace, restricted("client", shell, "exec sleep 3600"))
    return "client"


@pytest.fixture
def put(namespace: str) -> Callable[..., None]:
    """Create objects in the tests' namespace."""
    return lambda *objects: create(namespace, *objects)
