"""The running cluster, from outside and from within its pods."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import PATIENCE, create, inside, read, restricted
from toolchain.cluster import KUBECONFIG, images, kubectl, probes, processes
from toolchain.cluster.settings import NODE, NODE_ADDRESS, VERSION
from toolchain.console import ToolchainError
from toolchain.paths import ROOT, VENV_PYTHON

FETCH = "timeout 10 wget -qO- http://{host}/page"


def eventually(check: Callable[[], Any]) -> Any:
    """The first true answer; the last error, where there is none."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if answer := check():
                return answer
        except ToolchainError:
            if time.monotonic() > end:
                raise
        assert time.monotonic() < end, f"no answer within {PATIENCE} s"
        time.sleep(0.5)


def fails(check: Callable[[], str]) -> bool:
    """Whether a command in a pod ends with an error."""
    try:
        check()
    except ToolchainError:
        return True
    return False


@pytest.fixture(scope="session")
def autoscaled(namespace: str, shell: str) -> str:
    """A Deployment of one busy pod with an autoscaler up to two."""
    template = restricted("busy", shell, "while :; do :; done")
    template["spec"].pop("terminationGracePeriodSeconds")
    template["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "10m"}, "limits": {"cpu": "100m"}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "busy"},
        "spec": {
            "selector": {"matchLabels": {"app": "busy"}},
            "template": {"metadata": template["metadata"] | {"name": None}, "spec": template["spec"]},
        },
    }
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "busy"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"},
            "maxReplicas": 2,
            "metrics": [{"type": "Resource", "resource": metric}],
        },
    }
    create(namespace, deployment, scaler)
    return "busy"


def test_the_node_is_ready_and_of_the_pinned_version(autoscaled: str) -> None:
    node = read("node", NODE)
    conditions = {one["type"]: one["status"] for one in node["status"]["conditions"]}
    assert conditions["Ready"] == "True"
    assert node["status"]["nodeInfo"]["kubeletVersion"] == f"v{VERSION}"
    assert json.loads(kubectl("version", "--output=json"))["serverVersion"]["gitVersion"] == f"v{VERSION}"


def test_a_restricted_pod_runs_and_its_logs_can_be_read(namespace: str, shell: str) -> None:
    create(namespace, restricted("talks", shell, "echo one line; exec sleep 3600"))
    assert kubectl("logs", f"--namespace={namespace}", "talks") == "one line\n"
    assert inside(namespace, "talks", "id -u").strip() == "1000"


def test_a_pod_resolves_a_service_and_reaches_it_by_its_name(namespace: str, web: str, client: str) -> None:
    fetch = FETCH.format(host=f"{web}.{namespace}.svc.cluster.local")
    assert eventually(lambda: inside(namespace, client, fetch)) == "served\n"
    assert inside(namespace, client, FETCH.format(host=web)) == "served\n"


def test_a_pod_reaches_itself_through_its_own_service(namespace: str, web: str) -> None:
    address = read("service", web, f"--namespace={namespace}")["spec"]["clusterIP"]
    assert eventually(lambda: inside(namespace, web, FETCH.format(host=address))) == "served\n"


def test_an_address_of_no_service_is_refused_at_once_and_does_not_leave_the_machine(
    namespace: str, client: str
) -> None:
    begin = time.monotonic()
    assert fails(lambda: inside(namespace, client, "nc -w 20 10.96.255.254 443 </dev/null"))
    assert time.monotonic() - begin < 15


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("privileged", {"securityContext": {"privileged": True}}),
        ("root", {"securityContext": {"runAsUser": 0, "runAsNonRoot": False}}),
        ("host-port", {"ports": [{"containerPort": 8443, "hostPort": 18443}]}),
    ],
)
def test_a_pod_that_is_not_restricted_is_refused(namespace: str, shell: str, name: str, change: dict[str, Any]) -> None:
    with pytest.raises(ToolchainError, match='violates PodSecurity "restricted'):
        create(namespace, restricted(name, shell, "true", **change))


def test_a_claim_is_bound_and_keeps_what_one_pod_wrote_for_the_next(namespace: str, shell: str) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
    }

    def user(name: str, script: str) -> dict[str, Any]:
        pod = restricted(name, shell, script, volumeMounts=[{"name": "data", "mountPath": "/data"}])
        pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
        return pod

    create(namespace, claim, user("writer", "echo kept > /data/file; exec sleep 3600"))
    kubectl("delete", f"--namespace={namespace}", "pod/writer", "--now")
    create(namespace, user("reader", "exec sleep 3600"))
    assert inside(namespace, "reader", "cat /data/file") == "kept\n"
    assert read("pvc", "data", f"--namespace={namespace}")["spec"]["storageClassName"] == "local-path"


def test_a_network_policy_blocks_and_lets_through_whom_it_names(namespace: str, web: str, client: str) -> None:
    fetch = FETCH.format(host=web)
    assert eventually(lambda: inside(namespace, client, fetch)) == "served\n"
    policy: dict[str, Any] = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "web"},
        "spec": {"podSelector": {"matchLabels": {"app": web}}, "policyTypes": ["Ingress"]},
    }
    create(namespace, policy)
    try:
        assert eventually(lambda: fails(lambda: inside(namespace, client, fetch)))
        allowed = [{"from": [{"podSelector": {"matchLabels": {"app": client}}}], "ports": [{"port": 8080}]}]
        patch = json.dumps({"spec": {"ingress": allowed}})
        kubectl("patch", f"--namespace={namespace}", "networkpolicy/web", "--type=merge", f"--patch={patch}")
        assert eventually(lambda: inside(namespace, client, fetch)) == "served\n"
    finally:
        kubectl("delete", f"--namespace={namespace}", "networkpolicy/web")


