"""Commands inside pods, over the API server: what `kubectl exec` does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import urllib3
from kubernetes import client
from kubernetes.stream import stream
from kubernetes.stream.ws_client import ERROR_CHANNEL, STDERR_CHANNEL, STDOUT_CHANNEL
from websocket import WebSocketException

from toolchain.console import ToolchainError
from toolchain.plugins.kubernetes_cluster import refused

CHUNK = 32 * 1024
"""Bytes of a message: the API server refuses long ones."""


@dataclass(frozen=True)
class Pod:
    """A container of a pod that runs."""

    connection: client.ApiClient
    namespace: str
    name: str
    container: str

    def run(self, *command: str, feed: Iterable[bytes] | None = None) -> str:
        """What a command prints. Raises ToolchainError with its last words when it fails."""
        return b"".join(self.read(*command, feed=feed)).decode(errors="replace")

    def write(self, path: str, content: Iterable[bytes], size: int) -> None:
        """A new file of `size` bytes, under its name once it is whole. Raises ToolchainError."""
        # The protocol knows no end of input: the command is told how much there is.
        script = 'head -c "$2" > "$1.partial" && test "$(wc -c < "$1.partial")" = "$2" && mv "$1.partial" "$1"'
        self.run("sh", "-c", script, "sh", path, str(size), feed=content)

    def read(self, *command: str, feed: Iterable[bytes] | None = None) -> Iterator[bytes]:
        """What a command prints, bit by bit. Raises ToolchainError with its last words when it fails."""
        try:
            yield from self._read(command, feed)
        except client.ApiException as error:
            raise ToolchainError(f"{self.name}: {refused(error)}") from error
        except (WebSocketException, urllib3.exceptions.HTTPError, OSError) as error:
            raise ToolchainError(f"{self.name}: the connection to it ended: {error}") from error

    def _read(self, command: tuple[str, ...], feed: Iterable[bytes] | None) -> Iterator[bytes]:
        # A client of its own: `stream` changes how it asks for the time of the call.
        api = client.CoreV1Api(client.ApiClient(self.connection.configuration))
        socket: Any = stream(
            api.connect_get_namespaced_pod_exec,
            self.name,
            self.namespace,
            container=self.container,
            command=list(command),
            stdin=feed is not None,
            stdout=True,
            stderr=True,
            tty=False,
            binary=True,
            _preload_content=False,
        )
        complaints = b""
        with closing(socket):
            for part in feed or ():
                for start in range(0, len(part), CHUNK):
                    socket.write_stdin(part[start : start + CHUNK])
            going = True
            while going:
                # Once more after the end: for what came with it.
                going = socket.is_open()
                socket.update(timeout=1)
                complaints += socket.read_channel(STDERR_CHANNEL)
                if output := socket.read_channel(STDOUT_CHANNEL):
                    yield output
            _judge(socket.read_channel(ERROR_CHANNEL), complaints.decode(errors="replace").strip())


def _judge(status: bytes, complaints: str) -> None:
    """Raises ToolchainError unless the command ended well."""
    if not status:
        raise ToolchainError(complaints or "the connection ended before the command did")
    said = json.loads(status)
    if said.get("status") != "Success":
        raise ToolchainError(complaints or str(said.get("message") or "it failed without a word"))
