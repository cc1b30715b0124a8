"""The cluster's processes: started in sessions of their own, known by their records, ended only when they are ours."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toolchain.cluster.settings import DOMAIN, LOGS, NODE_ADDRESS, POD_CIDR, RUN, SERVICE_CIDR, SOCKET
from toolchain.console import ToolchainError, say

RECORDS = RUN / "processes"
PROCESSES = Path("/proc")
BOOT = PROCESSES / "sys/kernel/random/boot_id"
TAIL = 15
"""Lines of a log that an error shows."""
LOG_LIMIT = 50_000_000
"""Bytes of a log above which it is set aside when its program starts."""
UNPROXIED = f"localhost,127.0.0.1,{NODE_ADDRESS},{POD_CIDR},{SERVICE_CIDR},.svc,.{DOMAIN}"


@dataclass(frozen=True, kw_only=True)
class Component:
    """One program of the cluster."""

    name: str
    command: Sequence[str | Path]
    ready: Callable[[], bool]
    """Whether it does its work; asked again and again, so it must answer within a second or two."""
    files: Sequence[Path] = ()
    """What it reads at its start only: when these change it is started anew."""
    environment: Mapping[str, str] = field(default_factory=dict)
    patience: float = 60.0
    """Seconds that it has to become ready."""

    @property
    def log(self) -> Path:
        """Its output, and that of its earlier runs."""
        return LOGS / f"{self.name}.log"

    def fingerprint(self) -> str:
        """Changes whenever a running process is no longer what would be started now."""
        digest = hashlib.sha256(json.dumps([str(word) for word in self.command]).encode())
        digest.update(json.dumps(dict(self.environment), sort_keys=True).encode())
        for file in self.files:
            digest.update(file.read_bytes())
        return digest.hexdigest()


def pid(name: str) -> int | None:
    """The process of a component, as far as it runs and is the one that was recorded."""
    try:
        record = json.loads((RECORDS / name).read_text())
    except (OSError, ValueError):
        return None
    same_boot = record["boot"] == BOOT.read_text()
    return int(record["pid"]) if same_boot and _started(int(record["pid"])) == record["started"] else None


def recorded() -> list[str]:
    """Names of all components that have a record."""
    return sorted(file.name for file in RECORDS.glob("[!.]*")) if RECORDS.is_dir() else []


def shims() -> Iterator[int]:
    """Processes that hold the containers of the cluster's containerd: they name its socket."""
    for folder in PROCESSES.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if Path(os.fsdecode(words[0])).name.startswith("containerd-shim") and os.fsencode(SOCKET) in words:
                yield int(folder.name)


def ensure(component: Component) -> bool:
    """Start a component unless it runs as it should; returns whether it was started."""
    fingerprint = component.fingerprint()
    if pid(component.name) is not None:
        if json.loads((RECORDS / component.name).read_text())["fingerprint"] == fingerprint:
            return False
        say(f"{component.name}: its settings changed, it is started anew")
        stop(component.name)
    _start(component, fingerprint)
    return True


def _start(component: Component, fingerprint: str) -> None:
    RECORDS.mkdir(parents=True, exist_ok=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    if component.log.is_file() and component.log.stat().st_size > LOG_LIMIT:
        component.log.replace(component.log.with_suffix(".log.1"))
    environment = {**os.environ, "NO_PROXY": UNPROXIED, "no_proxy": UNPROXIED, **component.environment}
    with component.log.open("ab") as sink:
        process = subprocess.Popen(
            [str(word) for word in component.command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            env=environment,
            cwd="/",
        )
    record = {
        "pid": process.pid,
        "started": _started(process.pid),
        "boot": BOOT.read_text(),
        "fingerprint": fingerprint,
    }
    fresh = RECORDS / f".{component.name}"
    fresh.write_text(json.dumps(record))
    fresh.rename(RECORDS / component.name)


def wait(component: Component) -> None:
    """Wait until a component does its work.

    Raises ToolchainError with the last lines of its log when it ends, or is not ready in time.
    """
    end = time.monotonic() + component.patience
    while not _asked(component):
        if pid(component.name) is None:
            raise ToolchainError(f"{component.name} ended; log: {component.log}\n{tail(component.log)}")
        if time.monotonic() > end:
            raise ToolchainError(
                f"{component.name} is not ready after {component.patience:.0f} s; log: {component.log}\n"
                f"{tail(component.log)}"
            )
        time.sleep(0.1)


def _asked(component: Component) -> bool:
    try:
        return component.ready()
    except (OSError, subprocess.TimeoutExpired):
        return False


def tail(log: Path) -> str:
    """The last lines of a log."""
    if not log.is_file():
        return "(no output)"
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - 16_000))
        text = source.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-TAIL:]) or "(no output)"


def stop(name: str, patience: float = 10.0) -> None:
    """End a component's process, by force after `patience` seconds, and forget it."""
    found = pid(name)
    if found is not None:
        started = _started(found)
        with contextlib.suppress(ProcessLookupError):
            os.kill(found, signal.SIGTERM)
        end = time.monotonic() + patience
        while _started(found) == started:
            if time.monotonic() > end:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(found, signal.SIGKILL)
            time.sleep(0.02)
    (RECORDS / name).unlink(missing_ok=True)


def _started(pid: int) -> str | None:
    """When a process began, in the kernel's ticks since boot; None for one that is gone, or only waits to be reaped."""
    try:
        text = (PROCESSES / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field, the name in parentheses, may hold anything.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else fields[19]
