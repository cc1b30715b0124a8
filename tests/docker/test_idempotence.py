"""Nothing changes when nothing changed, and what was removed by hand comes back, and only that."""

from __future__ import annotations

import json

from tests.docker.stack import Stack

PACK = ("--policy-pack", "policies")


def changes(output: str) -> dict[str, int]:
    """Operations other than `same` in what `--json` printed."""
    summary = json.loads(output[output.index("{\n") :])["changeSummary"]
    return {operation: count for operation, count in summary.items() if operation != "same"}


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    before = {one.id for one in stack.containers(everything=True)}
    up = stack.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes", *PACK)
    assert "unchanged" in up.output
    assert {one.id for one in stack.containers(everything=True)} == before


def test_a_preview_expects_no_changes(stack: Stack) -> None:
    assert "unchanged" in stack.pulumi("preview", "--expect-no-changes", *PACK).output


def test_make_up_again_changes_nothing(stack: Stack) -> None:
    before = {one.id for one in stack.containers(everything=True)}
    stack.make("up")
    assert {one.id for one in stack.containers(everything=True)} == before


def test_refresh_finds_no_drift(stack: Stack) -> None:
    assert "unchanged" in stack.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes").output


def test_a_worker_that_was_removed_by_hand_comes_back_and_only_it(stack: Stack) -> None:
    before = {one.name: one.id for one in stack.containers(everything=True)}
    victim = stack.containers("worker")[1]
    victim.remove(force=True)
    stack.pulumi("refresh", "--yes", "--skip-preview")
    planned = json.loads(stack.pulumi("preview", "--json", log=False).output.split("\n", 0)[0])["steps"]
    assert [step["urn"].rsplit("::", 1)[1] for step in planned if step["op"] != "same"] == [
        victim.labels["ai-platform.resource"]
    ]
    stack.pulumi("up", "--yes", "--skip-preview", *PACK)
    after = {one.name: one.id for one in stack.containers(everything=True)}
    gone, new = before.keys() - after.keys(), after.keys() - before.keys()
    assert (gone, len(new)) == ({victim.name}, 1)
    assert {name: after[name] for name in before.keys() & after.keys()} == {
        name: before[name] for name in before.keys() & after.keys()
    }
    assert len(stack.containers("worker")) == 3
