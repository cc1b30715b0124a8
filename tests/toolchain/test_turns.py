"""One run of a stack at a time, also after a part of one was killed; the plugins of a dead CLI are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain import turns
from toolchain.console import ToolchainError
from toolchain.paths import ROOT, VENV_PYTHON

STAND_IN = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from toolchain.plugins.random_provider import main; main()"
"""As the installed launcher starts it."""
CLI = """
import subprocess, sys
plugin = subprocess.Popen(sys.argv[2:], stdout=-1)
print(plugin.pid, flush=True)
plugin.wait()
"""
"""Stands for Pulumi: starts a plugin and says its process id."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the turns of these tests are held."""
    monkeypatch.setattr(turns, "TOOLS", tmp_path)
    return tmp_path


def cli(folder: Path, *plugin: str) -> tuple[subprocess.Popen[bytes], int]:
    """A process named pulumi that has started a plugin, and the plugin's id."""
    binary = folder / "pulumi"
    if not binary.exists():
        binary.symlink_to(sys.executable)
    running = subprocess.Popen([binary, "-c", CLI, "up", *plugin], stdout=subprocess.PIPE, start_new_session=True)
    assert running.stdout
    return running, int(running.stdout.readline())


def is_running(pid: int) -> bool:
    """Whether a process is there and not merely unburied."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def gone(pid: int, seconds: float = 10) -> bool:
    """Whether a process ends in time."""
    end = time.monotonic() + seconds
    while is_running(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def plugin(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A CLI and its plugin, whose command line is a stand-in's; it does not end by itself."""
    running, pid = cli(folder, str(VENV_PYTHON), "-c", "import time; time.sleep(60)", STAND_IN)
    yield running, pid
    for number in (running.pid, pid):
        if is_running(number):
            os.kill(number, signal.SIGKILL)
    running.communicate()


def test_a_plugin_whose_cli_is_killed_is_ended_and_one_whose_cli_lives_is_not(
    plugin: tuple[subprocess.Popen[bytes], int],
) -> None:
    running, pid = plugin
    assert pid in turns.plugins()
    assert pid not in turns.end_orphans()
    assert is_running(pid)
    running.kill()
    running.wait()
    assert pid in turns.end_orphans()
    assert gone(pid)


def test_a_stand_in_ends_by_itself_once_its_cli_is_killed(folder: Path) -> None:
    running, pid = cli(folder, str(VENV_PYTHON), "-c", STAND_IN, "127.0.0.1:1")
    time.sleep(2)
    assert is_running(pid), "the provider serves as long as its CLI lives"
    running.kill()
    running.wait()
    assert gone(pid)


def test_other_processes_are_not_taken_for_plugins() -> None:
    assert os.getpid() not in turns.plugins()
    assert not turns.is_pulumi(os.getpid())
    assert not turns.is_pulumi(0)


def test_the_next_run_waits_for_the_one_at_work(capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []

    def second() -> None:
        with turns.turn("dev"):
            order.append("second")

    with turns.turn("dev"), turns.turn("another stack"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert "another run works on stack dev: waiting for it to end" in capsys.readouterr().err


def test_a_run_that_does_not_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.1)
    with turns.turn("dev"), pytest.raises(ToolchainError, match="another run still works on stack dev"):
        turns.turn("dev").__enter__()


def test_a_cli_that_lost_its_run_still_holds_the_turn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.1)
    with turns.turn("dev") as held:
        child = subprocess.Popen(["sleep", "60"], pass_fds=(held,))
    try:
        with pytest.raises(ToolchainError):
            turns.turn("dev").__enter__()
    finally:
        child.kill()
        child.wait()
    with turns.turn("dev"):
        pass


def test_the_plugins_of_a_killed_run_do_not_hold_its_turn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 20)
    with turns.turn("dev") as held:
        os.set_inheritable(held, True)
        plugin = [str(VENV_PYTHON), "-c", "import time; time.sleep(60)", STAND_IN]
        script = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
        child = subprocess.Popen([sys.executable, "-c", script, *plugin], pass_fds=(held,))
    start = time.monotonic()
    try:
        with turns.turn("dev"):
            assert time.monotonic() - start < turns.PATIENCE
        assert gone(child.pid)
    finally:
        child.kill()
        child.wait()
