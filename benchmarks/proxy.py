"""Requests per second through the deployed edge, beside the same NGINX with the same configuration, run by hand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from docker import DockerClient
from docker.models.containers import Container

from benchmarks import tables
from benchmarks.measure import MeasurementError
from benchmarks.programs.edge import NAME, PATH
from benchmarks.stacks import SLOT, STACK, sweep
from benchmarks.workspace import EDGE, Project, docker_config
from platforms.docker.edge import RESOURCES, STATE, USER
from platforms.docker.nginx import HTTPS_PORT
from toolchain import apt, engine
from toolchain.console import ToolchainError

PORTS = {"httpPort": 19180 + SLOT, "httpsPort": 19543 + SLOT}
HAND_PORT = 19643 + SLOT
POOL = f"10.{180 + SLOT}.0.0/16"
SECONDS, CONNECTIONS, THREADS = 5, 16, 1


@dataclass(frozen=True)
class Load:
    """One run of the load generator."""

    requests: float
    """Per second."""
    latency: str
    """99th percentile."""


def run(folder: Path, repetitions: int, say: Callable[[str], None]) -> dict[str, str]:
    """The section `proxy`."""
    try:
        if shutil.which("wrk") is None:
            apt.install("wrk")
    except ToolchainError as error:
        return {"proxy": f"Not measured: {str(error).splitlines()[0]}"}
    client = engine.client()
    try:
        sweep(client)
        say("the edge before a static page")
        project = Project.make(folder, "edge", EDGE)
        project.stack(STACK, docker_config(NAME, networkPool=POOL, **PORTS))
        project.run("up", "--yes", "--skip-preview", stack=STACK)
        by_hand(client)
        ports = {"edge": PORTS["httpsPort"], "by hand": HAND_PORT}
        for port in ports.values():
            load(port, seconds=1)
        found: dict[str, list[Load]] = {name: [] for name in ports}
        for number in range(repetitions):
            say(f"load, {number + 1} of {repetitions}")
            for name, port in ports.items():
                found[name].append(load(port, seconds=SECONDS))
        return {"proxy": report(found)}
    finally:
        sweep(client)


def by_hand(client: DockerClient) -> Container:
    """`docker run` of the edge's image, with its configuration, certificate, networks and limits, and nothing else."""
    query: dict[str, Any] = {"filters": {"label": [f"ai-platform.stack={STACK}", "ai-platform.service=edge"]}}
    [edge] = [one for one in client.containers.list(**query) if one.labels["ai-platform.role"] == "proxy"]
    networks = sorted(edge.attrs["NetworkSettings"]["Networks"])
    volume = next(mount["Name"] for mount in edge.attrs["Mounts"] if mount["Destination"] == STATE)
    made = client.containers.create(
        edge.attrs["Image"],
        entrypoint=["nginx"],
        command=["-c", f"{STATE}/current/nginx.conf", "-g", "daemon off;"],
        user=USER,
        labels={"ai-platform.benchmark": STACK},
        volumes={volume: {"bind": STATE, "mode": "ro"}},
        ports={f"{HTTPS_PORT}/tcp": ("127.0.0.1", HAND_PORT)},
        nano_cpus=round(RESOURCES.cpu * 1e9),
        mem_limit=RESOURCES.memory,
        network=networks[0],
    )
    for name in networks[1:]:
        client.networks.get(name).connect(made)
    made.start()
    return made


def load(port: int, *, seconds: int) -> Load:
    """Requests for some seconds, over kept connections, from this host.

    Raises MeasurementError when a request fails: an error page is fast.
    """
    command = ["wrk", "--latency", "-t", str(THREADS), "-c", str(CONNECTIONS), "-d", f"{seconds}s"]
    done = subprocess.run(
        [*command, f"https://localhost:{port}{PATH}"], capture_output=True, text=True, check=False, env=os.environ
    )
    return parse(done.stdout + done.stderr)


def parse(text: str) -> Load:
    """What the load generator prints. Raises MeasurementError for failed requests."""
    rate, latency = re.search(r"Requests/sec:\s+([\d.]+)", text), re.search(r"99%\s+(\S+)", text)
    if not (rate and latency) or "Non-2xx" in text or "Socket errors" in text or not float(rate[1]):
        raise MeasurementError(f"the load did not run through:\n{text}")
    return Load(float(rate[1]), latency[1])


def report(found: dict[str, list[Load]]) -> str:
    """The table of rates."""
    rows = [
        [name, tables.count(round(median(one.requests for one in loads))), sorted(one.latency for one in loads)[0]]
        for name, loads in found.items()
    ]
    pairs = zip(found["by hand"], found["edge"], strict=True)
    value = median(hand.requests / edge.requests for hand, edge in pairs)
    return tables.table(("NGINX", "requests/s", "99th percentile, best run"), rows) + (
        f"\n\n- by hand ÷ edge, requests/s: {value:.2f}"
    )
