"""Who is handed an endpoint reaches it; nobody else does. Tried from inside the containers and from the host."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.models.containers import Container

from tests.docker.stack import Stack, eventually
from tests.support.engine import missing

NAMESPACE = "e2e-outside"
OUTSIDE_PORT = 8000
DATA = {"postgres": 5432, "redis": 6379}
GREETING = {"postgres": (r"\0\0\0\10\4\322\26\57", b"NS"), "redis": (r"PING\r\n", b"-+")}
"""What to say in each protocol (may we use TLS? are you there?), and how an answer begins."""
TRY = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor

def answers(host):
    try:
        socket.create_connection((host, int(sys.argv[1])), timeout=2).close()
    except OSError:
        return False
    return True

hosts = sys.argv[2:]
with ThreadPoolExecutor(len(hosts)) as pool:
    for host, reached in zip(hosts, pool.map(answers, hosts)):
        print("reached" if reached else "refused", host)
"""


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[str]:
    """The address of another host: a network namespace of its own, with a web server, behind this host's router."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        missing("a network namespace that stands for another host needs root and `ip`")
    here, there = "198.18.77.1", "198.18.77.2"
    ip = ["ip", "-n", NAMESPACE]
    commands = [
        ["ip", "netns", "add", NAMESPACE],
        ["ip", "link", "add", "e2e-here", "type", "veth", "peer", "name", "e2e-there", "netns", NAMESPACE],
        ["ip", "addr", "add", f"{here}/30", "dev", "e2e-here"],
        ["ip", "link", "set", "e2e-here", "up"],
        [*ip, "addr", "add", f"{there}/30", "dev", "e2e-there"],
        [*ip, "link", "set", "e2e-there", "up"],
        [*ip, "route", "add", "default", "via", here],
    ]
    server = None
    try:
        for command in commands:
            subprocess.run(command, check=True)
        serve = [sys.executable, "-m", "http.server", str(OUTSIDE_PORT), "--bind", there, "--directory", str(tmp_path)]
        server = subprocess.Popen(["ip", "netns", "exec", NAMESPACE, *serve], stderr=subprocess.DEVNULL)
        eventually(lambda: _listens(there), what="the other host's server")
        yield there
    finally:
        if server is not None:
            server.terminate()
            server.wait()
        # The pair of interfaces goes with the namespace.
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False)


def _listens(host: str) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, OUTSIDE_PORT)) == 0


def addresses(stack: Stack, service: str) -> list[str]:
    """Every address of a service's containers, in all of their networks."""
    return [
        network["IPAddress"]
        for container in stack.containers(service)
        for network in container.attrs["NetworkSettings"]["Networks"].values()
    ]


def reached(container: Container, port: int, hosts: list[str]) -> list[str]:
    """Which of the hosts a container with Python can open a connection to."""
    code, output = container.exec_run(["python", "-c", TRY, str(port), *hosts])
    assert code == 0, output
    return [
        line.split()[1]
        for line in b"".join([output] if isinstance(output, bytes) else output).decode().splitlines()
        if line.startswith("reached")
    ]


@pytest.mark.fact("ARE-027", stack="D")
@pytest.mark.fact("ARE-072", stack="D")
@pytest.mark.parametrize("service", sorted(DATA))
def test_api_and_worker_reach_the_data_engines(stack: Stack, service: str) -> None:
    for consumer in ("api", "worker", "beat"):
        assert reached(stack.containers(consumer)[0], DATA[service], [service]) == [service], consumer


@pytest.mark.fact("ARE-072", stack="D")
@pytest.mark.parametrize("service", sorted(DATA))
def test_web_and_dashboard_reach_no_data_engine_by_name_or_address(stack: Stack, service: str) -> None:
    hosts = [service, f"{service}.ai-review-engine", *addresses(stack, service)]
    for consumer in ("web", "dashboard"):
        assert reached(stack.containers(consumer)[0], DATA[service], hosts) == [], consumer


def greeted(container: Container, service: str, host: str) -> bool:
    """Whether a data engine answers in its own protocol. A mere connection proves nothing of one with a way out:
    a gateway beyond the host may accept any.
    """
    words, answer = GREETING[service]
    script = f"exec 3<>/dev/tcp/{host}/{DATA[service]} && printf '{words}' >&3 && head -c 1 <&3"
    output = container.exec_run(["timeout", "3", "bash", "-c", script], stderr=False).output
    assert isinstance(output, bytes)
    return bool(output) and output in answer


@pytest.mark.parametrize("service", sorted(DATA))
def test_the_edge_reaches_no_data_engine(stack: Stack, service: str) -> None:
    assert greeted(stack.containers("api")[0], service, service)
    edge = stack.containers("edge")[0]
    for host in [service, *addresses(stack, service)]:
        assert not greeted(edge, service, host), f"the edge reached {service} at {host}"


@pytest.mark.parametrize("service", sorted(DATA))
def test_data_ports_are_closed_on_the_host(stack: Stack, service: str) -> None:
    for container in stack.containers(service):
        assert not container.attrs["HostConfig"]["PortBindings"]
        assert not any(container.attrs["NetworkSettings"]["Ports"].values())
    for host in ("127.0.0.1", socket.gethostbyname(socket.gethostname())):
        with socket.socket() as probe:
            probe.settimeout(2)
            code = probe.connect_ex((host, DATA[service]))
        assert code != 0, f"something listens at {host}:{DATA[service]}: if it is a server of your own, stop it"


@pytest.mark.fact("ARE-073", stack="D")
def test_only_the_edge_stands_in_a_network_with_a_way_out(stack: Stack) -> None:
    filters = {"label": f"ai-platform.stack={stack.name}"}
    open_networks = {one.name for one in stack.engine.networks.list(filters=filters) if not one.attrs["Internal"]}
    assert len(open_networks) == 1
    for container in stack.containers():
        inside = open_networks & set(container.attrs["NetworkSettings"]["Networks"])
        assert bool(inside) == (container.labels["ai-platform.service"] == "edge"), container.name


@pytest.mark.fact("ARE-027", stack="D")
def test_no_tier_reaches_another_host_but_the_edge_could(stack: Stack, outside: str) -> None:
    for service in ("api", "web", "dashboard", "worker", "beat", "postgres", "redis"):
        container = stack.containers(service)[0]
        command = ["timeout", "3", "bash", "-c", f": < /dev/tcp/{outside}/{OUTSIDE_PORT}"]
        assert container.exec_run(command).exit_code != 0, f"{service} reached {outside}"
    # The same address from a network with a way out: the refusals above are not the server's.
    page = stack.containers("edge")[0].exec_run(["curl", "-s", "--max-time", "5", f"http://{outside}:{OUTSIDE_PORT}/"])
    assert (page.exit_code, b"Directory listing" in page.output) == (0, True)


def test_only_the_edge_publishes_ports_and_on_the_bound_address(stack: Stack) -> None:
    for container in stack.containers():
        bindings = container.attrs["HostConfig"]["PortBindings"] or {}
        addresses = {binding["HostIp"] for each in bindings.values() for binding in each}
        assert addresses == ({"127.0.0.1"} if container.labels["ai-platform.service"] == "edge" else set())
