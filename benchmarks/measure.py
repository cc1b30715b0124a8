"""Runs commands and measures them whole: wall time, CPU time and peak memory, each process of the tree by its part."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

SAMPLING_SECONDS = 0.05
TICKS = os.sysconf("SC_CLK_TCK")
PARTS: Mapping[str, tuple[str, ...]] = {
    "policy pack": ("pulumi.policy", "pulumi-analyzer"),
    "program": ("plugins/program.py", "pulumi-language-python-exec"),
    "plugins": ("_provider import main", "pulumi-resource-"),
    "language host": ("language_host", "pulumi-language-python"),
    "CLI": ("pulumi",),
}
"""What the command lines of a Pulumi command's processes hold; the first that fits counts."""


class MeasurementError(Exception):
    """A measured command that failed; the message holds the end of its output."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One run of a command."""

    seconds: float
    """Wall time."""
    cpu: float
    """CPU seconds, user and system, of the whole process tree."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """Peak resident memory in bytes: the largest single process of each part."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """CPU seconds of each part, as far as sampling saw them."""


def part(command_line: str) -> str:
    """Which part of a Pulumi command a process is."""
    return next((name for name, marks in PARTS.items() if any(mark in command_line for mark in marks)), "other")


class Sampler:
    """Watches a process tree in `/proc` until told to stop: peak memory and CPU time per part."""

    def __init__(self, root: int) -> None:
        self.memory: dict[str, int] = defaultdict(int)
        self._root = root
        self._cpu: dict[int, tuple[str, float]] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def shares(self) -> dict[str, float]:
        """CPU seconds per part."""
        totals: dict[str, float] = defaultdict(float)
        for name, seconds in self._cpu.values():
            totals[name] += seconds
        return dict(totals)

    def stop(self) -> None:
        """End; the figures stay."""
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLING_SECONDS):
            for pid in tree(self._root):
                self._look(pid)

    def _look(self, pid: int) -> None:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            name = part(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            return  # It has ended meanwhile.
        if name == "other" and pid in self._cpu:
            name = self._cpu[pid][0]  # At its end a process loses its command line.
        peak = next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)
        self.memory[name] = max(self.memory[name], peak)
        self._cpu[pid] = (name, (int(stat[11]) + int(stat[12])) / TICKS)


def tree(root: int) -> list[int]:
    """A process and everything below it, as it is now."""
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                queue += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> Sample:
    """Run a command to its end, with its output in `log`.

    Raises MeasurementError when it fails: a failed run measures nothing.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
        )
        sampler = Sampler(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - start
        sampler.stop()
    if process.returncode:
        end = log.read_text(errors="replace")[-3000:]
        raise MeasurementError(f"{' '.join(command)} ended with {process.returncode}:\n{end}")
    return Sample(
        seconds=seconds,
        cpu=usage.ru_utime + usage.ru_stime,
        memory=dict(sampler.memory),
        shares=sampler.shares,
    )


def interleave(variants: Mapping[str, Callable[[], Sample]], repetitions: int) -> dict[str, list[Sample]]:
    """Run the variants in turn, A B A B …: what slows the machine for a while slows all of them."""
    samples: dict[str, list[Sample]] = {name: [] for name in variants}
    for _ in range(repetitions):
        for name, variant in variants.items():
            samples[name].append(variant())
    return samples


def seconds(samples: Sequence[Sample]) -> float:
    """Median wall time."""
    return median(sample.seconds for sample in samples)


def cpu(samples: Sequence[Sample]) -> float:
    """Median CPU time."""
    return median(sample.cpu for sample in samples)


def memory(samples: Sequence[Sample], name: str) -> float:
    """Median peak memory of a part, in bytes."""
    return median(sample.memory.get(name, 0) for sample in samples)


def ratio(samples: Sequence[Sample], base: Sequence[Sample]) -> float:
    """Median of the ratios pair by pair: each run is compared with the one beside it."""
    return median(one.seconds / other.seconds for one, other in zip(samples, base, strict=True))
