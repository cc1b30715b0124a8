"""All or nothing: a program that fails while it composes registers no resource."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from pulumi.runtime import settings


@contextlib.contextmanager
def whole() -> Iterator[None]:
    """Around everything that a program composes.

    The SDK sends registrations when the program has returned, and after an exception, too: what came before it would be
    made, and an error of one of those would hide the exception. Here they are taken back.
    """
    before, outputs = asyncio.all_tasks(), set(settings.SETTINGS.outputs)
    try:
        yield
    except Exception:
        for task in asyncio.all_tasks() - before:
            task.cancel()
        with settings.SETTINGS.lock:
            settings.SETTINGS.outputs.intersection_update(outputs)
        raise
