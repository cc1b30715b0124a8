"""Whether a cluster answers is known before anything is touched, and a refusal says why."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from platforms import kubeconfig


@pytest.fixture
def listening() -> Iterator[int]:
    """A port that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def silent() -> int:
    """A port that takes none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def written(file: Path, server: str | None, context: str = "staging") -> Path:
    cluster = {"server": server} if server else {}
    document = {
        "contexts": [{"name": context, "context": {"cluster": "one", "user": "me"}}],
        "clusters": [{"name": "one", "cluster": cluster}],
    }
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    return file


def test_a_cluster_that_answers_is_not_silent(tmp_path: Path, listening: int) -> None:
    file = written(tmp_path / "config", f"https://127.0.0.1:{listening}")
    assert kubeconfig.silence("staging", [file]) is None


def test_a_cluster_that_does_not_answer_is_named_with_its_address(tmp_path: Path, silent: int) -> None:
    file = written(tmp_path / "config", f"https://127.0.0.1:{silent}")
    reason = kubeconfig.silence("staging", [file])
    assert reason is not None
    assert f"https://127.0.0.1:{silent} does not answer" in reason


def test_an_unknown_context_is_refused_with_those_that_there_are(tmp_path: Path, listening: int) -> None:
    files = [
        written(tmp_path / "one", f"https://127.0.0.1:{listening}", "kind"),
        written(tmp_path / "two", f"https://127.0.0.1:{listening}", "eks"),
    ]
    assert kubeconfig.silence("staging", files) == "the kubeconfig has no context of this name; there are: eks, kind"


def test_without_any_kubeconfig_it_says_so() -> None:
    assert kubeconfig.silence("staging", []) == "the kubeconfig has no context of this name; there is none at all"


def test_the_first_file_that_has_a_name_wins(tmp_path: Path, listening: int, silent: int) -> None:
    good = written(tmp_path / "good", f"https://127.0.0.1:{listening}")
    bad = written(tmp_path / "bad", f"https://127.0.0.1:{silent}")
    assert kubeconfig.silence("staging", [good, bad]) is None
    assert kubeconfig.silence("staging", [bad, good]) is not None


def test_a_context_without_an_address_is_refused(tmp_path: Path) -> None:
    reason = kubeconfig.silence("staging", [written(tmp_path / "config", None)])
    assert reason is not None
    assert reason.startswith("no address does not answer")


def test_a_file_that_is_damaged_or_empty_is_passed_over(tmp_path: Path, listening: int) -> None:
    damaged, empty = tmp_path / "damaged", tmp_path / "empty"
    damaged.write_text("contexts: [", encoding="utf-8")
    empty.touch()
    good = written(tmp_path / "good", f"https://127.0.0.1:{listening}")
    assert kubeconfig.silence("staging", [damaged, empty, good]) is None


def test_the_variable_names_the_files_and_without_it_the_home_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.touch()
    two.touch()
    assert kubeconfig.files(f"{one}:{tmp_path / 'missing'}::{two}") == [one, two]
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert kubeconfig.files(None) == []
    own = tmp_path / ".kube" / "config"
    own.parent.mkdir()
    own.touch()
    assert kubeconfig.files(None) == kubeconfig.files("") == [own]
