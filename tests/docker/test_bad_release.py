"""A bad release gets no request: `up` fails with its reason, the old one keeps serving, the next good one heals."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from tests.docker.conftest import PLATFORM
from tests.docker.stack import Stack
from tests.support.traffic import Traffic, trust

MAIN = "/srv/ai-review-engine/apps/api/api/main.py"
WORDS = "the feature flags cannot be read"
SICK = f"""
@app.middleware("http")
async def fail(request: Request, call_next: object) -> Response:
    log.error({WORDS!r})
    return Response(status_code=500)
"""
"""It listens, and answers everything, its health check too, with an error."""
CRASHING = f"\nraise RuntimeError({WORDS!r})\n"
RELEASES = {"sick": SICK, "crashing": CRASHING}
REASONS = {"sick": "not healthy within 45 s", "crashing": "ended with exit code 1 before it was healthy"}


@pytest.fixture(scope="module")
def bad_releases(stack: Stack) -> Iterator[dict[str, str]]:
    """Images of the application whose API is broken, by what is wrong with it."""
    app = stack.containers("api")[0].attrs["Image"]
    images = {}
    for name, code in RELEASES.items():
        append = json.dumps(["python", "-c", f"open({MAIN!r}, 'a').write({code!r})"])
        dockerfile = f"FROM {app}\nUSER 0\nRUN {append}\nUSER 10001\n"
        images[name] = f"ai-platform-e2e/{name}:1"
        stack.engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=images[name], rm=True)
    yield images
    for image in images.values():
        stack.engine.images.remove(image, force=True)


@pytest.mark.parametrize("kind", sorted(RELEASES))
def test_a_bad_release_fails_with_its_log_and_costs_no_request(
    stack: Stack, bad_releases: dict[str, str], kind: str
) -> None:
    serving = {one.id: one.attrs["State"]["StartedAt"] for one in stack.containers("api")}
    traffic = Traffic(stack, trust(stack))
    stack.configure(
        platform=PLATFORM, systems=[{"name": "ai-review-engine", "services": {"api": {"image": bad_releases[kind]}}}]
    )
    with traffic:
        failed = stack.make("up", check=False)
        traffic.reach()
    assert failed.code != 0
    assert "the job ai-review-engine-api-trial ended with exit code 1" in failed.output
    assert WORDS in failed.output
    assert REASONS[kind] in failed.output
    traffic.assert_lossless()
    assert {one.id: one.attrs["State"]["StartedAt"] for one in stack.containers("api")} == serving


def test_the_next_good_release_heals(stack: Stack) -> None:
    traffic = Traffic(stack, trust(stack))
    stack.configure(platform=PLATFORM)
    with traffic:
        stack.make("up")
        traffic.reach()
    traffic.assert_lossless()
    stack.pulumi("preview", "--expect-no-changes")
