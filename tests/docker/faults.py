"""What tests do to a running stack, and what they see of it meanwhile: processes that die, events, clients."""

from __future__ import annotations

import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import docker
from docker.models.containers import Container

from tests.docker.stack import Stack

SQL = ("psql", "-qAt", "-h", "/var/run/postgresql", "-U", "ai_review", "-d", "ai_review_dev", "-c")


def run(stack: Stack, service: str, *command: str) -> str:
    """What a command prints inside the first container of a service."""
    result: Any = stack.containers(service)[0].exec_run(list(command))
    text: str = result.output.decode().strip()
    assert result.exit_code == 0, text
    return text


def query(stack: Stack, sql: str) -> str:
    """The answer of the database to a query, without the API and its cache."""
    return run(stack, "postgres", *SQL, sql)


def redis(stack: Stack, *command: str) -> str:
    """The answer of the broker to a command."""
    script = 'REDISCLI_AUTH="$(cat /run/secrets/redis-password)" exec redis-cli "$@"'
    return run(stack, "redis", "sh", "-c", script, "redis-cli", *command)


def main_process(container: Container) -> int:
    """The process that the container runs, by its id on the host: the child of the container's init."""
    container.reload()
    init = str(container.attrs["State"]["Pid"])
    top: Any = container.top()
    pid, parent = top["Titles"].index("PID"), top["Titles"].index("PPID")
    children = [int(row[pid]) for row in top["Processes"] if row[parent] == init]
    assert len(children) == 1, top
    return children[0]


def kill(stack: Stack, *containers: Container) -> float:
    """SIGKILL to the main process of each container; when, in seconds since the epoch.

    Not `docker kill`, which would switch the restart policy off. It comes from a container in the host's process name
    space: the tests need not be root themselves.
    """
    pids = [main_process(one) for one in containers]
    image = stack.containers("postgres")[0].attrs["Image"]
    command = ["-c", f"date +%s.%N && kill -9 {' '.join(map(str, pids))}"]
    output: Any = stack.engine.containers.run(
        image, command, entrypoint="sh", user="0", pid_mode="host", network_mode="none", remove=True
    )
    return float(output.decode())


def restarts(container: Container) -> int:
    """How often the restart policy has started the container again."""
    container.reload()
    return int(container.attrs["RestartCount"])


@dataclass
class Events:
    """What the engine told about the containers of one service."""

    seen: list[tuple[str, str]] = field(default_factory=list)
    """`start` or `die`, and the container's id."""

    def never_two(self) -> bool:
        """Every start came after the death of the one that ran before."""
        kinds = [kind for kind, _ in self.seen]
        return bool(kinds) and all(kind == ("die", "start")[at % 2] for at, kind in enumerate(kinds))

    @property
    def started(self) -> list[str]:
        """Ids of the containers that started, in order."""
        return [identity for kind, identity in self.seen if kind == "start"]


@contextmanager
def events(stack: Stack, service: str) -> Iterator[Events]:
    """Starts and deaths of a service's containers. Complete when the block has ended."""
    labels = [f"ai-platform.stack={stack.name}", f"ai-platform.service={service}"]
    filters: Any = {"type": "container", "label": labels, "event": ["start", "die"]}
    found = Events()
    # The engine keeps some past events: none is missed while the stream begins.
    since: Any = time.time()
    client = docker.from_env()
    stream = client.events(since=since, filters=filters, decode=True)

    def follow() -> None:
        for event in stream:
            found.seen.append((event["Action"], event["Actor"]["ID"]))

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield found
        time.sleep(0.5)
    finally:
        stream.close()
        thread.join()
        client.close()


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
def clients(stack: Stack, *, posting: bool = True, pause: float = 0.2) -> Iterator[Clients]:
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
