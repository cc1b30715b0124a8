"""Every row holds on what the program registers, and fails as soon as its property is another."""

from __future__ import annotations

import pytest

from tests.conformance.facts import TABLES
from tests.conformance.graphs import check, mutants
from tests.conformance.model import Evidence, Row
from tests.conformance.program import RECORDED, graph_of

ROWS = [
    pytest.param(place, row, id=f"{table.id_of(fact)} {place} {row.resource} {row.path}")
    for table in TABLES
    for fact in table.facts
    for place, answer in fact.answers.items()
    if isinstance(answer, Evidence)
    for row in answer.rows
]


@pytest.mark.parametrize(("place", "row"), ROWS)
def test_the_row_holds(place: str, row: Row) -> None:
    assert check(row, graph_of(place, row.profile)).problem is None


@pytest.mark.parametrize(("place", "row"), ROWS)
def test_the_row_fails_when_its_property_changes(place: str, row: Row) -> None:
    graph = graph_of(place, row.profile)
    assert check(row, graph).problem is None, "a row that does not hold cannot be tested"
    tried = list(mutants(row, graph))
    assert len(tried) >= 1
    blind = [what for what, mutant in tried if check(row, mutant).problem is None]
    assert blind == [], f"{row} does not notice"


@pytest.mark.parametrize("place", RECORDED)
def test_recording_the_same_stack_twice_gives_the_same_graph(place: str) -> None:
    first = graph_of(place, "standard")
    graph_of.cache_clear()
    second = graph_of(place, "standard")
    assert {one.urn: one.inputs for one in first.resources} == {one.urn: one.inputs for one in second.resources}


def test_a_place_without_a_graph_is_refused() -> None:
    with pytest.raises(LookupError, match="prod"):
        graph_of("P", "standard")
