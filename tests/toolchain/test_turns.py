"""One run of a stack at a time, also after a part of one was killed; the plugins of a dead CLI are ended."""

from __future__ import annotations

import json
import os
import shlex
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
from toolchain.plugins.install import launcher

MARKS = turns.MARKS
STAND_IN = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from toolchain.plugins.random_provider import main; main()"
"""As the installed launcher starts it."""
CLI = """
import json, os, subprocess
plugin = subprocess.Popen(json.loads(os.environ["PLUGIN"]), stdout=-1)
print(plugin.pid, flush=True)
plugin.wait()
"""
"""Stands for Pulumi: starts a plugin and says its process id. Its own command line is no plugin's."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the turns of these tests are held, and the clone that their plugins are of.

    The runs of this clone, the end-to-end tests beside these, end what they find of this clone.
    """
    monkeypatch.setattr(turns, "TOOLS", tmp_path)
    monkeypatch.setattr(turns, "MARKS", (mark(tmp_path),))
    return tmp_path


def mark(clone: Path) -> bytes:
    """What the command line of a stand-in of a clone holds."""
    return STAND_IN.replace(str(ROOT), str(clone)).partition("random_provider")[0].encode()


def cli(folder: Path, *plugin: str) -> tuple[subprocess.Popen[bytes], int]:
    """A process named pulumi that has started a plugin, and the plugin's id."""
    binary = folder / "pulumi"
    if not binary.exists():
        binary.symlink_to(sys.executable)
    running = subprocess.Popen(
        [binary, "-c", CLI, "up"],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"PLUGIN": json.dumps(plugin)},
    )
    assert running.stdout
    pid = int(running.stdout.readline())
    end = time.monotonic() + 10
    # A process has its id a moment before its command line.
    while plugin[-1].encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < end, "the plugin starts"
        time.sleep(0.01)
    return running, pid


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
    running, pid = cli(folder, str(VENV_PYTHON), "-c", "import time; time.sleep(60)", mark(folder).decode())
    yield running, pid
    for number in (running.pid, pid):
        if is_running(number):
            os.kill(number, signal.SIGKILL)
    running.communicate()


def test_a_plugin_whose_cli_is_killed_is_ended_and_one_whose_cli_lives_is_not(
    plugin: tuple[subprocess.Popen[bytes], int],
) -> None:
    running, pid = plugin
    assert list(turns.plugins()) == [pid]
    assert turns.end_orphans() == []
    assert is_running(running.pid)
    assert is_running(pid)
    running.kill()
    running.wait()
    assert turns.end_orphans() == [pid]
    assert gone(pid)


def test_a_stand_in_ends_by_itself_once_its_cli_is_killed(folder: Path) -> None:
    running, pid = cli(folder, str(VENV_PYTHON), "-c", STAND_IN, "127.0.0.1:1")
    time.sleep(2)
    assert is_running(pid), "the provider serves as long as its CLI lives"
    running.kill()
    running.wait()
    assert gone(pid)


def test_the_stand_ins_of_this_clone_are_known_by_their_command_line() -> None:
    _, python, _, _, code, _ = shlex.split(launcher(str(VENV_PYTHON), "random_provider").splitlines()[-1])
    assert python == str(VENV_PYTHON)
    assert code == STAND_IN
    assert any(known in code.encode() for known in MARKS)


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
        plugin = [str(VENV_PYTHON), "-c", "import time; time.sleep(60)", mark(folder).decode()]
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
