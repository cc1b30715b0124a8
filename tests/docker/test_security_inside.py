"""A container that somebody has taken over: what it was not handed is refused, and its neighbours answer on.

Everything is tried from inside, as the container's own user, with what the images bring: bash.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from docker.models.containers import Container

from tests.docker.stack import Stack, eventually
from tests.docker.test_networks import greeted

TIERS = ("api", "web", "dashboard", "worker", "beat", "postgres", "redis")
LISTENS = {
    "api": (8000,),
    "web": (5000,),
    "dashboard": (8501,),
    "postgres": (5432,),
    "redis": (6379,),
    "edge": (8080, 8443, 9113),
    "prometheus": (9090,),
    "postgres-backup": (9180,),
    "redis-backup": (9180,),
    "celery-exporter": (9808,),
    "node-exporter": (9100,),
    "postgres-exporter": (9187,),
    "redis-exporter": (9121,),
}
HANDED = {
    "api": {"postgres", "redis"},
    "worker": {"postgres", "redis"},
    "beat": {"postgres", "redis"},
    "web": {"api"},
    "dashboard": {"api"},
    "postgres": set[str](),
    "redis": set[str](),
}
"""Who was handed whose endpoint by the composition."""
SHARED = {
    "api": {"web", "dashboard", "edge"},
    "worker": {"api"},
    "beat": {"api"},
    "web": {"dashboard", "edge"},
    "dashboard": {"web", "edge"},
    "postgres": {"api"},
    "redis": {"api"},
}
"""Who shares a network besides, and listens in all of its own: what Docker cannot keep apart (ADR 2)."""
CONNECT = (
    'for target in "$@"; do timeout 2 bash -c ": </dev/tcp/${target/://}" 2>/dev/null && echo "$target"; done; true'
)
WRITABLE = (
    r"find / -xdev \( -path /proc -o -path /sys -o -path /dev \) -prune -o -writable -not -type l -print 2>/dev/null;"
    " true"
)
BOMB = """
count=0
for n in $(seq 1500); do sleep 6 & count=$n; done
"""
PROCESSES = 512
HOG = "head -c 3G /dev/zero | tail > /dev/null"


def run(container: Container, script: str, *arguments: str, user: str = "") -> tuple[int, str]:
    """Exit code and output of a bash script in a container."""
    code, output = container.exec_run(["bash", "-c", script, "bash", *arguments], user=user)
    assert isinstance(output, bytes)
    return int(code or 0), output.decode(errors="replace")


def addresses(container: Container) -> list[str]:
    """The container's addresses in all of its networks."""
    return [network["IPAddress"] for network in container.attrs["NetworkSettings"]["Networks"].values()]


def answers(stack: Stack, but: str) -> None:
    """Page, API and dashboard are served; the API with its stores, unless one of them is what is under attack."""
    api = "/api/health" if but in ("postgres", "redis") else "/api/ready"
    for path in ("/", api, "/dashboard/_stcore/health"):
        assert stack.get(path).status == 200, path


@pytest.mark.fact("ARE-027", stack="D")
@pytest.mark.fact("ARE-072", stack="D")
@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_reaches_what_it_was_handed_and_what_shares_its_networks_and_nothing_else(
    stack: Stack, tier: str
) -> None:
    here = stack.containers(tier)[0]
    targets = {
        f"{address}:{port}": service
        for service, ports in LISTENS.items()
        if service != tier
        for container in stack.containers(service)
        for address in addresses(container)
        for port in ports
    }
    parts = [list(targets)[n::8] for n in range(8)]
    with ThreadPoolExecutor(len(parts)) as pool:
        lines = "".join(pool.map(lambda part: run(here, CONNECT, *part)[1], parts)).split()
    assert {targets[line] for line in lines} == HANDED[tier] | SHARED[tier]


@pytest.mark.parametrize("tier", ["api", "web", "dashboard"])
def test_tiers_that_share_a_network_with_the_edge_read_no_metrics_from_it(stack: Stack, tier: str) -> None:
    ask = "import sys, urllib.request as r; r.urlopen(f'http://{sys.argv[1]}:9113/metrics', timeout=3)"
    here = stack.containers(tier)[0]
    words = [run(here, 'python -c "$1" "$2"', ask, address) for address in addresses(stack.containers("edge")[0])]
    assert all(code != 0 for code, _ in words), words
    assert any("403" in said for _, said in words), "no network was shared: nothing was tried"


@pytest.fixture
def host_port() -> Iterator[int]:
    """A server of the host, listening on all of its addresses."""
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104 - that is what must not be reached
        yield int(server.getsockname()[1])


