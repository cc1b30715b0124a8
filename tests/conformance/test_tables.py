"""The tables are complete, and every row and mark in them means something."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.facts import TABLES
from tests.conformance.model import PLACES, Behaviour, Contains, Decided, Equals, Evidence, Fact, Lacks, Row, Table
from tests.conformance.paths import parse
from tests.conformance.verdicts import is_in, record_of

ROOT = Path(__file__).resolve().parents[2]
Mark = tuple[str, str, str]
"""Number, place, file."""


def rows() -> Iterator[tuple[str, Row]]:
    """Every row with its number."""
    for table in TABLES:
        for fact in table.facts:
            for answer in fact.answers.values():
                if isinstance(answer, Evidence):
                    yield from ((table.id_of(fact), row) for row in answer.rows)


def behaviours() -> Iterator[tuple[str, str, Behaviour]]:
    """Every behaviour with its number and place."""
    for table in TABLES:
        for fact in table.facts:
            for place, answer in fact.answers.items():
                if isinstance(answer, Evidence):
                    yield from ((table.id_of(fact), place, behaviour) for behaviour in answer.behaviour)


def marks() -> Iterator[Mark]:
    """Every mark in the repository's tests, read without running them."""
    for file in sorted((ROOT / "tests").rglob("*.py")):
        functions = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        decorators = [one for node in functions if isinstance(node, ast.FunctionDef) for one in node.decorator_list]
        for node in decorators:
            if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fact"):
                continue
            ids = [str(ast.literal_eval(argument)) for argument in node.args]
            stack = next((str(ast.literal_eval(one.value)) for one in node.keywords if one.arg == "stack"), "")
            for place in stack.split():
                yield from ((one, place, file.relative_to(ROOT).as_posix()) for one in ids)


MARKS = tuple(marks())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.system)
def test_every_fact_of_the_acceptance_table_is_there_once(table: Table) -> None:
    assert [fact.number for fact in table.facts] == list(range(1, table.count + 1))
    assert all(fact.title.strip() for fact in table.facts)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.system)
def test_every_fact_has_an_answer_wherever_it_is_asked_for(table: Table) -> None:
    def unanswered(fact: Fact) -> bool:
        return not fact.asked or not set(fact.asked) <= set(fact.answers) <= set(PLACES)

    assert [table.id_of(fact) for fact in table.facts if unanswered(fact)] == []


def test_no_answer_is_without_evidence() -> None:
    for table in TABLES:
        for fact in table.facts:
            for answer in fact.answers.values():
                assert not isinstance(answer, Evidence) or answer.rows or answer.behaviour, table.id_of(fact)


def test_every_row_looks_at_a_value() -> None:
    for number, row in rows():
        parse(row.path)
        match row.expected:
            case Equals(value):
                wanted = [value]
            case Contains(parts) | Lacks(parts):
                wanted = list(parts)
            case other:
                pytest.fail(f"{number}: {other} is of an unknown kind")
        assert wanted, f"{number}: {row} expects nothing"
        assert not any(value in (None, "", [], {}) for value in wanted), f"{number}: {row} looks for existence only"


def test_no_fact_says_a_row_twice() -> None:
    for table in TABLES:
        for fact in table.facts:
            for answer in fact.answers.values():
                texts = [str(row) for row in answer.rows] if isinstance(answer, Evidence) else []
                assert len(set(texts)) == len(texts), table.id_of(fact)


def test_every_decision_is_recorded() -> None:
    answers = [answer for table in TABLES for fact in table.facts for answer in fact.answers.values()]
    wanted = {one.adr for one in answers if isinstance(one, Decided | Evidence) and one.adr}
    assert wanted
    missing = {adr for adr in wanted if not (ROOT / record_of(adr, ROOT)).is_file()}
    assert missing == set(), "write these records into docs/adr as NNNN-<name>.md"


def test_every_behaviour_has_a_test_that_bears_its_mark() -> None:
    unmarked = [
        f'@pytest.mark.fact("{number}", stack="{place}") on a test in {behaviour.where}: {behaviour.says}'
        for number, place, behaviour in behaviours()
        if not any(mark[:2] == (number, place) and is_in(mark[2], behaviour.where) for mark in MARKS)
    ]
    assert unmarked == []


def test_every_mark_is_expected_by_a_table() -> None:
    expected = list(behaviours())
    strays = [
        mark
        for mark in MARKS
        if not any((number, place) == mark[:2] and is_in(mark[2], one.where) for number, place, one in expected)
    ]
    assert strays == []
