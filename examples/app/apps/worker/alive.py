"""Liveness of processes that listen on no port: `python alive.py worker` or `python alive.py beat`.

The worker touches its file whenever its event loop has sent a heartbeat to the broker (every two seconds), the
scheduler whenever the broker took a tick; the file holds the age in seconds from which it is too old. The command
exits with 0 while the file is fresh and with 1 otherwise. It imports neither Celery nor the configuration, so that
it costs milliseconds where `celery inspect ping` costs a second.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ.get("ALIVE_DIR", "/tmp"))  # noqa: S108  # the only place that a read-only container can write to


def touch(role: str, max_age: float) -> None:
    """Note that `role` is alive for the next `max_age` seconds."""
    path = FOLDER / f"{role}.alive"
    fresh = path.with_suffix(".new")
    fresh.write_text(str(max_age), encoding="utf-8")
    fresh.replace(path)


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    if arguments not in (["worker"], ["beat"]):
        sys.stderr.write("usage: python alive.py worker|beat\n")
        return 2
    role = arguments[0]
    path = FOLDER / f"{role}.alive"
    try:
        age, max_age = time.time() - path.stat().st_mtime, float(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        sys.stderr.write(f"{role} has not reached the broker yet\n")
        return 1
    if age > max_age:
        sys.stderr.write(f"{role} last reached the broker {age:.0f} s ago, more than {max_age:.0f} s\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
