"""`pulumi up` of the dev stack, first and with nothing to change, beside the flat program and Docker Compose."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from docker import DockerClient

from benchmarks import compose, tables
from benchmarks.flat import FlatProgram
from benchmarks.measure import MeasurementError, Sample, cpu, ratio, run, seconds
from benchmarks.recording import graph_of
from benchmarks.stacks import SLOT, STACK, sweep
from benchmarks.workspace import POLICIES, Project, dev_config, write
from toolchain import apt, engine
from toolchain.console import ToolchainError
from toolchain.paths import ROOT

OURS, PLAIN, COMPOSE = "ai-platform", "flat program", "Docker Compose"
FIRST, AGAIN = "first", "no change"
FLAT_AIM, COMPOSE_AIM = 1.05, 1.50
PLATFORM: Mapping[str, Any] = {
    "networkPool": f"10.{160 + SLOT}.0.0/16",
    "httpPort": 19080 + SLOT,
    "httpsPort": 19443 + SLOT,
}
PATIENCE = 300
"""Seconds that the containers of Docker Compose have to become healthy."""
Samples = dict[tuple[str, str], list[Sample]]


class Pulumi:
    """A program as a variant: `up` as `make up` calls it, with the policy pack."""

    def __init__(self, project: Project) -> None:
        self.project = project

    def up(self) -> Sample:
        """Deploy."""
        return self.project.run("up", "--yes", *POLICIES, stack=STACK)

    def down(self) -> None:
        """Remove everything."""
        self.project.run("destroy", "--yes", stack=STACK)


class Compose:
    """Docker Compose as a variant. It returns as soon as it has started the last container: health is waited for."""

    def __init__(self, file: Path, client: DockerClient) -> None:
        self.file = file
        self.client = client
        self.command = ["docker-compose", "--project-name", STACK, "--file", str(file)]

    def up(self) -> Sample:
        """Deploy, and wait until every container is healthy."""
        start = time.monotonic()
        used = self._run("up", "--detach")
        while not self._is_healthy():
            if time.monotonic() - start > PATIENCE:
                raise MeasurementError(f"Docker Compose: not healthy after {PATIENCE} s")
            time.sleep(0.3)
        return Sample(seconds=time.monotonic() - start, cpu=used.cpu)

    def down(self) -> None:
        """Remove everything."""
        self._run("down", "--volumes")

    def _run(self, *arguments: str) -> Sample:
        return run([*self.command, *arguments], cwd=self.file.parent, env=os.environ, log=self.file.with_suffix(".log"))

    def _is_healthy(self) -> bool:
        query: Any = {"label": f"com.docker.compose.project={STACK}"}
        states = [one.attrs["State"] for one in self.client.containers.list(all=True, filters=query)]
        return all(state.get("Health", {}).get("Status", "healthy") == "healthy" for state in states)


def run_all(folder: Path, repetitions: int, say: Callable[[str], None]) -> dict[str, str]:
    """The section `up`."""
    client = engine.client()
    config = dev_config(**PLATFORM)
    ours, flat = Pulumi(Project.ours(folder, STACK, config)), Pulumi(_flat(folder, config))
    samples: Samples = {}
    variants: dict[str, Pulumi | Compose] = {OURS: ours, PLAIN: flat}
    note = ""
    try:
        sweep(client)
        for number in range(repetitions):
            for name in (OURS, PLAIN, COMPOSE):
                if name not in variants:
                    continue
                say(f"up: {name}, {number + 1} of {repetitions}")
                samples.setdefault((name, FIRST), []).append(variants[name].up())
                samples.setdefault((name, AGAIN), []).append(variants[name].up())
                if name == OURS and not number:
                    try:
                        variants[COMPOSE] = _compose(folder, ours, client)
                    except ToolchainError as error:
                        note = f"\n\nDocker Compose was not measured: {str(error).splitlines()[0]}"
                variants[name].down()
    finally:
        sweep(client)
    return {"up": report(samples) + note}


def _flat(folder: Path, config: Mapping[str, Any]) -> Project:
    def program() -> None:
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")

    graph = graph_of(program, config, stack=STACK, root=folder)
    return Project.flat(folder, FlatProgram(graph, stack=STACK), STACK)


def _compose(folder: Path, ours: Pulumi, client: DockerClient) -> Compose:
    """From our deployed stack. Raises ToolchainError where Docker Compose cannot be installed."""
    if shutil.which("docker-compose") is None:
        apt.install("docker-compose")
    state = json.loads(ours.project.output("stack", "export", "--show-secrets", "--stack", STACK))
    deployed = compose.inspect(client, STACK, state["deployment"]["resources"])
    file = folder / "compose" / "docker-compose.yml"
    write(file, yaml.safe_dump(compose.document(deployed, "./files"), sort_keys=False))
    compose.write_files(deployed, file.parent / "files")
    return Compose(file, client)


def report(samples: Mapping[tuple[str, str], Sequence[Sample]]) -> str:
    """Times, and their ratios to the others."""
    rows, aims = [], []
    for (name, when), runs in sorted(samples.items(), key=lambda item: item[0][1] != FIRST):
        rows.append([f"{when}, {name}", tables.duration(seconds(runs)), tables.duration(cpu(runs))])
    for other, limit in ((PLAIN, FLAT_AIM), (COMPOSE, COMPOSE_AIM)):
        for when in (FIRST, AGAIN):
            if (other, when) not in samples:
                continue
            value = ratio(samples[OURS, when], samples[other, when])
            what = f"{when}, {OURS} ÷ {other}"
            if (other, when) == (COMPOSE, AGAIN):
                aims.append(f"- {what}: {value:.2f}, no aim")
            else:
                aims.append(tables.aim(what, value, limit))
    return tables.table(("up", "wall", "CPU of the client"), rows) + "\n\n" + "\n".join(aims)
