"""What tests do to a running stack, and what they see of it meanwhile: processes that die, events."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import docker
from docker.models.containers import Container

from tests.docker.stack import Stack


def run(stack: Stack, service: str, *command: str) -> str:
    """What a command prints inside the first container of a service."""
    result: Any = stack.containers(service)[0].exec_run(list(command))
    text: str = result.output.decode().strip()
    assert result.exit_code == 0, text
    return text


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
