"""What every cluster has inside: DNS, volumes, metrics; and NetworkPolicies, which kube-router enforces."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from string import Template
from typing import Any

from toolchain.cluster import build, images, node
from toolchain.cluster.kubectl import kubectl
from toolchain.cluster.processes import Component
from toolchain.cluster.settings import DNS_ADDRESS, DOMAIN, NODE, PKI, VOLUMES
from toolchain.console import ToolchainError, step

MANIFESTS = Path(__file__).parent / "manifests"
PROGRAMS = ("coredns", "local-path-provisioner", "metrics-server")
"""Each runs in a pod, in an image of its own that holds nothing else."""
DEPLOYMENTS = {
    "coredns": "kube-system",
    "local-path-provisioner": "local-path-storage",
    "metrics-server": "kube-system",
}
PATIENCE = 120
"""Seconds that the pods have to become ready."""


def router() -> Component:
    """Build kube-router and allow it to read what it needs."""
    program = build.program("kube-router")
    apply((MANIFESTS / "kube-router.yaml").read_text())
    return node.kube_router(program)


def install() -> None:
    """Build, load and apply the programs; a second call changes nothing. `wait` waits for them.

    Raises ToolchainError when one cannot be built.
    """
    # What pods write is nobody else's; the folder's own mode is all that guards it.
    VOLUMES.mkdir(exist_ok=True, mode=0o700)
    values = {
        "domain": DOMAIN,
        "dns": str(DNS_ADDRESS),
        "node": NODE,
        "volumes": str(VOLUMES),
        "busybox": images.busybox(),
        "metrics_certificate": _encoded("metrics-server.crt"),
        "metrics_key": _encoded("metrics-server.key"),
        "authority": _encoded("cluster-ca.crt"),
    }
    for name in PROGRAMS:
        values[name.replace("-", "_")] = images.scratch(
            name, {f"/{name}": build.program(name)}, entrypoint=[f"/{name}"]
        )
    apply("\n---\n".join(manifest(name, values) for name in ("coredns", "local-path", "metrics-server")))


def manifest(name: str, values: dict[str, str]) -> str:
    """One of the manifests with its values filled in.

    Raises KeyError for a value that it wants and does not get.
    """
    return Template((MANIFESTS / f"{name}.yaml").read_text()).substitute(values)


def apply(text: str) -> None:
    """Apply manifests; what is so already stays as it is.

    Raises ToolchainError when the API server refuses one.
    """
    kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=ai-platform-cluster", "-f", "-", input=text)


def _encoded(name: str) -> str:
    return b64encode((PKI / name).read_bytes()).decode()


def wait() -> None:
    """Wait until the programs are ready.

    Raises ToolchainError with its last lines when one does not become ready.
    """
    # Asked once for all: mostly they are ready already.
    if not (late := DEPLOYMENTS.keys() - _available()):
        return
    with step(f"wait for {', '.join(sorted(late))}"):
        for name in sorted(late):
            _wait(name, DEPLOYMENTS[name])


def _available() -> set[str]:
    """The names of those programs whose newest pods are all there."""
    found = json.loads(kubectl("get", "deployments", "--all-namespaces", "--output=json"))["items"]
    named = {(item["metadata"]["name"], item["metadata"]["namespace"]): item for item in found}
    return {name for name, place in DEPLOYMENTS.items() if (item := named.get((name, place))) and _is_available(item)}


def _is_available(item: dict[str, Any]) -> bool:
    status, wanted = item.get("status") or {}, item["spec"]["replicas"]
    counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")}
    return status.get("observedGeneration") == item["metadata"]["generation"] and counts == {wanted}


def _wait(name: str, namespace: str) -> None:
    place = f"--namespace={namespace}"
    try:
        kubectl("rollout", "status", f"deployment/{name}", place, f"--timeout={PATIENCE}s")
    except ToolchainError as error:
        events = kubectl("get", "events", place, "--sort-by=.lastTimestamp").splitlines()[-8:]
        logs = kubectl("logs", f"deployment/{name}", place, "--tail=15", "--ignore-errors")
        raise ToolchainError(
            f"{name} in namespace {namespace} is not ready after {PATIENCE} s; its last lines:\n{logs}\n"
            + "\n".join(events)
        ) from error
