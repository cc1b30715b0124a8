"""`make up` that is killed: which of its processes, when, and what is there afterwards."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.docker.stack import Stack, environment, eventually

TYPES = {
    "containers": "docker:index/container:Container",
    "networks": "docker:index/network:Network",
    "volumes": "docker:index/volume:Volume",
}


PHASES = ("", "Updating (", "Updating (")
"""What has been printed when the time to a kill begins to count."""


@dataclass
class Running:
    """A `make up` at work: a session of its own, which plugins in process groups of their own belong to as well."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]
    """Goes with this object."""

    @classmethod
    def start(cls, stack: Stack) -> Running:
        """`make up` of a stack, its output in a file."""
        log = tempfile.NamedTemporaryFile(dir=stack.folder / ".toolchain", prefix="killed-")  # noqa: SIM115
        process = subprocess.Popen(
            ["make", "up", f"STACK={stack.name}"],  # noqa: S607
            cwd=stack.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        return cls(process, log)

    def members(self) -> Iterator[tuple[int, bytes]]:
        """The session's living processes and their command lines."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                state, _, _, session = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:4]
                if int(session) == self.process.pid and state not in (b"Z", b"X"):
                    yield int(folder.name), (folder / "cmdline").read_bytes()
            except OSError:
                continue

    def kill(self, whom: str) -> bool:
        """SIGKILL `everything`, the CLI (`pulumi`) or its `parents`; False when nothing of it is there any more."""
        killed = False
        while victims := [pid for pid, command in self.members() if _is(whom, command)]:
            for pid in victims:
                killed |= _kill(pid)
            if whom != "everything":
                break
            self.process.poll()
        return killed

    def ended(self) -> int | None:
        """The exit status of make, once it has one."""
        return self.process.poll()

    def text(self) -> str:
        """What it printed."""
        self.log.flush()
        return Path(self.log.name).read_text(errors="replace")


def _is(whom: str, command: bytes) -> bool:
    first = Path(command.split(b"\0")[0].decode(errors="replace")).name
    if whom == "pulumi":
        return first == "pulumi"
    if whom == "parents":
        return first == "make" or b"toolchain.deploy" in command or b"toolchain.bootstrap" in command
    return True


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@dataclass
class Bench:
    """The shared stack, changed a little before each kill; changes add up, so that each `make up` has one to make."""

    stack: Stack
    platform: dict[str, Any]
    seed: str
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    logs: dict[str, Any] = field(default_factory=dict)
    count: int = 0
    killed: list[str] = field(default_factory=list)
    """What was killed, and after how many seconds."""
    runs: list[Running] = field(default_factory=list)
    """Those that were killed since a `make up` completed."""

    def change(self, what: str) -> None:
        """Write a stack file that differs from the last one."""
        self.count += 1
        if what == "api":  # create-first, with the migration before it
            self.services["api"] = {"env": {"ROUND": str(self.count)}}
        elif what == "beat":  # stop-first
            self.services["beat"] = {"env": {"ROUND": str(self.count)}}
        elif what == "worker":
            self.services["worker"] = {"replicas": 7 - self.services.get("worker", {"replicas": 3})["replicas"]}
        elif what == "redis":  # stop-first, with a volume of data
            self.data = {"redis": {"memory": f"{300 + self.count}Mi"}}
        elif what == "everything":  # each container, the database and the edge too
            self.logs = {"logs": {"maxSize": f"{10 + self.count}m"}}
        self.write()

    def write(self) -> None:
        """The stack file as it is to be now."""
        systems = [{"name": "ai-review-engine", "services": self.services}]
        self.stack.configure(platform=self.platform, systems=systems, data=self.data, observability=self.logs)

    def interrupt(self, change: str, whom: str, longest: float, rng: random.Random) -> None:
        """Kill `make up` at a random moment of a change; one that had ended before is no interruption: another one."""
        while not self.kill_once(whom, longest, rng):
            self.change(change)
            longest *= 0.7

    def kill_once(self, whom: str, longest: float, rng: random.Random) -> bool:
        """Start `make up` and kill it at a random moment; False when it had ended before: it was not interrupted.

        The moment is counted from the start, or (so that a slow machine is not always caught at its preparations) from
        the beginning of the deployment itself.
        """
        phase, moment = rng.choice(PHASES), rng.uniform(0.3, longest)
        running = Running.start(self.stack)
        while phase not in running.text() and running.ended() is None:
            time.sleep(0.05)
        end = time.monotonic() + moment
        while time.monotonic() < end and running.ended() is None:
            time.sleep(0.05)
        while whom == "pulumi" and running.ended() is None and not any(_is(whom, it) for _, it in running.members()):
            # The CLI is not there yet.
            time.sleep(0.05)
        killed = running.ended() is None and running.kill(whom)
        if not killed:
            assert running.process.wait() == 0, f"seed {self.seed}: {running.text()[-4000:]}"
            return False
        self.killed.append(f"{whom}, {moment:.1f} s after “{phase}”, at {running.text().splitlines()[-1:]}")
        print(f"seed {self.seed}: killed {self.killed[-1]}")
        self.runs.append(running)
        return True

    def complete(self) -> None:
        """`make up` completes, and what was killed is gone."""
        ran = self.stack.make("up", check=False)
        assert ran.code == 0, f"seed {self.seed}, killed {self.killed[-3:]}: {ran.output[-6000:]}"
        for running in self.runs:
            running.process.wait(timeout=30)
            eventually(lambda: not list(running.members()), seconds=20, what="nothing of a killed run is at work")  # noqa: B023
            running.log.close()
        self.runs.clear()
        verify(self.stack)


def deployment(stack: Stack) -> dict[str, Any]:
    """The state, as it stands in the backend's file."""
    file = stack.folder / ".state" / ".pulumi" / "stacks" / "ai-platform" / f"{stack.name}.json"
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["checkpoint"]["latest"]
    return content


def on_engine(stack: Stack) -> dict[str, set[str]]:
    """Ids of what carries the stack's label; of volumes, the names."""
    filters: Any = {"label": f"ai-platform.stack={stack.name}"}
    api = stack.engine.api
    return {
        "containers": {one["Id"] for one in api.containers(all=True, filters=filters)},
        "networks": {one["Id"] for one in api.networks(filters=filters)},
        "volumes": {one["Name"] for one in api.volumes(filters=filters)["Volumes"] or []},
    }


def verify(stack: Stack) -> None:
    """The engine has exactly what the state has, nothing is pending or locked."""
    latest = deployment(stack)
    assert not latest.get("pending_operations")
    assert [one["urn"] for one in latest["resources"] if one.get("delete")] == []
    recorded = {
        kind: {one["id"] for one in latest["resources"] if one["type"] == token} for kind, token in TYPES.items()
    }
    assert on_engine(stack) == recorded
    locks = stack.folder / ".state" / ".pulumi" / "locks" / "organization" / "ai-platform" / stack.name
    assert [file.name for file in locks.glob("*")] == []
