"""Paths read and change one property of a document."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest

from tests.conformance.paths import GONE, Missing, parse, put, read

DOCUMENT: dict[str, Any] = {
    "command": ["run", "--fast"],
    "restart": "no",
    "envs": ["A=1", "[secret] B=x=y"],
    "labels": [{"label": "a.b", "value": "c"}],
    "uploads": [{"file": "/etc/x.yml", "content": "jobs:\n- {name: one, port: 1}\n- {name: two, port: 2}\n"}],
    "mounts": [{"target": "/data", "source": "volume"}],
}
CASES = [
    ("restart", "no", "yes"),
    ("command[-1]", "--fast", "--slow"),
    ("command[0]", "run", "walk"),
    ("envs[A]", "1", "2"),
    ("envs[B]", "[secret] x=y", "[secret] z"),
    ("envs[B]", "[secret] x=y", "plain"),
    ("labels[a.b]", "c", "d"),
    ("mounts[/data].source", "volume", "other"),
    ("uploads[*].file", ["/etc/x.yml"], ["/etc/y.yml"]),
    ("uploads[/etc/x.yml] | yaml | jobs[name=two].port", 2, 3),
    ("uploads[/etc/x.yml] | yaml | jobs[*].port", [1, 2], [1, 3]),
]


@pytest.mark.parametrize(("path", "value", "new"), CASES)
def test_what_is_put_is_what_is_read(path: str, value: Any, new: Any) -> None:
    before = copy.deepcopy(DOCUMENT)
    assert read(DOCUMENT, parse(path)) == value
    assert read(put(DOCUMENT, parse(path), new), parse(path)) == new
    assert before == DOCUMENT


@pytest.mark.parametrize("path", sorted({path for path, _, _ in CASES if "[*]" not in path and "[0]" not in path}))
def test_what_is_gone_is_missing(path: str) -> None:
    changed = put(DOCUMENT, parse(path), GONE)
    with contextlib.suppress(Missing):
        assert read(changed, parse(path)) != read(DOCUMENT, parse(path))


@pytest.mark.parametrize(
    "path",
    [
        "image",
        "command[7]",
        "envs[C]",
        "labels[x]",
        "mounts[/x].source",
        "restart[*]",
        "restart.x",
        "command | yaml | x",
    ],
)
def test_what_is_not_there_is_missing(path: str) -> None:
    with pytest.raises(Missing):
        read(DOCUMENT, parse(path))


def test_a_variable_is_not_found_by_the_beginning_of_its_name() -> None:
    with pytest.raises(Missing):
        read({"envs": ["DATABASE_URL=x"]}, parse("envs[DATABASE]"))


@pytest.mark.parametrize("path", ["a[", "a]b", "a[b"])
def test_a_broken_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is no path"):
        parse(path)
