"""Clients that go on asking while something breaks, and remember every answer and every promise."""

from __future__ import annotations

import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.deployment import Deployment


@dataclass(frozen=True)
class Seen:
    """One request of a client."""

    what: str
    at: float
    status: int
    """0 where the connection ended without an answer."""
    seconds: float
    job: str | None = None
    """Id of the job that was promised (status 201)."""


@dataclass
class Clients:
    """Requests of every kind, until the block of `clients` has ended."""

    answers: list[Seen] = field(default_factory=list)

    def statuses(self, what: str) -> dict[int, int]:
        """How often each status came."""
        counts: dict[int, int] = {}
        for one in list(self.answers):
            if one.what == what:
                counts[one.status] = counts.get(one.status, 0) + 1
        return counts

    @property
    def promised(self) -> list[str]:
        """Ids of the jobs that were accepted."""
        return [one.job for one in list(self.answers) if one.job]

    @property
    def slowest(self) -> float:
        """Seconds of the request that took longest."""
        return max(one.seconds for one in list(self.answers))


@contextmanager
def clients(stack: Deployment, *, posting: bool = True, pause: float = 0.2) -> Iterator[Clients]:
    """Clients that ask whether the API is ready, read the list of jobs, and post jobs."""
    done = threading.Event()
    found = Clients()
    calls: dict[str, Callable[[], Any]] = {
        "ready": lambda: stack.get("/api/ready"),
        "read": lambda: stack.get("/api/jobs?limit=1"),
    }
    if posting:
        calls["post"] = lambda: stack.post("/api/jobs", {"text": "sent while something broke"})
    stack.trust()

    def ask(what: str) -> None:
        while not done.is_set():
            at, status, job = time.time(), 0, None
            try:
                answer = calls[what]()
                status, job = answer.status, answer.json["id"] if answer.status == 201 else None
            except (urllib.error.URLError, OSError):
                pass
            found.answers.append(Seen(what, at, status, time.time() - at, job))
            done.wait(pause)

    threads = [threading.Thread(target=ask, args=(what,)) for what in calls]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        done.set()
        for thread in threads:
            thread.join()
