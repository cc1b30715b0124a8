"""A pod that somebody has taken over: what it was not handed is refused, and it can change nothing around it.

Everything is tried from inside, as the container's own user, with what the images bring: bash.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.kubernetes.stack import Object, Stack, name_of
from tests.support.deployment import Ran
from toolchain.cluster.settings import (
    API_ADDRESS,
    API_PORT,
    DNS_ADDRESS,
    ETCD_PORT,
    KUBELET_PORT,
    NODE_ADDRESS,
)

LISTENS = {
    "api": (8000,),
    "web": (5000,),
    "dashboard": (8501,),
    "postgres": (5432, 8000, 9187),
    "redis": (6379,),
    "prometheus": (9090,),
    "postgres-backup": (9180,),
    "redis-backup": (9180,),
    "celery-exporter": (9808,),
    "node-exporter": (9100,),
    "postgres-exporter": (9187,),
    "redis-exporter": (9121,),
    "edge": (8000, 8443, 9100),
    "dns": (1053,),
}
"""Ports of the pods."""
STORES = {("postgres", 5432), ("redis", 6379)}
PEERS = {("postgres", 5432), ("postgres", 8000)}
NAMES = {("dns", 1053)}
HANDED: dict[str, set[tuple[str, int]]] = {
    "api": STORES,
    "worker": STORES,
    "beat": STORES,
    "web": {("api", 8000)},
    "dashboard": {("api", 8000)},
    # Instances speak to one another.
    "postgres": PEERS,
    "redis": {("redis", 6379)},
    "postgres-exporter": {("postgres", 5432)},
    "redis-exporter": {("redis", 6379)},
    "celery-exporter": {("redis", 6379)},
    "postgres-backup": {("postgres", 5432)},
    "redis-backup": {("redis", 6379)},
}
"""Who was handed whose endpoint by the composition."""
SERVICES = {"api": 8000, "web": 5000, "dashboard": 8501, "postgres-rw": 5432, "redis": 6379, "prometheus": 9090}
ASKS_THE_API = {"postgres"}
"""Whose pods keep their state in the API server."""
CONNECT = (
    'for target in "$@"; do (timeout 3 bash -c ": </dev/tcp/${target/://}" 2>/dev/null && echo "$target") & done; wait'
)
WRITABLE = (
    r"find / -xdev \( -path /proc -o -path /sys -o -path /dev \) -prune -o -writable -not -type l -print 2>/dev/null;"
    " true"
)
ATTEMPTS = (
    "unshare --user --map-root-user true",
    "unshare --mount true",
    "mount -t tmpfs none /tmp",
    "chown 0 /proc/self/fd/1",
    "mknod /tmp/device c 1 1",
    "echo 1 > /proc/sys/kernel/panic",
    ": > /proc/sysrq-trigger",
    "su -c true",
    "cat /etc/shadow",
    "echo x > /etc/passwd",
    "touch /here",
)
TRY = 'for attempt in "$@"; do bash -c "$attempt" </dev/null >/dev/null 2>&1 && echo "$attempt"; done; true'
METADATA = "169.254.169.254"
INTERNET = ("1.1.1.1:443", "1.1.1.1:53", "192.0.2.1:443", "8.8.8.8:443")


def inside(stack: Stack, pod: Object, script: str, *arguments: str) -> Ran:
    """How a bash script ended in a pod's first container of the system's own."""
    container = pod["metadata"].get("annotations", {}).get("kubectl.kubernetes.io/default-container")
    return stack.run(name_of(pod), "bash", "-c", script, "bash", *arguments, container=container)


def reached(stack: Stack, pod: Object, targets: list[str]) -> set[str]:
    """Which of the targets, `address:port`, accept a connection from a pod."""
    ran = inside(stack, pod, CONNECT, *targets)
    assert ran.code == 0, ran
    return set(ran.output.split())


@pytest.fixture(scope="module")
def listeners(stack: Stack) -> dict[str, tuple[str, int]]:
    """Every pod's address and port that something listens at, and whose it is."""
    pods = {service: stack.pods(service) for service in LISTENS}
    pods["node-exporter"] = stack.objects("pods", "--namespace", stack.ground)
    pods["edge"] = stack.objects("pods", "--namespace", "traefik")
    pods["dns"] = stack.objects("pods", "--namespace", "kube-system", "--selector", "k8s-app=kube-dns")
    assert all(pods.values()), {service for service, found in pods.items() if not found}
    return {
        f"{pod['status']['podIP']}:{port}": (service, port)
        for service, ports in LISTENS.items()
        for pod in pods[service]
        for port in ports
    }


