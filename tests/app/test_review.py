"""The review is a pure function: the same text, the same result."""

from __future__ import annotations

import pytest

from tests.app.sources import load

module = load("worker/review.py")
review = module.review


def test_a_text_without_findings_has_the_best_score() -> None:
    result = review("def add(a, b):\n    return a + b\n")
    assert (result.score, result.findings) == (100, [])
    assert result.statistics == {
        "lines": 2,
        "blank_lines": 0,
        "words": 7,
        "characters": 32,
        "longest_line": 16,
        "findings": 0,
    }


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('password = "hunter22"', "secret"),
        ("api_key: 'abcdefgh'", "secret"),
        ("AKIAABCDEFGHIJKLMNOP", "secret"),
        ("-----BEGIN RSA PRIVATE KEY-----", "secret"),
        ("<<<<<<< HEAD", "conflict-marker"),
        ("x = eval(y)", "dynamic-code"),
        ("    except:", "bare-except"),
        ("breakpoint()", "debug-statement"),
        ("# TODO: later", "todo"),
        ("word ", "trailing-space"),
        ("x" * 121, "long-line"),
    ],
)
def test_each_rule_finds_its_case_on_its_line(line: str, rule: str) -> None:
    result = review(f"first\n{line}\nlast")
    assert [(finding.line, finding.rule) for finding in result.findings] == [(2, rule)]
    assert result.score == 100 - module.PENALTY[result.findings[0].severity]


@pytest.mark.parametrize(
    "line",
    [
        "password = os.environ['DB_PASSWORD']",
        "model.eval()",
        "retrieval(x)",
        "mastodon",
        "except ValueError:",
        "x" * 120,
    ],
)
def test_harmless_lines_have_no_findings(line: str) -> None:
    assert review(line).findings == []


def test_a_finding_never_repeats_the_secret() -> None:
    assert "hunter22" not in str(review('password = "hunter22"').as_json()["findings"])


def test_the_score_never_falls_below_zero_and_the_list_of_findings_is_bounded() -> None:
    result = review("\n".join(['token = "abcdefgh"'] * 1000))
    assert result.score == 0
    assert len(result.findings) == module.MAX_FINDINGS
    assert result.statistics["findings"] == 1000


def test_an_empty_text_and_a_text_of_one_endless_line_are_reviewed() -> None:
    assert review("").score == 100
    assert [finding.rule for finding in review("secret" * 16_000).findings] == ["long-line"]
