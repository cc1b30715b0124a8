"""The review itself: a pure function from a text to a score and findings. Standard library only."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

MAX_LINE = 120
MAX_FINDINGS = 200
BEST_SCORE = 100

Severity = Literal["critical", "major", "minor", "info"]
PENALTY: dict[Severity, int] = {"critical": 25, "major": 10, "minor": 2, "info": 1}
"""Points that one finding costs."""


@dataclass(frozen=True)
class Finding:
    """One remark. `line` counts from 1. The message never repeats the text: it may be a secret."""

    line: int
    rule: str
    severity: Severity
    message: str


@dataclass(frozen=True)
class Review:
    """`score` is 100 for a text without findings, and never below 0."""

    score: int
    statistics: dict[str, int]
    findings: list[Finding]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


_RULES: tuple[tuple[str, Severity, str, re.Pattern[str]], ...] = (
    (
        "secret",
        "critical",
        "looks like a credential: revoke it and load it from the environment",
        re.compile(
            r"\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"
            r"|\b(?:password|passwd|secret|token|api_?key)\b[\"']?\s{0,3}[:=]\s{0,3}[\"'][^\"'\s]{6,}[\"']",
            re.IGNORECASE,
        ),
    ),
    (
        "conflict-marker",
        "major",
        "marker of an unfinished merge",
        re.compile(r"^(?:<{7}|>{7})(?: |$)"),
    ),
    (
        "dynamic-code",
        "major",
        "runs text as code: find another way",
        re.compile(r"(?<![\w.])(?:eval|exec)\s{0,3}\("),
    ),
    ("bare-except", "major", "hides every error: name the exceptions", re.compile(r"^\s*except\s*:")),
    (
        "debug-statement",
        "minor",
        "left over from debugging",
        re.compile(r"\bpdb\.set_trace\(|\bbreakpoint\(\)|\bconsole\.log\("),
    ),
    ("todo", "info", "unfinished work is marked here", re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")),
    ("trailing-space", "info", "white space at the end of the line", re.compile(r"\S[ \t]+$")),
)


def review(text: str) -> Review:
    """Review a text. The same text always gives the same result."""
    lines = text.splitlines()
    findings = [finding for number, line in enumerate(lines, start=1) for finding in _review_line(number, line)]
    statistics = {
        "lines": len(lines),
        "blank_lines": sum(not line.strip() for line in lines),
        "words": len(text.split()),
        "characters": len(text),
        "longest_line": max(map(len, lines), default=0),
        "findings": len(findings),
    }
    score = max(0, BEST_SCORE - sum(PENALTY[finding.severity] for finding in findings))
    return Review(score, statistics, findings[:MAX_FINDINGS])


def _review_line(number: int, line: str) -> list[Finding]:
    found = [Finding(number, rule, severity, message) for rule, severity, message, at in _RULES if at.search(line)]
    if len(line) > MAX_LINE:
        found.append(Finding(number, "long-line", "minor", f"{len(line)} characters, more than {MAX_LINE}"))
    return found
