"""Nothing changes when nothing changed, and what was changed by hand is put back, and only that."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.kubernetes.stack import LABEL, Object, Stack, name_of

PACK = ("--policy-pack", "policies")
RESOURCE = f"{LABEL}/resource"


@pytest.fixture(autouse=True)
def as_it_was(stack: Stack) -> Iterator[None]:
    """A test that fails leaves its drift to nobody."""
    yield
    stack.await_ready()


def test_make_up_again_changes_nothing(stack: Stack) -> None:
    before = stack.uids()
    assert "unchanged" in stack.make("up", "ARGS=--expect-no-changes").output
    assert stack.uids() == before


def test_a_preview_expects_no_changes(stack: Stack) -> None:
    assert "unchanged" in stack.pulumi("preview", "--expect-no-changes", *PACK).output


def test_refresh_finds_no_drift(stack: Stack) -> None:
    assert "unchanged" in stack.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes").output


def specs(stack: Stack) -> dict[str, Object]:
    """What the objects of every kind that is changed here ask for, by kind and name."""
    found = stack.objects("deployments,services,resourcequotas,networkpolicies")
    # The template of a Deployment may be marked by `kubectl rollout restart`; nobody does that here.
    return {f"{one['kind']} {name_of(one)}": one["spec"] for one in found}


def test_what_was_changed_by_hand_is_put_back_and_only_that(stack: Stack) -> None:
    web, dashboard = stack.one("deployments", "web"), stack.one("deployments", "dashboard")
    service = stack.one("services", "api")
    (quota,) = stack.objects("resourcequotas")
    before, pods = specs(stack), stack.uids()

    stack.kubectl("scale", f"deployment/{name_of(web)}", "--replicas=1")
    # What another manager adds beside is its own, by the rules of server-side apply: what is ours is changed.
    stack.kubectl("set", "env", f"deployment/{name_of(dashboard)}", "LOG_DIR=/tmp")
    stack.kubectl_edit('s/pods: "100"/pods: "99"/', "resourcequota", name_of(quota))
    stack.kubectl("delete", "service", name_of(service))
    assert specs(stack) != before

    stack.pulumi("refresh", "--yes", "--skip-preview")
    plan = stack.pulumi("preview", "--json", log=False).output
    steps = json.loads(plan[plan.index("{\n") :])["steps"]
    changed = {step["urn"].rsplit("::", 1)[1]: step["op"] for step in steps if step["op"] != "same"}
    resources = {one["metadata"]["annotations"][RESOURCE] for one in (web, dashboard, service, quota)}
    assert changed.keys() == resources, changed
    assert changed[service["metadata"]["annotations"][RESOURCE]] == "create"

    stack.pulumi("up", "--yes", "--skip-preview", *PACK)
    stack.await_ready()
    after = specs(stack)
    for one in (before, after):
        # The cluster gives a new Service another address.
        for key in ("clusterIP", "clusterIPs"):
            one["Service api"].pop(key)
    assert after == before
    assert stack.get("/api/ready").status == 200
    untouched = {name: uid for name, uid in pods.items() if "-web-" not in name and "-dashboard-" not in name}
    assert untouched.items() <= stack.uids().items()
    stack.pulumi("preview", "--expect-no-changes")