def test_a_host_port_leads_to_a_pod_from_loopback_only(namespace: str, shell: str) -> None:
    allowed = f"{namespace}-ports"
    kubectl("create", "namespace", allowed)
    try:
        kubectl("label", "namespace", allowed, "pod-security.kubernetes.io/enforce=privileged")
        ports = [{"containerPort": 8443, "hostPort": 18643, "hostIP": "127.0.0.1"}]
        script = "echo port > /tmp/page; exec httpd -f -p 8443 -h /tmp"
        pod = restricted("port", shell, script, ports=ports, volumeMounts=[{"name": "tmp", "mountPath": "/tmp"}])
        pod["spec"]["volumes"] = [{"name": "tmp", "emptyDir": {}}]
        create(allowed, pod)

        def get(host: str) -> str:
            try:
                return probes.get(host, 18643, "/page")[1]
            except OSError:
                return ""

        assert eventually(lambda: get("127.0.0.1")) == "port\n"
        assert get(str(NODE_ADDRESS)) == ""
    finally:
        kubectl("delete", "namespace", allowed, "--wait=false")


def test_no_program_of_the_cluster_listens_to_the_neighbours(cluster: None) -> None:
    sockets = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    ours = {str(processes.pid(name)) for name in processes.recorded()}
    addresses = {
        line.split()[3].rpartition(":")[0]
        for line in sockets.splitlines()
        if ours & set(re.findall(r"pid=(\d+)", line))
    }
    assert addresses == {"127.0.0.1", str(NODE_ADDRESS)}


def test_secrets_are_not_in_plain_text_in_the_store(namespace: str) -> None:
    kubectl("create", f"--namespace={namespace}", "secret", "generic", "plain", "--from-literal=key=find-me-if-you-can")
    kubectl("create", f"--namespace={namespace}", "configmap", "plain", "--from-literal=key=found-in-plain-text")
    files = list((ROOT / ".toolchain/cluster/etcd/member").rglob("*"))
    stored = b"".join(file.read_bytes() for file in files if file.is_file())
    assert b"found-in-plain-text" in stored
    assert b"find-me-if-you-can" not in stored


def test_an_image_that_the_node_has_is_not_copied_again(cluster: None, shell: str) -> None:
    assert shell in images.present()
    images.load([shell])


def test_an_image_that_the_engine_lacks_is_an_error_that_names_it(cluster: None) -> None:
    with pytest.raises(ToolchainError, match="ai-platform/none:0"):
        images.load(["ai-platform/none:0"])


def up() -> str:
    """Run `up` as its user does; returns what it said."""
    command = [str(VENV_PYTHON), "-m", "toolchain.cluster", "up"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_status_names_every_component_and_the_kubeconfig(cluster: None) -> None:
    command = [str(VENV_PYTHON), "-m", "toolchain.cluster", "status"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines()} >= {*processes.recorded(), "kubeconfig", "kubelet"}
    assert f"{KUBECONFIG} (context ai-platform-local)" in done.stdout


def test_up_on_a_running_cluster_starts_nothing(cluster: None) -> None:
    before = {name: processes.pid(name) for name in processes.recorded()}
    said = up()
    assert "start " not in said
    assert {name: processes.pid(name) for name in processes.recorded()} == before


def test_killed_components_are_started_again_by_up_and_objects_are_kept(namespace: str, client: str) -> None:
    kubectl("create", f"--namespace={namespace}", "configmap", "kept", "--from-literal=key=value")
    killed = ["etcd", "kube-scheduler", "kubelet"]
    before = {name: processes.pid(name) for name in killed}
    for pid in before.values():
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    said = up()
    for name in killed:
        assert name in said
        assert processes.pid(name) not in {None, before[name]}
    assert read("configmap", "kept", f"--namespace={namespace}")["data"] == {"key": "value"}
    # The pods did not notice.
    assert read("pod", client, f"--namespace={namespace}")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_second_clone_is_refused_and_told_where_the_first_one_is(cluster: None) -> None:
    # A short path: the one that tests are given is refused for its length already.
    with tempfile.TemporaryDirectory() as folder:
        for name in ("toolchain", "platforms"):
            shutil.copytree(ROOT / name, Path(folder) / name)
        command = [str(VENV_PYTHON), "-m", "toolchain.cluster", "up"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        assert done.returncode == 1
        assert f"runs the local cluster of {ROOT}" in done.stderr
        assert not (Path(folder) / ".toolchain").exists()


def test_the_autoscaler_reads_metrics_and_acts_on_them(namespace: str, autoscaled: str) -> None:
    def scaled() -> bool:
        return bool(read("hpa", autoscaled, f"--namespace={namespace}")["status"].get("desiredReplicas") == 2)

    assert eventually(scaled)
