"""The plugin keeps the outcome of each marked test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conformance import plugin, results

pytest_plugins = ["pytester"]
PLUGIN = "tests.conformance.plugin"


def run(pytester: pytest.Pytester, source: str, *arguments: str) -> pytest.RunResult:
    """Run a test file with the plugin, without this repository's settings."""
    pytester.makepyfile(test_it="import pytest\n" + source)
    return pytester.runpytest_inprocess("-p", PLUGIN, "--strict-markers", *arguments)


def outcomes(root: Path) -> dict[str, tuple[tuple[str, ...], str]]:
    """Facts and outcome by the test's own name."""
    return {one.test.partition("::")[2]: (one.facts, one.outcome) for one in results.load(root)}


def test_each_outcome_is_kept_with_its_facts(pytester: pytest.Pytester) -> None:
    run(
        pytester,
        """
@pytest.mark.fact("ARE-001", "ARE-002", stack="D CI")
def test_passes(): pass

@pytest.mark.fact("ARE-003", stack="D")
def test_fails(): assert 1 == 2

@pytest.mark.fact("ARE-004", stack="D")
def test_skips(): pytest.skip("no engine")

@pytest.mark.xfail
@pytest.mark.fact("ARE-005", stack="D")
def test_is_expected_to_fail(): assert False

@pytest.fixture
def broken(): raise OSError("no")

@pytest.mark.fact("ARE-006", stack="D")
def test_cannot_start(broken): pass

@pytest.fixture
def leaking():
    yield
    raise OSError("leak")

@pytest.mark.fact("ARE-007", stack="D")
def test_cannot_end(leaking): pass

def test_without_a_mark(): pass
""",
    )
    assert outcomes(pytester.path) == {
        "test_passes": (("ARE-001 D", "ARE-001 CI", "ARE-002 D", "ARE-002 CI"), "passed"),
        "test_fails": (("ARE-003 D",), "failed"),
        "test_skips": (("ARE-004 D",), "skipped"),
        "test_is_expected_to_fail": (("ARE-005 D",), "skipped"),
        "test_cannot_start": (("ARE-006 D",), "failed"),
        "test_cannot_end": (("ARE-007 D",), "failed"),
    }
    reasons = {one.test.partition("::")[2]: one.reason for one in results.load(pytester.path)}
    assert reasons["test_skips"] == "no engine"
    assert "test_it.py" in reasons["test_fails"]


def test_a_later_run_of_some_tests_leaves_the_results_of_the_others(pytester: pytest.Pytester) -> None:
    both = """
@pytest.mark.fact("ARE-001", stack="D")
def test_one(): assert {}

@pytest.mark.fact("ARE-002", stack="D")
def test_two(): pass
"""
    run(pytester, both.format("True"))
    run(pytester, both.format("False"), "-k", "one")
    assert outcomes(pytester.path) == {
        "test_one": (("ARE-001 D",), "failed"),
        "test_two": (("ARE-002 D",), "passed"),
    }


def test_files_in_which_nothing_counts_any_more_are_removed(pytester: pytest.Pytester) -> None:
    for _ in range(2):
        run(pytester, '@pytest.mark.fact("ARE-001", stack="D")\ndef test_one(): pass\n')
    assert len(list((pytester.path / results.FOLDER).iterdir())) == 1


def test_nothing_is_written_without_a_mark_or_when_tests_are_only_listed(pytester: pytest.Pytester) -> None:
    run(pytester, "def test_one(): pass\n")
    run(pytester, '@pytest.mark.fact("ARE-001", stack="D")\ndef test_one(): pass\n', "--collect-only")
    assert not (pytester.path / results.FOLDER).exists()


@pytest.mark.parametrize(
    ("ids", "kwargs"),
    [
        (["ARE-1"], {"stack": "D"}),
        (["ARE-001"], {}),
        ([], {"stack": "D"}),
        (["ARE-001"], {"stack": "X"}),
        (["ARE-001"], {"stack": "D", "why": "x"}),
    ],
)
def test_a_mark_that_cannot_be_read_is_refused(
    request: pytest.FixtureRequest, ids: list[str], kwargs: dict[str, str]
) -> None:
    request.node.add_marker(pytest.mark.fact(*ids, **kwargs))
    with pytest.raises(pytest.UsageError, match="write the mark like"):
        list(plugin._facts(request.node))


def test_half_a_file_of_results_shows_nothing(tmp_path: Path) -> None:
    folder = tmp_path / results.FOLDER
    folder.mkdir(parents=True)
    (folder / "1.json").write_text('[{"test": "a::b", "facts"', encoding="utf-8")
    (folder / "2.json").write_text(json.dumps([{"test": "a::b"}]), encoding="utf-8")
    assert results.load(tmp_path) == []
