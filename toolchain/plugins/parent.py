"""A stand-in ends soon after the CLI that started it: a CLI that was killed tells nobody."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

POLL_SECONDS = 0.25


def follow_parent(last: Callable[[], None] = lambda: None) -> None:
    """Watch the process that started this one; once it is gone, do a last thing and leave at once."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        try:
            last()
        finally:
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
