"""Whether a Docker Engine answers at an address.

On the standard library alone: the bootstrap asks before any package is there, the program before any resource is.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

DEFAULT = "unix:///var/run/docker.sock"
PATIENCE = 10.0
"""Seconds that an engine has for its answer."""
PORT, TLS_PORT = 2375, 2376
"""Where an engine listens that names no port."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def silence(host: str, timeout: float = PATIENCE) -> str | None:
    """Why no engine answers at a `unix://`, `tcp://` or `ssh://` address, in a few words; None where one does.

    Behind TLS only the connection is tried, and of `ssh://` whether the engine's own client answers there.
    """
    try:
        parts = urlsplit(host)
        tries: dict[str, Callable[[SplitResult, float], str | None]] = {"unix": _unix, "tcp": _tcp, "ssh": _ssh}
        ask = tries.get(parts.scheme)
        return ask(parts, timeout) if ask else "it is no address of an engine"
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return _words(error)


def _unix(parts: SplitResult, timeout: float) -> str | None:
    return _ping(_UnixConnection(parts.path, timeout))


def _tcp(parts: SplitResult, timeout: float) -> str | None:
    name = parts.hostname or "localhost"
    if os.environ.get("DOCKER_TLS_VERIFY"):
        socket.create_connection((name, parts.port or TLS_PORT), timeout).close()
        return None
    return _ping(http.client.HTTPConnection(name, parts.port or PORT, timeout=timeout))


def _ping(connection: http.client.HTTPConnection) -> str | None:
    with contextlib.closing(connection):
        connection.request("GET", "/_ping")
        status = connection.getresponse().status
        return None if status == http.HTTPStatus.OK else f"HTTP status {status}"


def _ssh(parts: SplitResult, timeout: float) -> str | None:
    user = ["-l", parts.username] if parts.username else []
    port = ["-p", str(parts.port)] if parts.port else []
    options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={max(int(timeout), 1)}", *user, *port]
    # `--`: a host name must not be taken for an option.
    command = ["ssh", *options, "--", parts.hostname or "", "docker version --format '{{.Server.Version}}'"]
    try:
        done = subprocess.run(  # noqa: S603 - no shell here, and a constant for the one over there
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {2 * timeout:g} s"
    except FileNotFoundError:
        return "there is no `ssh` on this machine"
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return None if done.returncode == 0 else lines[-1].strip()


def _words(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such socket"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]
