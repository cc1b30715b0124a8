"""Simulated nodes, by kwok: they run nothing, but the scheduler, quotas and disruption budgets take them for nodes.

They stand beside the real node, or are all that there is where none can be: without root.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from toolchain import pulumi_cli
from toolchain.cluster import build, kubeconfigs, probes, processes, services
from toolchain.cluster.control_plane import write
from toolchain.cluster.kubectl import kubectl
from toolchain.cluster.processes import Component
from toolchain.cluster.settings import KWOK_PORT, NODE_ADDRESS, PKI, SETTINGS, SIMULATED
from toolchain.console import ToolchainError, step

LABEL = "ai-platform/simulated"
"""On each simulated node; beside a real one also its taint: only pods that tolerate it are put there."""
SELECTOR = f"{LABEL}=true"
STAGES = SETTINGS / "kwok.yaml"
MOST = 1000
ALONE = 3
"""Simulated nodes where there is no real one, unless another number is asked for."""
PATIENCE = 180
"""Seconds that simulated nodes have to become ready."""


def ensure(wanted: int | None) -> None:
    """See that there are `wanted` simulated nodes, from 0 to 1000; None leaves as many as there are.

    Raises ToolchainError when kwok cannot be built, or the nodes do not become ready.
    """
    there = nodes()
    if wanted is None:
        wanted = len(there) or (ALONE if SIMULATED else 0)
    surplus = there[wanted:]
    if surplus:
        with step(f"remove {len(surplus)} simulated nodes"):
            kubectl("delete", *(f"node/{name}" for name in surplus))
    if wanted == 0:
        processes.stop("kwok")
        return
    component = _kwok()
    processes.ensure(component)
    processes.wait(component)
    free = [name for name in map(name_of, range(wanted)) if name not in there]
    if missing := free[: max(0, wanted - len(there))]:
        with step(f"add {len(missing)} simulated nodes"):
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*map(node, missing)]})
            kubectl("create", "-f", "-", input=text)
            kubectl("wait", "node", f"--selector={SELECTOR}", "--for=condition=Ready", f"--timeout={PATIENCE}s")


def nodes() -> list[str]:
    """Names of the simulated nodes, in their order."""
    return sorted(
        kubectl("get", "nodes", f"--selector={SELECTOR}", "--output=jsonpath={.items[*].metadata.name}").split()
    )


def name_of(number: int) -> str:
    """The name of a simulated node; in the order of names they are in that of their numbers."""
    return f"simulated-{number:04}"


def node(name: str) -> dict[str, object]:
    """A node of 8 cores and 32 GiB."""
    size = {"cpu": "8", "memory": "32Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {LABEL: "true", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {} if SIMULATED else {"taints": [{"key": LABEL, "value": "true", "effect": "NoSchedule"}]},
        "status": {"allocatable": size, "capacity": size},
    }


def _kwok() -> Component:
    program = build.program("kwok")
    if not STAGES.is_file():
        write(STAGES, kubectl("kustomize", f"{_module()}/kustomize/stage/fast"))
    services.apply((services.MANIFESTS / "kwok.yaml").read_text())
    kubeconfig = kubeconfigs.path("kwok")
    return Component(
        name="kwok",
        command=[
            program,
            f"--kubeconfig={kubeconfig}",
            f"--config={STAGES}",
            "--manage-all-nodes=false",
            f"--manage-nodes-with-label-selector={SELECTOR}",
            f"--node-ip={NODE_ADDRESS}",
            # Their pods' addresses lead nowhere: they are of a range for documentation.
            "--cidr=198.51.100.0/24",
            f"--server-address=127.0.0.1:{KWOK_PORT}",
            f"--tls-cert-file={PKI / 'kubelet-server.crt'}",
            f"--tls-private-key-file={PKI / 'kubelet-server.key'}",
        ],
        files=[STAGES, kubeconfig],
        ready=lambda: probes.get("127.0.0.1", KWOK_PORT, "/healthz")[0] == 200,  # noqa: PLR2004
    )


def _module() -> str:
    """The folder of kwok's module, which holds the stages that simulated nodes and pods go through."""
    folder = build.MODULES / "kwok"
    command: list[str | Path] = [pulumi_cli.go(folder), "mod", "download", "-json", "sigs.k8s.io/kwok"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolchainError(f"kwok's module cannot be had: {done.stderr.strip() or done.stdout.strip()}")
    return str(json.loads(done.stdout)["Dir"])
