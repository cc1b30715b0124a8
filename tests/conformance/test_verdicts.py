"""What is shown, and what is not, follows from the graph and the results alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance import report, results
from tests.conformance.model import (
    Answer,
    Behaviour,
    Decided,
    Fact,
    NotInfrastructure,
    Open,
    Table,
    contains,
    lacks,
    row,
    shown,
)
from tests.conformance.results import Result, fingerprint
from tests.conformance.verdicts import Judge, Verdict
from tests.support.recording import Graph, Registration

TEST = "tests/x/test_it.py::test_one"
BEHAVIOUR = Behaviour("tests/x", "it works")
CONTAINER = Registration(
    type="docker:index/container:Container",
    name="web-0",
    urn="urn:web-0",
    parent="",
    custom=True,
    inputs={"restart": "no", "command": ["run"], "memory": 1},
    depends_on=frozenset(),
    delete_before_replace=True,
    protect=False,
    retain_on_delete=False,
    provider="",
    aliases=(),
)


def verdict(root: Path, answer: Answer, *seen: Result, asked: tuple[str, ...] = ("D",)) -> Verdict:
    """The verdict on a table with one fact."""
    table = Table("x", "ARE", 1, (Fact(1, "It holds", asked, {"D": answer}),))
    return next(Judge(lambda *_: Graph([CONTAINER]), seen, root).judge(table))


def seen(root: Path, outcome: str = "passed", *, fact: str = "ARE-001 D", test: str = TEST) -> Result:
    """A result for the code as it is."""
    return Result(test, (fact,), outcome, "because", fingerprint(root, test.partition("::")[0]))


def test_rows_show_a_fact(tmp_path: Path) -> None:
    one = verdict(tmp_path, shown(row("web-*", "restart", "no"), row("web-*", "command", contains("run"))))
    assert (one.status, one.contradicted, len(one.evidence)) == ("shown", False, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        row("web-*", "restart", "always"),
        row("web-*", "memory", True),
        row("web-*", "stopTimeout", 3),
        row("api-*", "restart", "no"),
        row("web-*", "count", 2),
        row("web-*", "command", lacks("run")),
        row("web-*", "restart", contains("yes")),
        row("web-*", "options.deleteBeforeReplace", False),
    ],
    ids=str,
)
def test_one_wrong_row_contradicts_it(tmp_path: Path, wrong: object) -> None:
    one = verdict(tmp_path, shown(row("web-*", "restart", "no"), wrong))  # type: ignore[arg-type]
    assert (one.status, one.contradicted) == ("not shown", True)
    assert len(one.details) == 1


def test_a_program_that_cannot_be_recorded_shows_nothing(tmp_path: Path) -> None:
    def broken(*_: str) -> Graph:
        raise RuntimeError("first\nlast line")

    table = Table("x", "ARE", 1, (Fact(1, "It holds", ("D",), {"D": shown(row("web-*", "restart", "no"))}),))
    one = next(Judge(broken, [], tmp_path).judge(table))
    assert (one.status, one.contradicted) == ("not shown", True)
    assert one.details == ("the program cannot be recorded with profile standard: RuntimeError: last line",)


def test_a_passed_test_with_the_mark_shows_a_fact(tmp_path: Path) -> None:
    assert verdict(tmp_path, shown(BEHAVIOUR), seen(tmp_path)).status == "shown"


def test_a_behaviour_is_not_shown_by_another_number_place_or_folder(tmp_path: Path) -> None:
    others = (
        seen(tmp_path, fact="ARE-002 D"),
        seen(tmp_path, fact="ARE-001 S"),
        seen(tmp_path, test="tests/xy/test_it.py::test_one"),
    )
    one = verdict(tmp_path, shown(BEHAVIOUR), *others)
    assert (one.status, one.contradicted) == ("not shown", False)
    assert one.details == ("tests/x: its test has not run (it works)",)


@pytest.mark.parametrize(("outcome", "contradicted"), [("failed", True), ("skipped", False)])
def test_one_test_that_did_not_pass_is_enough(tmp_path: Path, outcome: str, contradicted: bool) -> None:
    other = seen(tmp_path, outcome, test="tests/x/test_it.py::test_two")
    one = verdict(tmp_path, shown(BEHAVIOUR), seen(tmp_path), other)
    assert (one.status, one.contradicted) == ("not shown", contradicted)
    assert "because" in one.details[0]


def test_a_result_of_older_code_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "tests" / "x" / "test_it.py"
    file.parent.mkdir(parents=True)
    file.write_text("1", encoding="utf-8")
    result = seen(tmp_path)
    assert verdict(tmp_path, shown(BEHAVIOUR), result).status == "shown"
    file.write_text("2", encoding="utf-8")
    one = verdict(tmp_path, shown(BEHAVIOUR), result)
    assert (one.status, one.contradicted) == ("not shown", False)
    assert "has not run since the code changed" in one.details[0]


def test_a_change_of_the_program_changes_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "systems").mkdir()
    before = fingerprint(tmp_path, "tests/x.py")
    (tmp_path / "systems" / "one.py").write_text("1", encoding="utf-8")
    results._program.cache_clear()
    assert fingerprint(tmp_path, "tests/x.py") != before


@pytest.mark.parametrize(
    ("answer", "status", "detail"),
    [
        (Decided("other-way", "it is better"), "decided otherwise", "docs/adr/0007-other-way.md: it is better"),
        (NotInfrastructure("an editor"), "not infrastructure", "an editor"),
        (Open("the next stage"), "open", "the next stage"),
    ],
)
def test_other_answers_stand_as_they_are(tmp_path: Path, answer: Answer, status: str, detail: str) -> None:
    record = tmp_path / "docs" / "adr" / "0007-other-way.md"
    record.parent.mkdir(parents=True)
    record.touch()
    one = verdict(tmp_path, answer)
    assert (one.status, one.details) == (status, (detail,))


def test_the_report_lists_every_fact_under_its_status(tmp_path: Path) -> None:
    table = Table("x", "ARE", 4, ())
    base = verdict(tmp_path, shown(row("web-*", "restart", "no")))
    verdicts = [
        base,
        replace(base, id="ARE-002", title="Broken", status="not shown", details=("it is not so",)),
        replace(base, id="ARE-003", place="S", status="open", details=("the next stage",)),
        replace(base, id="ARE-004", asked=False),
    ]
    text = report.as_text(table, verdicts)
    assert "Shown (1)\n  ARE-001\n" in text
    assert "Not shown (1)\n  ARE-002  Broken\n           it is not so\n" in text
    assert "Still open (1)\n  the next stage: ARE-003\n" in text
    assert "Shown, though not asked for here (1)\n  ARE-004\n" in text
    data = json.loads(report.as_json([(table, verdicts)]))
    assert data[0]["stacks"]["dev"]["asked"] == {
        "shown": 1,
        "decided otherwise": 0,
        "not infrastructure": 0,
        "not shown": 1,
        "open": 0,
    }
    assert [one["id"] for one in data[0]["facts"]] == ["ARE-001", "ARE-002", "ARE-003", "ARE-004"]


def test_three_numbers_in_a_row_are_a_range() -> None:
    assert (
        report.ranges(["ARE-001", "ARE-002", "ARE-003", "ARE-005", "ARE-006"]) == "ARE-001 to ARE-003, ARE-005, ARE-006"
    )
