"""`python -m tests.conformance`: which facts hold where, from the registered graph and the last test runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conformance import results
from tests.conformance.facts import TABLES
from tests.conformance.program import graph_of
from tests.conformance.report import as_json, as_text, explain
from tests.conformance.verdicts import Judge

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; 1 when a check contradicts a fact, with `--strict` also when a fact is not shown."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--strict", action="store_true", help="fail when any fact is not shown")
    parser.add_argument("--fact", metavar="ARE-012", help="show all that was looked at for one fact")
    options = parser.parse_args(arguments)
    judge = Judge(graph_of, results.load(ROOT), ROOT)
    judged = [(table, list(judge.judge(table))) for table in TABLES]
    everything = [one for _, verdicts in judged for one in verdicts]
    if options.fact:
        chosen = [one for one in everything if one.id == options.fact.upper()]
        if not chosen:
            parser.error(f"there is no fact {options.fact}")
        print(explain(chosen), end="")
    elif options.json:
        print(as_json(judged))
    else:
        print("\n\n".join(as_text(table, verdicts) for table, verdicts in judged), end="")
    contradicted = any(one.contradicted for one in everything)
    unshown = any(one.status == "not shown" for one in everything)
    return 1 if contradicted or (options.strict and unshown) else 0


if __name__ == "__main__":
    sys.exit(main())
