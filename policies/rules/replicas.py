"""How many replicas a service has, counted over the whole stack by system and service label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from policies.rule import Group, Rule
from policies.settings import Settings
from policies.subject import CONTAINER, Resource


def groups(resources: Sequence[Resource], role: str) -> list[Group]:
    """The services of a role with their containers, sorted by system and service."""
    found: dict[tuple[str, str], list[Resource]] = defaultdict(list)
    for resource in resources:
        if resource.type == CONTAINER and resource.role == role:
            found[resource.system or "?", resource.service or resource.name].append(resource)
    return [
        Group(label=f"service {system}/{service}", service=service, resources=tuple(members))
        for (system, service), members in sorted(found.items())
    ]


def check_app(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """Role app: at least `policies.minReplicas`; in the inner development loop one is enough."""
    for group in groups(resources, "app"):
        wanted = 1 if any(member.inner_loop for member in group.resources) else settings.min_replicas
        if len(group.resources) < wanted:
            yield (
                group,
                f"has {_replicas(len(group.resources))} and needs {wanted}, so that one answers while another is "
                "replaced; raise its replicas (or `policies.minReplicas` for the whole stack) in the stack file",
            )


def check_worker(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """A system whose scheduler files jobs has at least one worker that does them."""
    del settings
    staffed = {member.system for group in groups(resources, "worker") for member in group.resources}
    for group in groups(resources, "scheduler"):
        if group.resources[0].system not in staffed:
            yield group, "files jobs but its system has no worker; give the system at least 1 replica of role worker"


def check_scheduler(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """Role scheduler: exactly one, since two would file every job twice (ARE-034)."""
    del settings
    for group in groups(resources, "scheduler"):
        if len(group.resources) != 1:
            yield group, f"has {_replicas(len(group.resources))}, which files every job as often; set its replicas to 1"


def check_data(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """Role data: exactly one, since two servers on one volume destroy the data."""
    del settings
    for group in groups(resources, "data"):
        if len(group.resources) != 1:
            yield group, f"has {_replicas(len(group.resources))} on one data folder; set its replicas to 1"


def _replicas(count: int) -> str:
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
        description="A service of role data has exactly one replica.",
        check_stack=check_data,
    ),
)
