"""The verdicts as text that a person likes to read, or as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Final

from tests.conformance.model import PLACES, Table
from tests.conformance.verdicts import STATUSES, Status, Verdict, count

WIDTH: Final = 110
HEADINGS: Final[dict[Status, str]] = {
    "shown": "Shown",
    "decided otherwise": "Decided otherwise",
    "not infrastructure": "Not infrastructure",
    "not shown": "Not shown",
    "open": "Still open",
}


def as_text(table: Table, verdicts: Sequence[Verdict]) -> str:
    """Counts by stack, then the facts of each stack by status."""
    lines = [f"{table.system}: {table.count} facts", "", *_counts(verdicts)]
    for place, stack in PLACES.items():
        mine = [one for one in verdicts if one.place == place]
        if mine:
            lines += ["", stack, "─" * len(stack), *_place(mine)]
    return "\n".join(lines) + "\n"


def as_json(tables: Sequence[tuple[Table, Sequence[Verdict]]]) -> str:
    """Everything, with the evidence of each fact."""
    return json.dumps(
        [
            {
                "system": table.system,
                "count": table.count,
                "stacks": {
                    stack: {"asked": count(verdicts, place), "beyond": count(verdicts, place, asked=False)}
                    for place, stack in PLACES.items()
                },
                "facts": [{**asdict(one), "stack": PLACES[one.place]} for one in verdicts],
            }
            for table, verdicts in tables
        ],
        indent=2,
        ensure_ascii=False,
    )


def explain(verdicts: Sequence[Verdict]) -> str:
    """One fact with all that was looked at."""
    lines: list[str] = []
    for one in verdicts:
        lines.append(f"{one.id} {one.title}: {one.status} on {PLACES[one.place]}")
        lines += [f"  ✗ {text}" if one.status == "not shown" else f"  → {text}" for text in one.details]
        lines += [f"  ✓ {text}" for text in one.evidence]
    return "\n".join(lines) + "\n"


def _counts(verdicts: Sequence[Verdict]) -> Iterator[str]:
    names = [HEADINGS[status].lower() for status in STATUSES]
    yield "  " + "".ljust(10) + "asked".rjust(6) + "".join(name.rjust(len(name) + 3) for name in names)
    for place, stack in PLACES.items():
        counts = count(verdicts, place)
        cells = "".join(
            str(counts[status] or "·").rjust(len(name) + 3) for status, name in zip(STATUSES, names, strict=True)
        )
        beyond = count(verdicts, place, asked=False)["shown"]
        note = f"   and {beyond} that it is not asked for" if beyond else ""
        yield f"  {stack.ljust(10)}{str(sum(counts.values()) or '·').rjust(6)}{cells}{note}"


def _place(verdicts: Sequence[Verdict]) -> Iterator[str]:
    for status in STATUSES:
        asked = [one for one in verdicts if one.status == status and one.asked]
        beyond = [one for one in verdicts if one.status == status and not one.asked]
        for group, note in ((asked, ""), (beyond, ", though not asked for here")):
            if group:
                yield f"{HEADINGS[status]}{note} ({len(group)})"
                yield from _group(status, group)


def _group(status: Status, verdicts: Sequence[Verdict]) -> Iterator[str]:
    if status == "shown":
        yield from _wrapped("  ", ranges([one.id for one in verdicts]))
        for one in verdicts:
            yield from (f"    {one.id} as {text} says" for text in one.details)
    elif status == "open":
        for stage, group in groupby(sorted(verdicts, key=lambda one: one.details), key=lambda one: one.details[0]):
            yield from _wrapped("  ", f"{stage}: {ranges(sorted(one.id for one in group))}")
    else:
        for one in verdicts:
            yield f"  {one.id}  {one.title}"
            for text in one.details:
                yield from _wrapped("           ", text)


def _wrapped(indent: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def ranges(ids: Sequence[str]) -> str:
    """`ARE-001 to ARE-007, ARE-014`: three or more in a row become a range."""
    parts: list[str] = []
    numbered = [(int(one.rsplit("-", 1)[1]), one) for one in ids]
    for _, group in groupby(enumerate(numbered), key=lambda pair: pair[1][0] - pair[0]):
        run = [name for _, (_, name) in group]
        parts += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else run  # noqa: PLR2004 - two are shorter written out
    return ", ".join(parts)
