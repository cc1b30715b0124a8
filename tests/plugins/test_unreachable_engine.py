"""The engine is away while a stack is there: nothing is forgotten, and once it is back everything works again."""

from __future__ import annotations

import time

import pytest

from tests.plugins.stacks import Stack

GONE = "tcp://127.0.0.1:1"
PROGRAM = 'for n in range(12): docker.Volume(f"data-{n}", labels=labels)'


def held(stack: Stack) -> dict[str, tuple[str, object]]:
    """What the state knows of each resource."""
    return {name: (one["urn"], one.get("inputs")) for name, one in stack.resources().items()}


@pytest.mark.parametrize("command", [("refresh", "--yes", "--skip-preview"), ("destroy", "--yes", "--skip-preview")])
def test_what_the_state_holds_stays_while_the_engine_is_away(stack: Stack, command: tuple[str, ...]) -> None:
    stack.write(PROGRAM).up()
    before = held(stack)
    start = time.monotonic()
    said = stack.run(*command, ok=False, DOCKER_HOST=GONE)
    assert time.monotonic() - start < 60, "the bound is one time-out, not one for each resource"
    assert f"Docker at {GONE} does not answer: connection refused" in said
    assert "Traceback" not in said
    assert held(stack) == before
    assert "unchanged" in stack.up("--refresh", "--expect-no-changes")
