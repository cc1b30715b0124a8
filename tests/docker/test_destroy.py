"""Taking a stack down: nothing is left, but the data volumes where the stack says so."""

from __future__ import annotations

import pytest

from tests.docker.conftest import PLATFORM
from tests.docker.stack import Stack, eventually

TEXT = "kept across a destroy"


@pytest.mark.fact("ARE-050", stack="D")
@pytest.mark.fact("ARE-051", stack="D")
def test_data_volumes_stay_where_the_stack_says_so(stack: Stack) -> None:
    stack.configure(platform=PLATFORM, data={"retainOnDestroy": True})
    volumes = set(stack.leftovers()["volumes"])
    stack.make("up")
    assert set(stack.leftovers()["volumes"]) == volumes, "another policy made other volumes: the data is gone"
    job = stack.post("/api/jobs", {"text": TEXT}).json["id"]
    eventually(lambda: stack.get(f"/api/jobs/{job}").json["state"] == "done", what="the job is done")
    stack.make("down")
    left = stack.leftovers()
    assert (left["containers"], left["networks"]) == ([], [])
    kept = {stack.engine.volumes.get(name).attrs["Labels"]["ai-platform.service"] for name in left["volumes"]}
    assert kept == {"postgresql", "redis", "backups"}


def test_down_leaves_nothing(stack: Stack) -> None:
    stack.sweep()
    stack.configure(platform=PLATFORM)
    stack.make("up")
    stack.make("down")
    assert stack.leftovers() == {"containers": [], "networks": [], "volumes": []}
    resources = stack.state()["deployment"].get("resources") or []
    assert {resource["type"] for resource in resources} <= {"pulumi:pulumi:Stack"}
