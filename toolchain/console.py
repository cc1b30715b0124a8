"""What the toolchain says: one line per step, with its elapsed time, and signs of life while a step is long."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

HEARTBEAT = 15.0
"""Seconds of silence after which a running step says that it is still running."""


class ToolchainError(Exception):
    """A step that cannot go on; the message tells what to do about it."""


def say(message: str) -> None:
    """One line on stderr: stdout belongs to values that other programs read."""
    print(f"  {message}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(title: str, *, optional: bool = False) -> Iterator[None]:
    """Announce a long step, show that it lives, and close it with its elapsed time.

    The failure of an optional step is no error: the caller has another way.
    """
    start = time.monotonic()
    print(f"→ {title} …", file=sys.stderr, flush=True)
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT):
            say(f"… {title}: {time.monotonic() - start:.0f} s")

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    except BaseException:
        end = f"· {title}: no" if optional else f"✗ {title}"
        print(f"{end} ({time.monotonic() - start:.1f} s)", file=sys.stderr, flush=True)
        raise
    finally:
        done.set()
    print(f"✓ {title} ({time.monotonic() - start:.1f} s)", file=sys.stderr, flush=True)


def run(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> None:
    """Run a command with its output in `log`.

    Raises ToolchainError with the last lines of the log when the command fails or takes longer than `timeout` seconds.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    with log.open("w") as sink:
        try:
            status = subprocess.run(
                words,
                check=False,
                stdout=sink,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=env,
                cwd=cwd,
                timeout=timeout,
            ).returncode
        except subprocess.TimeoutExpired:
            status = -1
            sink.write(f"no end after {timeout} s\n")
        except OSError as error:
            status = -1
            sink.write(f"{error}\n")
    if status != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise ToolchainError(f"`{' '.join(words)}` failed; log: {log}\n{tail}")
