"""A cluster of simulated nodes only, as a user without root gets it; beside the real one, if there is one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain.paths import CLUSTER, ROOT, VENV_PYTHON

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: web
          image: example.com/never-pulled:1
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""
DATABASE = """
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: database, namespace: default}
spec: {instances: 0, storage: {size: 1Gi}}
"""


class Alone:
    """A clone of its own, whose cluster is simulated."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("toolchain", "platforms"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        # Programs are known by what they are built from: nothing is built twice.
        self.state.mkdir(parents=True)
        (self.state / "bin").symlink_to(CLUSTER / "bin")

    @property
    def state(self) -> Path:
        """The cluster's folder."""
        return self.folder / ".toolchain" / "cluster"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the cluster."""
        command = [str(VENV_PYTHON), "-m", "toolchain.cluster", *arguments]
        environment = os.environ | {"SIMULATED": "1"}
        return subprocess.run(command, capture_output=True, text=True, cwd=self.folder, env=environment, check=False)

    def kubectl(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """What kubectl says of it."""
        command = ["kubectl", f"--kubeconfig={self.state / 'kubeconfig'}", *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def alone() -> Iterator[Alone]:
    """One with two nodes."""
    if not any((CLUSTER / "bin").glob("kubernetes-*")):
        pytest.fail("the cluster's programs are not built: python -m toolchain.cluster build")
    with tempfile.TemporaryDirectory() as folder:
        made = Alone(Path(folder))
        try:
            up = made.run("up", "--nodes", "2")
            assert up.returncode == 0, up.stdout + up.stderr
            yield made
        finally:
            made.run("down")


def test_its_nodes_are_ready_and_take_pods(alone: Alone) -> None:
    names = alone.kubectl("get", "nodes", "--output=jsonpath={.items[*].metadata.name}").stdout.split()
    assert names == ["simulated-0000", "simulated-0001"]
    assert alone.kubectl("apply", "-f", "-", text=DEPLOYMENT).returncode == 0
    done = alone.kubectl("rollout", "status", "deployment/web", "--timeout=240s")
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_judges_pods_and_custom_resources_as_the_real_one_does(alone: Alone) -> None:
    refused = alone.kubectl("run", "root", "--image=example.com/x:1")
    assert 'violates PodSecurity "restricted:latest"' in refused.stderr
    refused = alone.kubectl("apply", "--dry-run=server", "-f", "-", text=DATABASE)
    assert "spec.instances" in refused.stderr


def test_a_second_start_changes_nothing_and_nothing_is_deployed_where_no_pod_runs(alone: Alone) -> None:
    records = {file.name: file.read_text() for file in (alone.state / "run" / "processes").iterdir()}
    assert {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"} == records.keys()
    again = alone.run("up")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "apply" not in again.stdout
    assert {file.name: file.read_text() for file in (alone.state / "run" / "processes").iterdir()} == records
    refused = alone.run("up", "--images")
    assert (refused.returncode, "no pod runs" in refused.stderr) == (1, True)


def test_nothing_of_it_is_left(alone: Alone) -> None:
    down = alone.run("down")
    assert down.returncode == 0, down.stdout + down.stderr
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert str(alone.state) not in file.read_text(errors="replace")
    assert {file.name for file in alone.state.iterdir()} == {"bin", "logs", "run.lock"}
