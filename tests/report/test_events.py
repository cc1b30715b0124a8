"""What a preview is read to be, from recordings of the real CLI."""

from __future__ import annotations

import json

import pytest

from report.events import Change, Preview, plain, read
from tests.report.plans import RECORDINGS, recorded


def by_name(preview: Preview) -> dict[str, Change]:
    return {change.name: change for change in preview.changes}


def test_everything_is_created_on_an_empty_state() -> None:
    preview = recorded("create")
    assert preview.succeeded
    assert {change.operation for change in preview.changes} == {"create"}
    assert len(preview.changes) == 12
    assert preview.present == ()
    assert {one.name for one in preview.planned} == set(by_name(preview))


def test_nothing_changes_the_second_time() -> None:
    preview = recorded("same")
    assert preview.succeeded
    assert preview.changes == ()
    assert preview.unchanged == 12
    assert preview.planned == preview.present


def test_changes_carry_the_names_of_the_properties_that_differ() -> None:
    changes = by_name(recorded("change"))
    assert {name: change.operation for name, change in changes.items()} == {
        "edge-0": "update",
        "shop-api-0": "replace",
        "shop-api-1": "replace",
        "shop-api-2": "create",
        "shop-old-0": "delete",
    }
    assert changes["edge-0"].properties == ("memory", "memorySwap")
    assert changes["edge-0"].forcing == ()
    assert changes["shop-api-0"].properties == changes["shop-api-0"].forcing == ("cpus",)


def test_a_replaced_resource_is_planned_once_and_a_deleted_one_not_at_all() -> None:
    planned = [one.name for one in recorded("change").planned]
    assert planned.count("shop-api-0") == 1
    assert "shop-old-0" not in planned
    assert "shop-old-0" in [one.name for one in recorded("change").present]


def test_findings_keep_their_level_and_lose_the_policys_description() -> None:
    preview = recorded("change")
    assert [(one.policy, one.message.partition(":")[0]) for one in preview.violations] == [
        ("lifecycle-container-require-healthcheck", "container shop-api-2")
    ]
    assert [one.policy for one in preview.advice] == ["lifecycle-container-require-restart"]
    assert not preview.succeeded


def test_exemptions_are_told_apart_from_findings() -> None:
    preview = recorded("create")
    assert preview.findings == ()
    (line,) = preview.exempted
    assert line.startswith("replicas-app-require is exempted until 2040-01-01 because leaves next week (team-shop)")
    assert preview.settings.exemptions[0].owner == "team-shop"


def test_the_policies_that_looked_are_counted_without_their_reports() -> None:
    preview = recorded("create")
    assert preview.pack == "ai-platform 1.0.0"
    passed = {
        name
        for line in (RECORDINGS / "create.jsonl").read_text(encoding="utf-8").splitlines()
        for body in json.loads(line).values()
        if isinstance(body, dict)
        for name in [*body.get("passed", []), *body.get("failed", [])]
    }
    assert preview.rules == len({name for name in passed if not name.startswith("exemptions-")}) > 20


def test_an_error_is_told_without_its_stack_trace() -> None:
    preview = recorded("broken")
    (error,) = preview.errors
    assert error.startswith("ValueError: cannot reach postgresql://")
    assert "Traceback" not in error
    assert "File" not in error


def test_a_refusal_is_the_programs_own_text() -> None:
    (error,) = recorded("refused").errors
    assert error.splitlines()[0] == "Pulumi.staging.yaml has 1 problem:"
    assert "this version cannot deploy them" in error


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("simply wrong\n", "simply wrong"),
        (
            'Traceback (most recent call last):\n  File "a.py", line 1\n    x = "p4ssw0rd"\nKeyError: \'b\'\n',
            "KeyError: 'b'",
        ),
        (
            "Traceback (most recent call last):\n  File a\nOSError: first\n\nDuring handling, another:\n\n"
            "Traceback (most recent call last):\n  File b\nValueError: second\n  with details",
            "ValueError: second\n  with details",
        ),
        ("Traceback (most recent call last):\n  File a", "the program failed"),
    ],
)
def test_plain_errors(message: str, expected: str) -> None:
    assert plain(message) == expected


@pytest.mark.parametrize("line", ["", "no JSON", "[1]", "7", '{"resourcePreEvent": 3}', '{"unheardOf": {"a": 1}}'])
def test_lines_that_are_no_events_are_passed_over(line: str) -> None:
    assert read([line]) == Preview(succeeded=False)


def test_warnings_are_kept_apart_from_errors() -> None:
    event = {"diagnosticEvent": {"severity": "warning", "message": "deprecated\n"}}
    preview = read([json.dumps(event), json.dumps(event)])
    assert preview.warnings == ("deprecated",)
    assert preview.errors == ()


def test_policy_settings_that_make_no_sense_leave_the_verdict_to_the_pack() -> None:
    event = {"preludeEvent": {"config": {"ai-platform:policies": '{"exemptions": 3}'}}}
    assert read([json.dumps(event)]).settings.exemptions == ()


def test_the_same_events_in_another_order_are_the_same_preview() -> None:
    lines = (RECORDINGS / "change.jsonl").read_text(encoding="utf-8").splitlines()
    assert read(reversed(lines)) == read(lines)
