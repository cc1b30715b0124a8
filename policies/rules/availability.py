"""What keeps the replicas of a Kubernetes stack apart, counted and alive: budgets, autoscalers, spread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from policies.objects import (
    BUDGET,
    REPLICATED,
    SCALERS,
    Workload,
    namespace,
    pod_labels,
    same,
    scales,
    selects,
    workloads,
)
from policies.rule import Group, Rule
from policies.settings import Settings
from policies.subject import Resource
from policies.values import UNKNOWN, blocks, dig, has_unknown

SEVERAL: Final = 2


def replicated(resources: Sequence[Resource]) -> list[Workload]:
    """What has two replicas or more."""
    return [workload for workload in workloads(resources) if (workload.count or 0) >= SEVERAL]


def check_budget(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """From two replicas on, a budget keeps a drained node from taking all of them at once."""
    del settings
    budgets = [one for one in resources if one.type == BUDGET]
    for workload in replicated(resources):
        if not any(_protects(budget, workload.resource) for budget in budgets):
            yield (
                Group.of(workload.resource),
                f"has {workload.count} replicas and no budget, so that an upgrade of the nodes stops all of them; add "
                "a PodDisruptionBudget that selects its pods, with `maxUnavailable` 1",
            )


def check_blocking(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """A budget that lets no pod go stops every upgrade of the nodes; it is held against the fewest replicas."""
    del settings
    for budget in (one for one in resources if one.type == BUDGET):
        spec = dig(budget.properties, "spec")
        unavailable, available = dig(spec, "maxUnavailable"), dig(spec, "minAvailable")
        if str(unavailable) in ("0", "0%"):
            yield Group.of(budget), f"lets no pod go (maxUnavailable {unavailable}); set `spec.maxUnavailable` to 1"
        for workload in workloads(resources):
            if _protects(budget, workload.resource) and _needs_all(available, workload.count):
                yield (
                    Group.of(budget),
                    f"wants {available} of {workload.count} pods of {workload.resource.name}, so that none may go; "
                    "replace `spec.minAvailable` by `maxUnavailable` 1",
                )


def check_eviction(resource: Resource, settings: Settings) -> Iterator[str]:
    """Pods that never became ready may go: otherwise they block the node that they hang on."""
    del settings
    policy = dig(resource.properties, "spec", "unhealthyPodEvictionPolicy")
    if policy not in (UNKNOWN, "AlwaysAllow"):
        yield "keeps pods that hang, and the node under them; set `spec.unhealthyPodEvictionPolicy` to AlwaysAllow"


def check_count(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """Either the stack file counts the replicas or the autoscaler does: both undo each other at every deployment."""
    del settings
    for workload in workloads(resources):
        replicas = dig(workload.resource.properties, "spec", "replicas")
        if workload.scaler is not None and replicas is not None:
            yield (
                Group.of(workload.resource),
                f"sets its replicas{'' if replicas is UNKNOWN else f' ({replicas})'} beside the autoscaler "
                f"{workload.scaler.name}; leave `spec.replicas` out",
            )


def check_target(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """An autoscaler scales something of the stack."""
    del settings
    for scaler in (one for one in resources if one.type in SCALERS):
        target = dig(scaler.properties, "spec", "scaleTargetRef")
        if has_unknown([target, dig(target, "name")]):
            continue
        if not any(scales(scaler, one) for one in resources if one.type in REPLICATED):
            yield (
                Group.of(scaler),
                f"scales {dig(target, 'kind')} {dig(target, 'name')}, which is not in its namespace of the stack; "
                "correct `spec.scaleTargetRef`",
            )


def check_spread(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """From two replicas on, they are spread over nodes, or one node takes the service with it (ARE-026)."""
    del settings
    for workload in replicated(resources):
        found = workload.resource.pod
        spread, affinity = found.get("topologySpreadConstraints"), dig(found, "affinity", "podAntiAffinity")
        labels = pod_labels(workload.resource)
        if not found or has_unknown(spread) or affinity:
            continue
        if not any(selects(block.get("labelSelector"), labels) for block in blocks(spread)):
            yield (
                Group.of(workload.resource),
                f"has {workload.count} replicas that one node may hold all of; add `topologySpreadConstraints` whose "
                "`labelSelector` finds its pods",
            )


def _protects(budget: Resource, resource: Resource) -> bool:
    return same(namespace(budget), namespace(resource)) and selects(
        dig(budget.properties, "spec", "selector"), pod_labels(resource)
    )


def _needs_all(available: Any, count: int | None) -> bool:
    text = f"{available:g}" if isinstance(available, int | float) else str(available)
    if text.endswith("%"):
        return text == "100%"
    return count is not None and text.isdigit() and int(text) >= count


RULES: Final = (
    Rule(
        name="replicas-budget-require",
        description="From two replicas on, a PodDisruptionBudget selects a workload's pods.",
        check_stack=check_budget,
        scanners="SPK",
    ),
    Rule(
        name="replicas-budget-forbid-blocking",
        description="A PodDisruptionBudget lets pods go, at the fewest replicas that there are.",
        check_stack=check_blocking,
        scanners="LPK",
    ),
    Rule(
        name="replicas-budget-free-unhealthy",
        description="A PodDisruptionBudget does not keep pods that are not healthy.",
        types=(BUDGET,),
        check=check_eviction,
        scanners="L",
    ),
    Rule(
        name="replicas-autoscaler-own-count",
        description="What an autoscaler scales has no number of replicas of its own.",
        check_stack=check_count,
        scanners="S",
    ),
    Rule(
        name="replicas-autoscaler-require-target",
        description="An autoscaler scales something of the stack.",
        check_stack=check_target,
        scanners="LS",
    ),
    Rule(
        name="replicas-workload-require-spread",
        description="From two replicas on, a workload's pods are spread over nodes.",
        check_stack=check_spread,
        scanners="LSPK",
    ),
)
