"""How many replicas a service has, counted over the whole stack by system and service label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from policies.docker import CONTAINER
from policies.kubernetes import STATEFUL_SET
from policies.objects import REPLICATED, workloads
from policies.rule import Group, Rule
from policies.settings import Settings
from policies.subject import Resource

COUNTED: Final = (CONTAINER, *REPLICATED)


def groups(resources: Sequence[Resource], role: str) -> list[Group]:
    """The services of a role with what runs them, sorted by system and service."""
    found: dict[tuple[str, str], list[Resource]] = defaultdict(list)
    for resource in resources:
        if resource.type in COUNTED and resource.role == role:
            found[resource.system or "?", resource.service or resource.name].append(resource)
    return [
        Group(label=f"service {system}/{service}", service=service, resources=tuple(members))
        for (system, service), members in sorted(found.items())
    ]


def count(group: Group, resources: Sequence[Resource]) -> int | None:
    """Replicas of a service: containers, and the pods of its workloads; None when it is not known yet."""
    pods = [workload.count for workload in workloads(group.resources, scalers=resources)]
    if any(number is None for number in pods):
        return None
    return sum(1 for member in group.resources if member.type == CONTAINER) + sum(filter(None, pods))


def check_app(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """Role app: at least `policies.minReplicas`; in the inner development loop one is enough."""
    for group in groups(resources, "app"):
        wanted = 1 if any(member.inner_loop for member in group.resources) else settings.min_replicas
        there = count(group, resources)
        if there is not None and there < wanted:
            yield (
                group,
                f"has {_replicas(there)} and needs {wanted}, so that one answers while another is replaced; raise its "
                "replicas or `scale.min` (or `policies.minReplicas` for the whole stack) in the stack file",
            )


def check_worker(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """A system whose scheduler files jobs has at least one worker that does them."""
    del settings
    staffed = {group.resources[0].system for group in groups(resources, "worker") if count(group, resources) != 0}
    for group in groups(resources, "scheduler"):
        if group.resources[0].system not in staffed:
            yield group, "files jobs but its system has no worker; give the system at least 1 replica of role worker"


def check_scheduler(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """Role scheduler: exactly one, since two would file every job twice (ARE-034); no autoscaler either."""
    del settings
    for group in groups(resources, "scheduler"):
        there = count(group, resources)
        if there not in (1, None):
            yield group, f"has {_replicas(there)}, which files every job as often; set its replicas to 1"
        elif any(workload.scaler for workload in workloads(group.resources, scalers=resources)):
            yield group, "is scaled, and from two on files every job twice; remove its autoscaler"


def check_data(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """Role data: exactly one, where replicas share one data folder: two servers on it destroy the data.

    Pods of a StatefulSet or of an operator's cluster have a folder each.
    """
    del settings
    for group in groups(resources, "data"):
        sharing = replace(group, resources=tuple(one for one in group.resources if one.type != STATEFUL_SET))
        there = count(sharing, resources)
        if sharing.resources and there not in (1, None):
            yield group, f"has {_replicas(there)} on one data folder; set its replicas to 1"


def _replicas(count: int | None) -> str:
    return f"{count} replica{'' if count == 1 else 's'}"


RULES: Final = (
    Rule(
        name="replicas-app-require",
        description="A service of role app has enough replicas to lose one.",
        check_stack=check_app,
        scanners="LSPKU",
    ),
    Rule(
        name="replicas-worker-require",
        description="A system with a scheduler has at least one worker.",
        check_stack=check_worker,
    ),
    Rule(
        name="replicas-scheduler-limit",
        description="A service of role scheduler has exactly one replica.",
        check_stack=check_scheduler,
    ),
    Rule(
        name="replicas-data-limit",
        description="A service of role data has exactly one replica on one data folder.",
        check_stack=check_data,
    ),
)
