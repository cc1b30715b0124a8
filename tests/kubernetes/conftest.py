"""One deployment for all tests of this folder: a fresh checkout, `make up`, and `make down` at the very end.

The stack is Pulumi.staging.yaml under another name and host, on the cluster that `KUBECONFIG` names (a local one of
this project), else on this clone's own (`make cluster`; in CI the tests start it). `E2E_SLOT=1` … `9` lets several runs
share a cluster. `E2E_CHECKOUT=<folder>` keeps the deployment for the next run of the tests at hand: they find what the
last one left, deploy nothing again, and take nothing down.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.stack import Stack, kubectl
from tests.support.deployment import ROOT, checkout
from tests.support.engine import missing
from toolchain.cluster import CONTEXT, KUBECONFIG

SLOT = int(os.environ.get("E2E_SLOT", "0"))
NAME = f"k8s{SLOT or ''}"
HOST = f"{NAME}.localhost"
HTTP_PORT, HTTPS_PORT = 8080, 8443
"""Of the local cluster's gateway: hosts tell the stacks apart."""
PLATFORM = {
    "kind": "kubernetes",
    "context": CONTEXT,
    "gateway": {"httpPort": HTTP_PORT, "httpsPort": HTTPS_PORT},
    "addons": "existing",
    # Another stack may be on the same small node.
    "cpuOvercommit": 20,
}
PRECEDED = {"platform": PLATFORM, "domain": HOST}
"""Deployments that change something are preceded by a backup, as the stack's environment asks for."""
KEYS = PRECEDED | {"backups": {"beforeDeployment": False}}
"""The same without it: most tests deploy, and few mean backups."""
KEPT = os.environ.get("E2E_CHECKOUT")


def answers(kubeconfig: Path) -> bool:
    """Whether the local cluster is there, and takes what it is told."""
    command = [*kubectl(), f"--kubeconfig={kubeconfig}", f"--context={CONTEXT}", "get", "--raw=/readyz"]
    return kubeconfig.is_file() and subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """Of the cluster under test."""
    given = os.environ.get("KUBECONFIG")
    file = Path(given.split(os.pathsep)[-1]) if given else KUBECONFIG
    if not given and os.environ.get("CI") == "true":
        subprocess.run(["make", "cluster"], cwd=ROOT, check=True)
    if not answers(file):
        missing(f"no local cluster answers by {file}: make cluster")
    return file


@pytest.fixture(scope="session")
def stack(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, up and answering."""
    folder = Path(KEPT) if KEPT else tmp_path_factory.mktemp("fresh") / "checkout"
    reused = folder.exists()
    if not reused:
        checkout(ROOT, folder)
        # Filling another one takes a minute; the tests on Docker do.
        (folder / ".venv").symlink_to(ROOT / ".venv")
    deployed = Stack(name=NAME, folder=folder, port=HTTPS_PORT, host=HOST, kubeconfig=kubeconfig, http_port=HTTP_PORT)
    deployed.configure(**KEYS)
    try:
        if not (reused and deployed.leftovers()["namespaces"]):
            deployed.load_images()
            deployed.outputs.clear()
            deployed.make("up")
        yield deployed
    finally:
        if not KEPT:
            deployed.make("down", check=False)
            deployed.sweep()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes the stack down comes last, and not at all where it is kept."""
    items.sort(key=lambda item: item.path.name == "test_destroy.py" and item.path.parent.name == "kubernetes")
    if KEPT:
        items[:] = [item for item in items if item.path.name != "test_destroy.py"]
