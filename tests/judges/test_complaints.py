"""What is accepted of what the judges say."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain.console import ToolchainError
from toolchain.judges.complaints import FILE, Accepted, Complaint, load, open_complaints, stale

COMPLAINT = Complaint("kube-score", "pod-probes", "shop/Deployment/api-0", "no probe")
ENTRY = Accepted(judge="kube-score", check="pod-probes", object="shop/*/api-*", reason="it has none")
WHOLE = "{judge: a, check: b, object: c, reason: d}"


def test_an_entry_covers_complaints_by_judge_check_and_glob() -> None:
    assert open_complaints([COMPLAINT], [ENTRY]) == []
    assert stale([COMPLAINT], [ENTRY]) == []


@pytest.mark.parametrize(
    "other",
    [
        Accepted(judge="checkov", check="pod-probes", object="*", reason="r"),
        Accepted(judge="kube-score", check="pod-network", object="*", reason="r"),
        Accepted(judge="kube-score", check="pod-probes", object="shop/*/web-*", reason="r"),
    ],
)
def test_an_entry_about_something_else_covers_nothing_and_is_stale(other: Accepted) -> None:
    assert open_complaints([COMPLAINT], [other]) == [COMPLAINT]
    assert stale([COMPLAINT], [other]) == [other]


def test_complaints_come_once_and_in_order() -> None:
    second = Complaint("checkov", "CKV_1", "shop/Pod/x", "bad")
    assert open_complaints([COMPLAINT, second, COMPLAINT], []) == [second, COMPLAINT]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must be a list under the key `accepted`"),
        ("accepted: {a: b}", "must be a list under the key `accepted`"),
        (f"accepted: [{WHOLE}]\nmore: 1", "must be a list under the key `accepted`"),
        ("accepted: [{judge: a, check: b, object: c}]", r"accepted\[0\] must have exactly the keys"),
        (
            f"accepted: [{WHOLE}, {{judge: a, check: b, object: c, reason: ''}}]",
            r"accepted\[1\]\.reason must be a text",
        ),
    ],
)
def test_a_file_that_is_not_whole_is_refused_with_its_place(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "judges.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ToolchainError, match=reason):
        load(file)


def test_every_entry_of_the_project_has_a_reason_that_says_something() -> None:
    entries = load(FILE)
    assert len({(entry.judge, entry.check, entry.object) for entry in entries}) == len(entries)
    assert [str(entry) for entry in entries if len(entry.reason.split()) < 5] == []