@pytest.mark.fact("ARE-027", stack="S")
@pytest.mark.fact("ARE-072", stack="S")
@pytest.mark.parametrize("service", HANDED)
def test_a_pod_reaches_what_it_was_handed_and_nothing_else(
    stack: Stack, listeners: dict[str, tuple[str, int]], service: str
) -> None:
    pod = stack.pods(service)[-1]
    targets = {at: what for at, what in listeners.items() if not at.startswith(f"{pod['status']['podIP']}:")}
    assert {targets[at] for at in reached(stack, pod, list(targets))} == HANDED[service] | NAMES


@pytest.mark.parametrize("service", ["api", "web", "worker"])
def test_services_lead_where_their_pods_do(stack: Stack, service: str) -> None:
    pod = stack.pods(service)[0]
    found = {name_of(one): one["spec"]["clusterIP"] for one in stack.objects("services")}
    targets = {f"{found[name]}:{port}": name for name, port in SERVICES.items()}
    handed = {name.removesuffix("-rw") for name in (targets[at] for at in reached(stack, pod, list(targets)))}
    assert handed - {service} == {name for name, _ in HANDED[service]}


@pytest.fixture
def host_port() -> Iterator[int]:
    """A server of the node, listening on all of its addresses."""
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104 - that is what must not be reached
        yield int(server.getsockname()[1])


@pytest.mark.parametrize("service", HANDED)
def test_a_pod_reaches_neither_the_node_nor_the_cluster_nor_the_internet(
    stack: Stack, service: str, host_port: int
) -> None:
    socket.create_connection((str(NODE_ADDRESS), host_port), timeout=2).close()
    api = {f"{API_ADDRESS}:443", f"{NODE_ADDRESS}:{API_PORT}"}
    others = [
        f"{NODE_ADDRESS}:{host_port}",
        f"{NODE_ADDRESS}:{KUBELET_PORT}",
        f"{NODE_ADDRESS}:{ETCD_PORT}",
        f"{METADATA}:80",
        f"{METADATA}:443",
        *INTERNET,
    ]
    allowed = api if service in ASKS_THE_API else set()
    assert reached(stack, stack.pods(service)[0], [*api, *others]) == allowed


def test_the_clusters_names_are_told(stack: Stack) -> None:
    for service in ("api", "web"):
        ran = inside(stack, stack.pods(service)[0], "getent hosts redis && grep nameserver /etc/resolv.conf")
        assert str(DNS_ADDRESS) in ran.output, ran


@pytest.mark.parametrize("service", HANDED)
def test_a_pod_has_no_capability_and_gains_none(stack: Stack, service: str) -> None:
    pod = stack.pods(service)[0]
    lines = inside(stack, pod, "cat /proc/self/status").output.splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split()
    ran = inside(stack, pod, TRY, *ATTEMPTS)
    assert (ran.code, ran.output) == (0, "")


@pytest.mark.parametrize("service", HANDED)
def test_nothing_but_a_pods_own_volumes_is_writable(stack: Stack, service: str) -> None:
    pod = stack.pods(service)[0]
    mounts = [one["mountPath"] for container in pod["spec"]["containers"] for one in container["volumeMounts"]]
    # Debian's /var/run is /run.
    meant = tuple(path.replace("/var/run/", "/run/") for path in mounts)
    found = inside(stack, pod, WRITABLE).output.split()
    assert [path for path in found if not path.startswith(meant)] == []


@pytest.mark.parametrize("service", HANDED)
def test_a_pod_has_no_token_and_nothing_of_the_node(stack: Stack, service: str) -> None:
    pod = stack.pods(service)[0]
    kinds = {kind for volume in pod["spec"]["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    assert not pod["spec"].keys() & {"hostNetwork", "hostPID", "hostIPC"}
    tokens = inside(stack, pod, "ls /var/run/secrets/kubernetes.io").code == 0
    assert tokens == (service in ASKS_THE_API)
    assert inside(stack, pod, "ls /run/containerd /var/lib/kubelet").code != 0
