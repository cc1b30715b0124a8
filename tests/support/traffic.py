"""Requests against a deployed stack, counted one by one: over fresh and kept-alive connections, GET and POST.

A request is lost when it is not answered with the status that its URL must answer. No request is repeated, with one
exception: HTTP lets a server close a kept-alive connection at any time, and a client that was just sending on it gets
no answer. Where not one byte of an answer came, a GET is sent again once (RFC 9110, 9.2.2), and a POST only if it was
found out that it was never applied (same section). `Traffic.resent` counts these; without a reload of the proxy there
are none.
"""

from __future__ import annotations

import http.client
import json
import select
import ssl
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.support.deployment import Connection, Deployment, eventually

PACE = 0.4
"""Seconds between two requests of one client: sixteen clients send 40 a second."""
TIMEOUT = 30
ENOUGH = 1000
LEAST_PER_SECOND = 20
CLIENTS = 2
"""Of each kind."""
KINDS = (
    ("GET", "/", False),
    ("GET", "/", True),
    ("GET", "/api/jobs?limit=1", False),
    ("GET", "/api/jobs?limit=1", True),
    ("GET", "/api/health", False),
    ("GET", "/api/health", True),
    ("POST", "/api/jobs", False),
    ("POST", "/api/jobs", True),
)
"""Method, path, and whether the connection is kept."""
EXPECTED = {"GET": 200, "POST": 201}


@dataclass
class Client:
    """Sends one kind of request at a steady pace."""

    traffic: Traffic
    method: str
    path: str
    kept: bool
    connection: http.client.HTTPSConnection | None = None

    def run(self) -> None:
        """Until the traffic ends."""
        due = time.monotonic()
        while not self.traffic.ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + PACE, time.monotonic())
            self.request(f"{self.traffic.run} {uuid.uuid4()}")
        self.close()

    def request(self, text: str) -> None:
        """One request, counted."""
        start = time.monotonic()
        body = json.dumps({"text": text}).encode() if self.method == "POST" else None
        try:
            status = self.exchange(body, text)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            self.traffic.count(self, start, f"{type(error).__name__}: {error}")
            return
        self.traffic.count(self, start, status)

    def exchange(self, body: bytes | None, text: str) -> int:
        """The status of the answer; sent again where HTTP allows that."""
        if self.connection is not None and not self.is_open(self.connection):
            self.close()
        reused = self.connection is not None
        try:
            return self.send(body)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            # Before a byte of the answer: http.client raises IncompleteRead or BadStatusLine after one.
            self.close()
            if not reused or (body is not None and self.traffic.is_applied(text)):
                raise
        self.traffic.count_resent()
        return self.send(body)

    def send(self, body: bytes | None) -> int:
        """One exchange over the connection that is there, or a new one."""
        if self.connection is None:
            self.connection = self.traffic.connect()
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if not self.kept:
            headers["Connection"] = "close"
        self.connection.request(self.method, self.path, body, headers)
        answer = self.connection.getresponse()
        answer.read()
        if not self.kept or answer.will_close:
            self.close()
        return answer.status

    def is_open(self, connection: http.client.HTTPSConnection) -> bool:
        """Nothing can be read from a connection that waits for a request, unless its other end closed it."""
        return connection.sock is not None and not select.select([connection.sock], [], [], 0)[0]

    def close(self) -> None:
        """Let the connection go."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None


@dataclass
class Traffic:
    """Requests for as long as the `with` block lasts; TLS is verified against `trust`."""

    stack: Deployment
    trust: ssl.SSLContext
    run: str = field(default_factory=lambda: f"run {uuid.uuid4()}")
    """In the text of every job that this traffic makes."""
    ended: threading.Event = field(default_factory=threading.Event)
    answers: Counter[tuple[str, str, bool, int]] = field(default_factory=Counter)
    """By method, path, kind of connection and status."""
    lost: list[str] = field(default_factory=list)
    """What, when, after how long, why."""
    resent: int = 0
    sent: int = 0
    slowest: float = 0
    """Seconds."""
    started: float = 0
    seconds: float = 0

    def __enter__(self) -> Self:
        self.lock = threading.Lock()
        clients = [Client(self, *kind) for kind in KINDS for _ in range(CLIENTS)]
        self.threads = [threading.Thread(target=client.run, daemon=True) for client in clients]
        self.started = time.monotonic()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join(2 * TIMEOUT)
        self.seconds = time.monotonic() - self.started
        print(f"\n{self.report()}")

    def connect(self) -> http.client.HTTPSConnection:
        """A new connection."""
        return Connection(self.stack.host, self.stack.port, timeout=TIMEOUT, context=self.trust)

    def count(self, client: Client, start: float, outcome: int | str) -> None:
        """Note how a request ended: with a status, or why it did not."""
        now = time.monotonic()
        with self.lock:
            self.sent += 1
            self.slowest = max(self.slowest, now - start)
            if isinstance(outcome, int):
                self.answers[client.method, client.path, client.kept, outcome] += 1
            if outcome != EXPECTED[client.method]:
                kind = "kept-alive" if client.kept else "fresh"
                after = f"{start - self.started:.2f} s, answered {now - start:.2f} s later"
                self.lost.append(f"{client.method} {client.path} ({kind}) at {after}: {outcome}")

    def count_resent(self) -> None:
        """Note that a request was sent again."""
        with self.lock:
            self.resent += 1

    def is_applied(self, text: str) -> bool:
        """Whether the job with this text was stored. What was sent before has been handled by now, or never will be."""
        time.sleep(1)
        return jobs(self.stack, text) > 0

    def reach(self, count: int = ENOUGH) -> None:
        """Go on until so many requests were sent, and for two seconds at least."""
        time.sleep(2)
        eventually(lambda: self.sent >= count, seconds=120, what=f"{count} requests")

    def report(self) -> str:
        """What was sent, what came back, and what was lost."""
        rows = [
            f"  {method:<4} {path:<18} {'kept-alive' if kept else 'fresh':<10}  {status}  {number:>5}"
            for (method, path, kept, status), number in sorted(self.answers.items())
        ]
        head = (
            f"{self.sent} requests in {self.seconds:.0f} s ({self.rate:.0f}/s), lost {len(self.lost)}, "
            f"sent again {self.resent}, slowest {self.slowest:.2f} s"
        )
        return "\n".join([head, *rows, *(f"  lost: {one}" for one in self.lost)])

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.sent / self.seconds

    def assert_lossless(self, *, resent: Callable[[int], bool] = lambda count: count == 0) -> None:
        """Raises AssertionError when a request was lost or a job made twice, or when it was too little to tell."""
        assert self.lost == [], self.report()
        assert resent(self.resent), self.report()
        assert self.sent == sum(self.answers.values()) >= ENOUGH, self.report()
        assert self.rate >= LEAST_PER_SECOND, self.report()
        created = sum(number for (method, *_), number in self.answers.items() if method == "POST")
        assert jobs(self.stack, self.run) == created, self.report()


def jobs(stack: Deployment, text: str) -> int:
    """How many jobs the database holds whose text begins so."""
    return int(stack.query(f"SELECT count(*) FROM jobs WHERE starts_with(text, '{text}')"))  # noqa: S608 - our own UUID


def trust(stack: Deployment, *authorities: str) -> ssl.SSLContext:
    """TLS that trusts the stack's authority, and others besides."""
    context = stack.trust()
    for pem in authorities:
        context.load_verify_locations(cadata=pem)
    return context
