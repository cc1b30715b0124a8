"""Processes: started once, started again when they died or changed, ended only when they are ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toolchain.cluster import processes
from toolchain.cluster.processes import Component
from toolchain.console import ToolchainError

Make = Callable[..., Component]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Components whose records and logs are the test's own."""
    monkeypatch.setattr(processes, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(processes, "LOGS", tmp_path / "logs")

    def component(script: str = "exec sleep 600", **change: object) -> Component:
        values = {"name": "one", "command": ["sh", "-c", script], "ready": lambda: True, "patience": 1.0}
        return Component(**(values | change))  # type: ignore[arg-type]

    yield component
    for name in processes.recorded():
        processes.stop(name)


def test_a_component_is_started_once(make: Make) -> None:
    assert processes.ensure(make())
    first = processes.pid("one")
    assert first is not None
    assert not processes.ensure(make())
    assert processes.pid("one") == first


def test_a_killed_component_is_started_again(make: Make) -> None:
    processes.ensure(make())
    first = processes.pid("one")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    while processes.pid("one") is not None:
        time.sleep(0.01)
    assert processes.ensure(make())
    assert processes.pid("one") not in {None, first}


def test_another_command_or_another_file_that_it_reads_starts_it_anew(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("first")
    assert processes.ensure(make(files=[file]))
    file.write_text("second")
    assert processes.ensure(make(files=[file]))
    assert not processes.ensure(make(files=[file]))
    assert processes.ensure(make("exec sleep 700", files=[file]))


@pytest.mark.parametrize("change", [{"started": "1"}, {"boot": "another"}])
def test_a_process_that_only_has_the_number_of_ours_is_neither_taken_for_it_nor_ended(
    make: Make, change: dict[str, str]
) -> None:
    processes.ensure(make())
    stranger = processes.pid("one")
    assert stranger is not None
    record = processes.RECORDS / "one"
    kept = record.read_text()
    record.write_text(json.dumps(json.loads(kept) | change))
    assert processes.pid("one") is None
    processes.stop("one")
    assert not record.exists()
    os.kill(stranger, 0)
    record.write_text(kept)


def test_a_component_that_ignores_the_signal_is_ended_by_force(make: Make, tmp_path: Path) -> None:
    processes.ensure(make(f"trap '' TERM; touch {tmp_path}/set; while :; do sleep 0.1; done"))
    while not (tmp_path / "set").exists():
        time.sleep(0.01)
    processes.stop("one", patience=0.2)
    assert processes.recorded() == []


def test_one_that_ends_is_an_error_with_its_last_lines(make: Make) -> None:
    component = make("for n in $(seq 30); do echo line $n; done; exit 3", ready=lambda: False)
    processes.ensure(component)
    with pytest.raises(ToolchainError) as caught:
        processes.wait(component)
    assert str(caught.value).startswith("one ended")
    assert str(component.log) in str(caught.value)
    assert "line 30" in str(caught.value)
    assert "line 15\n" not in str(caught.value)


def test_one_that_never_becomes_ready_is_an_error_that_names_it(make: Make) -> None:
    def refuses() -> bool:
        raise ConnectionRefusedError

    component = make("echo waiting for nothing; exec sleep 600", ready=refuses, patience=0.3)
    processes.ensure(component)
    with pytest.raises(ToolchainError, match="one is not ready after 0 s(.|\n)*waiting for nothing"):
        processes.wait(component)


def test_a_long_log_is_set_aside_at_a_start(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_LIMIT", 10)
    component = make("echo more than ten bytes; exec sleep 600")
    processes.ensure(component)
    while not component.log.stat().st_size:
        time.sleep(0.01)
    processes.stop("one")
    processes.ensure(component)
    assert component.log.with_suffix(".log.1").read_text() == "more than ten bytes\n"


def test_a_component_outlives_the_command_that_started_it(make: Make) -> None:
    processes.ensure(make())
    found = processes.pid("one")
    assert found is not None
    assert os.getsid(found) == found
    assert os.getsid(found) != os.getsid(0)


def test_shims_are_known_by_the_socket_that_they_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "SOCKET", tmp_path / "containerd.sock")
    program = tmp_path / "containerd-shim-test"
    program.symlink_to("/bin/sh")
    command = [str(program), "-c", "sleep 600; true", "-address"]
    ours = subprocess.Popen([*command, f"{tmp_path}/containerd.sock"], start_new_session=True)
    other = subprocess.Popen([*command, "/run/containerd/containerd.sock"], start_new_session=True)
    try:
        assert list(processes.shims()) == [ours.pid]
    finally:
        for process in (ours, other):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
