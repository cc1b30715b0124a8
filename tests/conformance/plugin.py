"""pytest plugin: keeps the outcome of each test that shows a fact, for `python -m tests.conformance`.

    @pytest.mark.fact("ARE-049", "ARE-110", stack="D")

says that the test shows these facts on dev; `stack="D CI"` says two places at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.conformance.model import PLACES
from tests.conformance.results import Result, fingerprint, save

MARKER: Final = "fact(*ids, stack): the test shows these facts of an acceptance table; stack is D, S, P, CI, or several"
PROPERTY: Final = "fact"
_ID = re.compile(r"[A-Z]{3}-[0-9]{3}")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and what watches the run."""
    config.addinivalue_line("markers", MARKER)
    config.pluginmanager.register(Watcher(config.rootpath, collect_only=bool(config.option.collectonly)))


class Watcher:
    """Collects the outcomes of one run."""

    def __init__(self, root: Path, *, collect_only: bool) -> None:
        self._root = root
        self._collect_only = collect_only
        self._results: dict[str, Result] = {}

    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        """Hang each test's facts on its reports."""
        for item in items:
            item.user_properties += [(PROPERTY, fact) for fact in _facts(item)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst outcome of set-up, call and tear-down."""
        facts = tuple(str(value) for name, value in report.user_properties if name == PROPERTY)
        if not facts:
            return
        before = self._results.get(report.nodeid)
        if before is not None and before.outcome != "passed" and report.outcome == "passed":
            return
        if report.when != "call" and report.outcome == "passed":
            return
        expected_to_fail = hasattr(report, "wasxfail")
        self._results[report.nodeid] = Result(
            test=report.nodeid,
            facts=facts,
            outcome="skipped" if expected_to_fail else report.outcome,
            reason="it is expected to fail" if expected_to_fail else _reason(report),
            code=fingerprint(self._root, report.nodeid.partition("::")[0]),
        )

    def pytest_sessionfinish(self) -> None:
        """Write them down, if there are any."""
        if self._results and not self._collect_only:
            save(self._root, self._results.values())


def _facts(item: pytest.Item) -> Iterator[str]:
    """`ARE-049 D` for each number and place of the test's marks. Raises UsageError for a mark that cannot be read."""
    for mark in item.iter_markers("fact"):
        places = str(mark.kwargs.get("stack", "")).split()
        ids = [str(each) for each in mark.args]
        good = ids and places and all(_ID.fullmatch(each) for each in ids) and set(places) <= set(PLACES)
        if not good or set(mark.kwargs) != {"stack"}:
            raise pytest.UsageError(f'{item.nodeid}: write the mark like @pytest.mark.fact("ARE-049", stack="D")')
        yield from (f"{each} {place}" for each in ids for place in places)


def _reason(report: pytest.TestReport) -> str:
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return report.longreprtext.strip().splitlines()[-1] if report.outcome == "failed" and report.longreprtext else ""
