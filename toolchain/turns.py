"""One run of a stack at a time. Of a run that was killed, the CLI is waited for, and its plugins are ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from toolchain.console import ToolchainError, say
from toolchain.paths import PULUMI_HOME, ROOT, TOOLS

PATIENCE = 900.0
"""Seconds that another run of the same stack has to end."""
MARKS = (f"{PULUMI_HOME}/plugins/".encode(), f"sys.path.insert(0, {str(ROOT)!r}); from toolchain.plugins.".encode())
"""What the command line of a plugin of this clone holds: the official ones, and the stand-ins."""
PROCESSES = Path("/proc")


@contextlib.contextmanager
def turn(stack: str) -> Iterator[int]:
    """Wait for the stack's turn and hold it; yields the descriptor that holds it.

    A child that inherits the descriptor holds the turn with this process, and alone once this process is killed.

    Raises ToolchainError when another run does not end in time.
    """
    TOOLS.mkdir(exist_ok=True)
    descriptor = os.open(TOOLS / f"{stack}.turn", os.O_RDWR | os.O_CREAT, 0o600)
    end = time.monotonic() + PATIENCE
    told = False
    try:
        while not _taken(descriptor):
            # A killed CLI's plugins hold the turn as well.
            end_orphans()
            if not told:
                say(f"another run works on stack {stack}: waiting for it to end")
                told = True
            if time.monotonic() > end:
                raise ToolchainError(f"another run still works on stack {stack} after {PATIENCE:.0f} s")
            time.sleep(0.5)
        end_orphans()
        yield descriptor
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def end_orphans() -> list[int]:
    """End this clone's plugins whose CLI is gone, and return their process ids.

    One may be about to start a container, and nobody would record it. Where there is no /proc they end by themselves
    after a while.
    """
    ended = [pid for pid in plugins() if not is_pulumi(_parent(pid))]
    for pid in ended:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return ended


def plugins() -> Iterator[int]:
    """Process ids of this clone's plugins."""
    for folder in PROCESSES.glob("[0-9]*"):
        command = _read(folder / "cmdline")
        if any(mark in command for mark in MARKS):
            yield int(folder.name)


def is_pulumi(pid: int) -> bool:
    """Whether a process is the CLI."""
    return Path(_read(PROCESSES / str(pid) / "cmdline").split(b"\0")[0].decode(errors="replace")).name == "pulumi"


def _parent(pid: int) -> int:
    # The second field, the name in parentheses, may hold anything.
    fields = _read(PROCESSES / str(pid) / "stat").rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        # It has ended meanwhile, or is another user's.
        return b""