def host_addresses() -> list[str]:
    """Addresses of this host, the engine's own bridge among them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return [str(probe.getsockname()[0]), "172.17.0.1"]


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_reaches_no_server_of_the_host(stack: Stack, host_port: int, tier: str) -> None:
    here = stack.containers(tier)[0]
    gateways = [
        config["Gateway"]
        for name in here.attrs["NetworkSettings"]["Networks"]
        for config in stack.engine.networks.get(name).attrs["IPAM"]["Config"]
    ]
    targets = [f"{address}:{host_port}" for address in [*host_addresses(), *gateways]]
    assert len(targets) >= 3
    assert run(here, CONNECT, *targets)[1] == ""


def test_the_server_of_the_host_could_be_reached(host_port: int) -> None:
    socket.create_connection((host_addresses()[0], host_port), timeout=2).close()


@pytest.mark.parametrize("tier", [*TIERS, "edge", "prometheus"])
def test_a_tier_has_no_capability_and_gains_none(stack: Stack, tier: str) -> None:
    here = stack.containers(tier)[0]
    status = dict(line.split(":\t", 1) for line in run(here, "cat /proc/self/status")[1].splitlines() if ":\t" in line)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split()
    for attempt in (
        "unshare --user --map-root-user true",
        "unshare --mount true",
        "mount -t tmpfs none /tmp",
        "chown 0 /proc/self/fd/1",
        "mknod /tmp/device c 1 1",
        "echo 1 > /proc/sys/kernel/panic",
        "kill -0 $PPID && test $PPID -gt 1 && false; : > /proc/sysrq-trigger",
        "su -c true",
        "cat /etc/shadow",
    ):
        code, words = run(here, attempt)
        assert code != 0, (attempt, words)


@pytest.mark.parametrize("tier", [*TIERS, "edge", "prometheus"])
def test_the_engine_and_the_host_are_not_mounted(stack: Stack, tier: str) -> None:
    here = stack.containers(tier)[0]
    assert {mount["Type"] for mount in here.attrs["Mounts"]} <= {"volume"}
    assert here.attrs["HostConfig"]["PidMode"] == here.attrs["HostConfig"]["UTSMode"] == ""
    for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"):
        assert run(here, f"test -e {path}")[0] != 0
    assert run(here, "ls /dev/sd* /dev/vd* /dev/nvme* /dev/mem /dev/kmsg 2>/dev/null")[1] == ""


@pytest.mark.parametrize("tier", [*TIERS, "edge", "prometheus"])
def test_nothing_of_the_root_file_system_is_writable(stack: Stack, tier: str) -> None:
    here = stack.containers(tier)[0]
    meant = (*here.attrs["HostConfig"]["Tmpfs"], *(mount["Destination"] for mount in here.attrs["Mounts"]))
    # Debian's /var/run is /run.
    resolved = tuple(path.replace("/var/run/", "/run/") for path in meant)
    found = run(here, WRITABLE)[1].split()
    assert [path for path in found if not path.startswith(resolved)] == []


@pytest.mark.parametrize("tier", TIERS)
def test_a_fork_bomb_ends_at_the_limit_and_the_neighbours_answer(stack: Stack, tier: str) -> None:
    here = stack.containers(tier)[0]
    others = [one for service in TIERS for one in stack.containers(service) if one.id != here.id]
    if tier == "postgres":
        # Redis' image insists on the same user: it must answer, though it cannot start a process meanwhile (ADR 16).
        others = [one for one in others if one.labels["ai-platform.service"] != "redis"]
    with ThreadPoolExecutor(1) as pool:
        bomb = pool.submit(run, here, BOMB)
        eventually(lambda: len(here.top()["Processes"]) > 50 or bomb.done(), what="the bomb goes off")
        answers(stack, but=tier)
        for one in others:
            assert run(one, "(sleep 0) && (sleep 0 | cat)")[0] == 0, f"{one.name} cannot start a process"
        if tier == "postgres":
            assert greeted(stack.containers("api")[0], "redis", "redis")
        code, words = bomb.result()
    # 137: the memory limit came first, and took the container's own process.
    assert code == 137 or "Resource temporarily unavailable" in words, words[-500:]
    eventually(lambda: len(processes(stack, tier)) < 60, seconds=90, what="the bomb is over")
    eventually(lambda: healthy(stack, tier), seconds=90, what=f"{tier} is healthy again")


def processes(stack: Stack, tier: str) -> list[Any]:
    """Of the first container of a tier."""
    return list(stack.containers(tier)[0].top()["Processes"])


@pytest.mark.parametrize("tier", TIERS)
def test_memory_beyond_the_limit_is_refused_and_the_neighbours_answer(stack: Stack, tier: str) -> None:
    here = stack.containers(tier)[0]
    code, words = run(here, HOG)
    assert code != 0, words
    answers(stack, but=tier)
    eventually(lambda: healthy(stack, tier), seconds=90, what=f"{tier} is healthy again")


def healthy(stack: Stack, service: str) -> bool:
    """Whether every container of a service is, after its health check ran."""
    return all(one.health == "healthy" for one in stack.containers(service))
