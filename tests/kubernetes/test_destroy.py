"""Taking a stack down: nothing is left of it on the cluster, nor in the state."""

from __future__ import annotations

from tests.kubernetes.stack import Stack
from tests.support.deployment import eventually

GONE: dict[str, list[str]] = {"namespaces": [], "volumes": [], "custom resources": []}


def test_down_leaves_nothing(stack: Stack) -> None:
    before = stack.leftovers()
    assert all(before.values()), before
    stack.make("down")
    # The provisioner removes a volume after its claim has gone.
    eventually(lambda: stack.leftovers() == GONE, seconds=120, what="nothing is left on the cluster")
    resources = stack.state()["deployment"].get("resources") or []
    assert {resource["type"] for resource in resources} <= {"pulumi:pulumi:Stack"}
