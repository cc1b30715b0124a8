"""Roll-outs: a failed step stops them with its reason, the old release keeps serving, and the next good one heals."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from tests.docker.conftest import PLATFORM
from tests.docker.stack import Stack

BROKEN = "ai-platform-e2e/broken-schema:1"
MIGRATE = "raise SystemExit('relation \"jobs\" is locked by a test')\n"


@pytest.fixture
def broken_image(stack: Stack) -> Iterator[str]:
    """The application, but with a migration that fails."""
    app = stack.containers("api")[0].attrs["Image"]
    file = "/srv/ai-review-engine/apps/api/schema/migrate.py"
    write = json.dumps(["python", "-c", f"open({file!r}, 'w').write({MIGRATE!r})"])
    dockerfile = f"FROM {app}\nUSER 0\nRUN {write}\nUSER 10001\n"
    stack.engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=BROKEN, rm=True)
    yield BROKEN
    stack.engine.images.remove(BROKEN, force=True)


@pytest.mark.fact("ARE-049", stack="D")
@pytest.mark.fact("ARE-110", stack="D")
def test_a_failed_migration_stops_the_roll_out_and_the_next_good_one_heals(stack: Stack, broken_image: str) -> None:
    serving = {one.id for one in stack.containers("api")}
    stack.configure(
        platform=PLATFORM, systems=[{"name": "ai-review-engine", "services": {"api": {"image": broken_image}}}]
    )
    failed = stack.make("up", check=False)
    assert failed.code != 0
    assert "the job ai-review-engine-schema ended with exit code 1" in failed.output
    assert 'relation "jobs" is locked by a test' in failed.output
    assert {one.id for one in stack.containers("api")} == serving
    assert stack.get("/api/ready").status == 200

    stack.configure(platform=PLATFORM)
    stack.make("up")
    assert stack.get("/api/ready").status == 200
    stack.pulumi("preview", "--expect-no-changes")


@pytest.mark.fact("ARE-103", stack="D")
def test_scaling_is_one_line_of_the_stack_file(stack: Stack) -> None:
    untouched = {one.id for one in stack.containers() if one.labels["ai-platform.service"] not in ("worker",)}
    stack.configure(platform=PLATFORM, systems=[{"name": "ai-review-engine", "services": {"worker": {"replicas": 4}}}])
    stack.make("up")
    assert len(stack.containers("worker")) == 4
    assert untouched <= {one.id for one in stack.containers()}
    stack.configure(platform=PLATFORM)
    stack.make("up")
    assert len(stack.containers("worker")) == 3
    assert untouched <= {one.id for one in stack.containers()}


def test_a_violating_stack_file_is_not_deployed(stack: Stack) -> None:
    before = {one.id for one in stack.containers(everything=True)}
    stack.configure(platform=PLATFORM, policies={"minReplicas": 3})
    refused = stack.make("up", check=False)
    stack.configure(platform=PLATFORM)
    assert refused.code != 0
    assert "replicas" in refused.output
    assert {one.id for one in stack.containers(everything=True)} == before
