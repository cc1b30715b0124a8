"""Puts tables, graphs and test results together: what is the state of each fact in each place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tests.conformance.graphs import check
from tests.conformance.model import PLACES, Behaviour, Decided, Evidence, Fact, NotInfrastructure, Open, Row, Table
from tests.conformance.results import Result, fingerprint
from tests.support.recording import Graph

Status = Literal["shown", "decided otherwise", "not infrastructure", "not shown", "open"]
STATUSES: Final[tuple[Status, ...]] = ("shown", "decided otherwise", "not infrastructure", "not shown", "open")


@dataclass(frozen=True)
class Verdict:
    """One fact in one place."""

    id: str
    title: str
    place: str
    asked: bool
    """Whether the acceptance table asks for it here."""
    status: Status
    contradicted: bool
    """A check ran and failed, or the program could not be recorded."""
    details: tuple[str, ...]
    """Problems, the record, the reason, or the stage."""
    evidence: tuple[str, ...]
    """Rows that held and tests that passed."""


Graphs = Callable[[str, str], Graph]
"""Place and profile → graph; raises what the program raises."""


@dataclass
class Judge:
    """Looks at each fact. `root` is the repository."""

    graphs: Graphs
    results: Sequence[Result]
    root: Path

    def judge(self, table: Table) -> Iterator[Verdict]:
        """A verdict for each fact and place that the table answers."""
        for fact in table.facts:
            for place in PLACES:
                if place in fact.answers:
                    yield self._verdict(table.id_of(fact), fact, place)

    def _verdict(self, name: str, fact: Fact, place: str) -> Verdict:
        status: Status
        evidence: list[str] = []
        contradicted = False
        match fact.answers[place]:
            case Decided(adr, reason):
                status, details = "decided otherwise", [f"{record_of(adr, self.root)}: {reason}"]
            case NotInfrastructure(reason):
                status, details = "not infrastructure", [reason]
            case Open(stage):
                status, details = "open", [stage]
            case Evidence() as wanted:
                problems = [*self._rows(wanted.rows, place, evidence)]
                contradicted = bool(problems)
                failed, unseen = self._behaviour(name, wanted.behaviour, place, evidence)
                contradicted |= bool(failed)
                details = [*problems, *failed, *unseen]
                status = "not shown" if details else "shown"
                if status == "shown" and wanted.adr:
                    details = [record_of(wanted.adr, self.root)]
        return Verdict(
            id=name,
            title=fact.title,
            place=place,
            asked=place in fact.asked,
            status=status,
            contradicted=contradicted,
            details=tuple(details),
            evidence=tuple(evidence),
        )

    def _rows(self, rows: Sequence[Row], place: str, evidence: list[str]) -> Iterator[str]:
        broken: set[str] = set()
        for row in rows:
            if row.profile in broken:
                continue
            try:
                graph = self.graphs(place, row.profile)
            except Exception as error:  # noqa: BLE001 - whatever stops the program, its facts are not shown
                broken.add(row.profile)
                yield f"the program cannot be recorded with profile {row.profile}: {_last_line(error)}"
                continue
            finding = check(row, graph)
            if finding.problem:
                yield str(finding)
            else:
                evidence.append(str(row))

    def _behaviour(
        self, name: str, wanted: Sequence[Behaviour], place: str, evidence: list[str]
    ) -> tuple[list[str], list[str]]:
        failed: list[str] = []
        unseen: list[str] = []
        for behaviour in wanted:
            results = [
                one for one in self.results if f"{name} {place}" in one.facts and is_in(one.file, behaviour.where)
            ]
            bad = [problem for one in results if (problem := self._problem(one)) is not None]
            if not results:
                unseen.append(f"{behaviour.where}: its test has not run ({behaviour.says})")
            elif bad:
                (failed if any(one.outcome == "failed" for one in results) else unseen).extend(bad)
            else:
                evidence += [one.test for one in results]
        return failed, unseen

    def _problem(self, result: Result) -> str | None:
        if result.code != fingerprint(self.root, result.file):
            return f"{result.test} has not run since the code changed"
        if result.outcome != "passed":
            return f"{result.test} {'failed' if result.outcome == 'failed' else 'was skipped'}: {result.reason}"
        return None


def record_of(adr: str, root: Path) -> str:
    """The record's path, relative to the repository; says so when there is none."""
    found = sorted((root / "docs" / "adr").glob(f"[0-9]*-{adr}.md"))
    return str(found[0].relative_to(root)) if found else f"docs/adr/…-{adr}.md (missing)"


def is_in(file: str, where: str) -> bool:
    """Whether the file is `where`, or lies in it."""
    return file == where or file.startswith(f"{where}/")


def count(verdicts: Sequence[Verdict], place: str, *, asked: bool = True) -> Mapping[Status, int]:
    """How many facts have which status in a place."""
    mine = [one for one in verdicts if one.place == place and one.asked == asked]
    return {status: sum(one.status == status for one in mine) for status in STATUSES}


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1].strip()}" if lines else type(error).__name__
