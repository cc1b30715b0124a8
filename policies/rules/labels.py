"""Labels that the other rules, recovery and dashboards find things by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.rule import Rule
from policies.settings import Settings
from policies.subject import CONTAINER, NETWORK, ROLES, VOLUME, Resource

REQUIRED: Final = ("ai-platform.stack", "ai-platform.system", "ai-platform.service", "ai-platform.role")


def check_labels(resource: Resource, settings: Settings) -> Iterator[str]:
    """Stack, system, service and role are labelled, and the role is one that the rules know."""
    del settings
    if resource.has_unknown("labels"):
        return
    for label in REQUIRED:
        if not resource.labels.get(label) and not _unknown_value(resource, label):
            yield f"has no label {label}, by which rules and recovery find it; add it to `labels`"
    if resource.role and resource.role not in ROLES:
        yield f"has the role {resource.role}; set the label ai-platform.role to one of {', '.join(ROLES)}"


def _unknown_value(resource: Resource, label: str) -> bool:
    return any(block.get("label") == label and block.get("value") is not None for block in resource.blocks("labels"))


RULES: Final = (
    Rule(
        name="labels-resource-require",
        description="Containers, networks and volumes are labelled with stack, system, service and role.",
        types=(CONTAINER, NETWORK, VOLUME),
        check=check_labels,
    ),
)
