"""What the results were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from toolchain import engine
from toolchain.console import ToolchainError
from toolchain.deploy import pulumi
from toolchain.pulumi_cli import official_host

GIB = 1024**3


def describe() -> str:
    """One line: date, processors, memory, kernel, engine, CLI, and whose plugins."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    parts = [
        datetime.now(tz=UTC).date().isoformat(),
        f"{len(os.sched_getaffinity(0))} cores ({_processor()})",
        f"{memory:.0f} GiB",
        f"Linux {platform.release()}",
        f"Docker {_docker()}",
        f"Pulumi {_pulumi()}, {'official plugins' if official_host(pulumi()) else 'stand-in plugins'}",
        f"Python {platform.python_version()}",
        f"load {os.getloadavg()[0]:.1f} at the start",
    ]
    return "; ".join(parts)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _docker() -> str:
    try:
        return str(engine.client().version()["Version"])
    except ToolchainError:
        return "missing"


def _pulumi() -> str:
    done = subprocess.run([str(pulumi()), "version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()
