"""Compute and disk that a container may take from its host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.rule import Rule
from policies.settings import Settings
from policies.subject import CONTAINER, Resource
from policies.values import UNKNOWN

MEMORY_FLOOR: Final = 16
"""MB. Docker itself refuses less than 6 MB; below 16 MB an interpreter or an exporter is killed while it starts."""
ROTATING_DRIVERS: Final = ("json-file",)
"""Log drivers that fill the host's disk unless they are told to rotate; None in the stack means this one."""


def check_memory(resource: Resource, settings: Settings) -> Iterator[str]:
    """`memory` is set, in MB, and not too small to start."""
    del settings
    memory = resource.get("memory")
    if memory is UNKNOWN:
        return
    if not isinstance(memory, int | float) or memory <= 0:
        yield "has no memory limit, so that it can take the whole host's; set `memory` (MB)"
    elif memory < MEMORY_FLOOR:
        yield f"has a memory limit of {memory:g} MB; set `memory` to at least {MEMORY_FLOOR} (MB)"


def check_cpu(resource: Resource, settings: Settings) -> Iterator[str]:
    """`cpus` is set, or `cpuQuota`; `cpuShares` is a weight, not a limit."""
    del settings
    cpus, quota = resource.get("cpus"), resource.get("cpuQuota")
    if cpus is UNKNOWN or quota is UNKNOWN or _positive(cpus) or _positive(quota):
        return
    yield 'has no CPU limit; set `cpus`, for example "0.5" (`cpuShares` only weighs, it does not limit)'


def check_processes(resource: Resource, settings: Settings) -> Iterator[str]:
    """A hard `nproc` limit; pulumi_docker 5.2.0 offers no PID limit of the control group."""
    del settings
    if resource.has_unknown("ulimits"):
        return
    limits = [block for block in resource.blocks("ulimits") if block.get("name") == "nproc"]
    if not any(block.get("hard") is UNKNOWN or _positive(block.get("hard")) for block in limits):
        yield 'has no process limit, so that a fork bomb stops the host; add {name: "nproc", soft, hard} to `ulimits`'


def check_logs(resource: Resource, settings: Settings) -> Iterator[str]:
    """Driver `json-file`, also when it is Docker's default, has `max-size` and `max-file`."""
    del settings
    driver, options = resource.get("logDriver"), resource.get("logOpts")
    if driver is UNKNOWN or options is UNKNOWN or (driver or "json-file") not in ROTATING_DRIVERS:
        return
    missing = [option for option in ("max-size", "max-file") if not (options or {}).get(option)]
    if missing:
        yield f"has logs that grow until the disk is full; set {' and '.join(missing)} in `logOpts`"


def _positive(value: object) -> bool:
    try:
        return isinstance(value, str | int | float) and float(value) > 0
    except ValueError:
        return False


RULES: Final = (
    Rule(
        name="resources-container-limit-memory",
        description="A container has a memory limit that it can start with.",
        types=(CONTAINER,),
        check=check_memory,
        scanners="LSPKCTD",
    ),
    Rule(
        name="resources-container-limit-cpu",
        description="A container has a CPU limit.",
        types=(CONTAINER,),
        check=check_cpu,
        scanners="LSPKCTD",
    ),
    Rule(
        name="resources-container-limit-processes",
        description="A container has a limit on its number of processes.",
        types=(CONTAINER,),
        check=check_processes,
        scanners="D",
    ),
    Rule(
        name="resources-container-rotate-logs",
        description="A container's logs are rotated.",
        types=(CONTAINER,),
        check=check_logs,
    ),
)
