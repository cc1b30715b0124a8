"""Replica counts over a whole stack."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.runtime import proto

from policies.engine import subject
from policies.settings import Settings
from tests.policies.support import RULES_BY_NAME, container, labels, stack_resource


def service(
    role: str, count: int, *, name: str = "api", system: str = "shop", **extra: str
) -> list[proto.AnalyzerResource]:
    return [
        stack_resource(
            container(labels=labels(role=role, service=name, system=system, **extra)), f"{system}-{name}-{index}"
        )
        for index in range(count)
    ]


def messages(rule: str, resources: list[proto.AnalyzerResource], **settings: Any) -> list[str]:
    found = RULES_BY_NAME[rule].stack_findings([subject(one) for one in resources], Settings(**settings))
    return [finding.message for finding in found]


@pytest.mark.parametrize(
    ("rule", "resources"),
    [
        ("replicas-app-require", service("app", 2)),
        ("replicas-app-require", service("app", 3)),
        ("replicas-app-require", service("app", 1, profile="inner-loop")),
        ("replicas-app-require", service("telemetry", 1)),
        ("replicas-worker-require", service("worker", 1, name="worker") + service("scheduler", 1, name="beat")),
        ("replicas-worker-require", service("app", 2)),
        ("replicas-scheduler-limit", service("scheduler", 1)),
        ("replicas-data-limit", service("data", 1, name="postgres") + service("data", 1, name="redis")),
        ("replicas-data-limit", service("data", 1) + service("data", 1, system="blog")),
    ],
)
def test_enough_replicas_pass(rule: str, resources: list[proto.AnalyzerResource]) -> None:
    assert messages(rule, resources) == []


@pytest.mark.parametrize(
    ("rule", "resources", "start", "advice"),
    [
        ("replicas-app-require", service("app", 1), "service shop/api: has 1 replica", "raise its replicas"),
        ("replicas-app-require", service("app", 2) + service("app", 1, system="blog"), "service blog/api", "needs 2"),
        ("replicas-worker-require", service("scheduler", 1, name="beat"), "service shop/beat", "role worker"),
        (
            "replicas-worker-require",
            service("scheduler", 1, name="beat") + service("worker", 1, system="blog"),
            "service shop/beat",
            "role worker",
        ),
        ("replicas-scheduler-limit", service("scheduler", 2), "service shop/api: has 2 replicas", "to 1"),
        ("replicas-data-limit", service("data", 2), "service shop/api: has 2 replicas", "to 1"),
    ],
)
def test_wrong_counts_are_found_with_advice(
    rule: str, resources: list[proto.AnalyzerResource], start: str, advice: str
) -> None:
    found = messages(rule, resources)
    assert len(found) == 1
    assert found[0].startswith(start)
    assert advice in found[0]


def test_the_stack_file_sets_the_minimum() -> None:
    assert messages("replicas-app-require", service("app", 2), min_replicas=3)
    assert not messages("replicas-app-require", service("app", 1), min_replicas=1)


def test_resources_without_labels_and_of_other_types_are_not_counted() -> None:
    bare = stack_resource(container(labels=[]), "bare")
    other = stack_resource({"labels": labels()}, "net", "docker:index/network:Network")
    assert messages("replicas-app-require", [bare, other]) == []


def test_findings_are_sorted_by_service() -> None:
    resources = [one for name in ("web", "api", "dashboard") for one in service("app", 1, name=name)]
    found = messages("replicas-app-require", resources)
    assert [line.split(":")[0] for line in found] == [f"service shop/{name}" for name in ("api", "dashboard", "web")]
