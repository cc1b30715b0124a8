"""Labels that the other rules, recovery and dashboards find things by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.docker import CONTAINER, NETWORK, VOLUME
from policies.kubernetes import POD, PODS, template
from policies.rule import Rule
from policies.settings import Settings
from policies.subject import ROLES, Resource
from policies.values import UNKNOWN, dig

DOCKER_TYPES: Final = (CONTAINER, NETWORK, VOLUME)

REQUIRED: Final = ("stack", "system", "service", "role")


def check_labels(resource: Resource, settings: Settings) -> Iterator[str]:
    """Stack, system, service and role are labelled, and the role is one that the rules know."""
    del settings
    if not resource.on_kubernetes and resource.type not in DOCKER_TYPES:
        return
    for key in REQUIRED:
        label = resource.label_name(key)
        if not resource.labels.get(label) and not resource.adapter.labels_unknown(resource.properties, label):
            place = "`metadata.labels`" if resource.on_kubernetes else "`labels`"
            yield f"has no label {label}, by which rules and recovery find it; add it to {place}"
    if resource.role and resource.role not in ROLES:
        yield (
            f"has the role {resource.role}; set the label {resource.label_name('role')} to one of {', '.join(ROLES)}"
        )


def check_pod_labels(resource: Resource, settings: Settings) -> Iterator[str]:
    """Pods carry the labels of the object that makes them: network policies, budgets and metrics find pods by them."""
    del settings
    metadata = dig(template(resource.type, resource.properties), "metadata")
    found = dig(metadata, "labels")
    if metadata is UNKNOWN or found is UNKNOWN or resource.type == POD:
        return
    for key in REQUIRED:
        label = resource.label_name(key)
        value = dig(found, label)
        wanted = resource.label(key)
        if value is not UNKNOWN and (not value or (wanted and value != wanted)):
            yield (
                f"has pods {f'with {label} {value}' if value else f'without the label {label}'}; "
                f"set it in `template.metadata.labels` as in `metadata.labels`"
            )


RULES: Final = (
    Rule(
        name="labels-resource-require",
        description="Containers, networks, volumes and Kubernetes' objects are labelled with stack, system, service "
        "and role.",
        check=check_labels,
    ),
    Rule(
        name="labels-pod-require",
        description="Pods carry the labels of the object that makes them.",
        types=PODS,
        check=check_pod_labels,
        scanners="LS",
    ),
)
