"""Compute and disk that a container may take from its host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from policies.container import Container
from policies.docker import CONTAINER
from policies.kubernetes import OPERATED, PODS, quantity
from policies.objects import LIMITS, NAMESPACE, QUOTA, name, namespace, same
from policies.rule import Group, Rule
from policies.settings import Settings
from policies.subject import SIZED, Resource
from policies.values import UNKNOWN, dig

KUBERNETES: Final = (*PODS, *OPERATED)
MEMORY_FLOOR: Final = 16
"""MB. Docker itself refuses less than 6 MB; below 16 MB an interpreter or an exporter is killed while it starts."""
ROTATING_DRIVERS: Final = ("json-file",)
"""Log drivers that fill the host's disk unless they are told to rotate; None in the stack means this one."""


def check_memory(container: Container) -> Iterator[str]:
    """A memory limit is set, and it is not too small to start."""
    memory, where = container.memory, container.words.memory
    if memory is UNKNOWN:
        return
    if not isinstance(memory, int | float) or memory <= 0:
        yield f"has no memory limit, so that it can take the whole host's; set {where}"
    elif memory < MEMORY_FLOOR:
        yield f"has a memory limit of {memory:g} MB; set {where} to at least {MEMORY_FLOOR} (MB)"


def check_memory_request(container: Container) -> Iterator[str]:
    """Requested memory is the limit: what is given beyond the request is taken back by killing."""
    request, limit = (dig(container.raw, "resources", place, "memory") for place in ("requests", "limits"))
    if UNKNOWN in (request, limit):
        return
    if request is None:
        yield f"requests no memory; set `resources.requests.memory`{f' to {limit}, as its limit' if limit else ''}"
    elif limit is not None and quantity(request) != quantity(limit):
        yield (
            f"requests {request} of memory and is limited to {limit}; set `resources.requests.memory` and "
            "`resources.limits.memory` to the same, or the node can be promised twice"
        )


def check_cpu_request(container: Container) -> Iterator[str]:
    """A CPU request, by which the scheduler places pods and the autoscaler counts."""
    request = dig(container.raw, "resources", "requests", "cpu")
    if request is not UNKNOWN and not _positive(quantity(request)):
        yield "requests no CPU, so that it is placed anywhere and cannot be scaled; set `resources.requests.cpu`"


def suggest_cpu_limit(container: Container) -> Iterator[str]:
    """A CPU limit, where the neighbours matter more than the spare time of the node."""
    limit = dig(container.raw, "resources", "limits", "cpu")
    if limit is not UNKNOWN and not _positive(quantity(limit)):
        yield "has no CPU limit, so that busy neighbours slow each other down; set `resources.limits.cpu`"


def suggest_storage_limit(container: Container) -> Iterator[str]:
    """Request and limit of what it writes to the node's disk: a full disk evicts every pod of the node."""
    request, limit = (dig(container.raw, "resources", place, "ephemeral-storage") for place in ("requests", "limits"))
    if UNKNOWN not in (request, limit) and not (_positive(quantity(request)) and _positive(quantity(limit))):
        yield "may fill the node's disk; set `ephemeral-storage` in `resources.requests` and `resources.limits`"


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


def check_quota(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """Each namespace has a ResourceQuota, and a LimitRange for what says nothing itself."""
    del settings
    for place in resources:
        if place.type != NAMESPACE:
            continue
        for kind, what in ((QUOTA, "a quota, so that it can take the whole cluster"), (LIMITS, "default limits")):
            if not any(one.type == kind and same(namespace(one), name(place)) for one in resources):
                yield Group.of(place), f"is without {what}; add a {kind.rsplit(':', 1)[-1]} to it"


def _positive(value: object) -> bool:
    try:
        return isinstance(value, str | int | float) and float(value) > 0
    except ValueError:
        return False


RULES: Final = (
    Rule(
        name="resources-container-limit-memory",
        description="A container has a memory limit that it can start with.",
        types=SIZED,
        check_container=check_memory,
        scanners="LSPKCTD",
    ),
    Rule(
        name="resources-container-request-memory",
        description="On Kubernetes, a container requests the memory that it is limited to.",
        types=KUBERNETES,
        check_container=check_memory_request,
        scanners="LSPKCT",
    ),
    Rule(
        name="resources-container-request-cpu",
        description="On Kubernetes, a container requests CPU time.",
        types=KUBERNETES,
        check_container=check_cpu_request,
        scanners="LSPKCT",
    ),
    Rule(
        name="resources-container-suggest-cpu",
        description="On Kubernetes, a container has a CPU limit.",
        types=KUBERNETES,
        check_container=suggest_cpu_limit,
        level="advisory",
        scanners="LSPKCTD",
    ),
    Rule(
        name="resources-container-suggest-storage",
        description="On Kubernetes, a container requests and limits what it writes to the node's disk.",
        types=PODS,
        check_container=suggest_storage_limit,
        level="advisory",
        scanners="SK",
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
    Rule(
        name="resources-namespace-require-quota",
        description="A namespace has a quota and default limits.",
        check_stack=check_quota,
        scanners="KT",
    ),
)
