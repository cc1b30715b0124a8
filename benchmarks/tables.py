"""The results as Markdown, and their places in README.md."""

from __future__ import annotations

from collections.abc import Sequence

MIB = 1024**2


class MarkerError(ValueError):
    """A file without the markers between which a section belongs."""


def between(text: str, name: str, body: str) -> str:
    """The text with `body` between the markers of the section `name`, in place of what stands there.

    Raises MarkerError when there are no such markers.
    """
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise MarkerError(f"there is no place for {name}: {begin} … {end}")
    return f"{head}{begin}\n{body.strip()}\n{end}{tail}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; every column but the first holds figures."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def count(number: int) -> str:
    """`1 000`."""
    return f"{number:,}".replace(",", " ")


def duration(seconds: float) -> str:
    """Seconds with three significant digits or one decimal."""
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"  # noqa: PLR2004


def size(number: float) -> str:
    """Bytes in MiB."""
    return f"{number / MIB:.0f} MiB"


def factor(value: float) -> str:
    """A ratio."""
    return f"{value:.2f}"


def aim(what: str, value: float, limit: float) -> str:
    """One line of verdict: an aim is met where the value, as it is printed, is not above the limit."""
    word = "met" if round(value, 2) <= limit else "**missed**"
    return f"- {what}: {value:.2f}, aim ≤ {limit:.2f}: {word}"
