"""A deployed stack as every end-to-end test sees it: its commands, its state, its public face."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from toolchain import stack_filter

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 900
LOOPBACK = "127.0.0.1"
"""Where every stack of the tests answers, whatever its host is called: not every resolver knows `*.localhost`."""
T = TypeVar("T")


@dataclass(frozen=True)
class Ran:
    """The end of a command."""

    code: int
    output: str


@dataclass(frozen=True)
class Answer:
    """The end of a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as data."""
        return json.loads(self.body)


class Connection(http.client.HTTPSConnection):
    """TLS to this machine, verified for the host's name."""

    def __init__(self, host: str, port: int | None = None, *, context: ssl.SSLContext, timeout: float = 30) -> None:
        super().__init__(host, port, context=context, timeout=timeout)
        self.trust = context

    def connect(self) -> None:
        """As always, but without a question to the resolver."""
        plain = socket.create_connection((LOOPBACK, self.port), self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self.trust.wrap_socket(plain, server_hostname=self.host)


class _Plain(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.create_connection((LOOPBACK, self.port), self.timeout)


class _Handler(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    def __init__(self, trust: ssl.SSLContext) -> None:
        super().__init__(context=trust)
        self.trust = trust

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(Connection, request, context=self.trust)  # type: ignore[arg-type]

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Plain, request)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass
class Deployment(ABC):
    """One stack of a checkout."""

    name: str
    folder: Path
    port: int = 443
    """Of HTTPS."""
    host: str = "localhost"
    template: str = "dev"
    """The tracked stack that this one is made of."""
    outputs: list[str] = field(default_factory=list)
    """What the commands printed."""
    _authority: str | None = None

    @abstractmethod
    def query(self, sql: str) -> str:
        """The answer of the database to a query, without the API and its cache."""

    @property
    def url(self) -> str:
        """The public face."""
        return f"https://{self.host}:{self.port}"

    def configure(self, **keys: Any) -> None:
        """Write the stack file: the tracked one, with other values under some keys."""
        content = yaml.safe_load((self.folder / f"Pulumi.{self.template}.yaml").read_text(encoding="utf-8"))
        file = self.folder / f"Pulumi.{self.name}.yaml"
        salt = (yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}).get("encryptionsalt")
        content["config"] |= {f"ai-platform:{key}": value for key, value in keys.items()}
        if salt:
            content["encryptionsalt"] = salt
        file.write_text(yaml.safe_dump(content), encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """A user's environment."""
        return environment()

    def make(self, target: str, *variables: str, check: bool = True) -> Ran:
        """`make TARGET STACK=… VARIABLE=…` in the checkout."""
        self._authority = None  # The target may make another one.
        return self._run(["make", target, f"STACK={self.name}", *variables], check=check)

    def pulumi(self, *arguments: str, check: bool = True, log: bool = True) -> Ran:
        """The CLI by hand, in the environment that `make env` prints."""
        exports = self._run(["make", "--silent", "env"], check=True, log=False).output
        script = f'{exports}\nexec pulumi "$@" --stack {self.name} --non-interactive'
        return self._run(["sh", "-c", script, "pulumi", *arguments], check=check, log=log)

    def state(self, *, show_secrets: bool = False) -> Any:
        """The exported state."""
        arguments = ["stack", "export", *(["--show-secrets"] if show_secrets else [])]
        return json.loads(self.pulumi(*arguments, log=False).output)

    def output(self, name: str) -> Any:
        """One of the stack's outputs."""
        return json.loads(self.pulumi("stack", "output", "--json", log=False).output)[name]

    def get(self, path: str, **arguments: Any) -> Answer:
        """A request to the public face; TLS is verified against the stack's own authority."""
        return self.request(f"{self.url}{path}", **arguments)

    def post(self, path: str, data: Any) -> Answer:
        """A JSON request to the public face."""
        return self.get(path, data=json.dumps(data).encode(), headers={"Content-Type": "application/json"})

    def request(self, url: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """One request, redirects not followed."""
        opener = urllib.request.build_opener(_NoRedirect(), _Handler(self.trust()))
        request = urllib.request.Request(url, data=data, headers=headers or {})  # noqa: S310 - loopback
        try:
            with opener.open(request, timeout=30) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())

    def trust(self) -> ssl.SSLContext:
        """TLS that trusts the stack's authority and nobody else."""
        if self._authority is None:
            self._authority = self.output("caCertificate")
        return ssl.create_default_context(cadata=self._authority)

    def _run(self, command: list[str], *, check: bool, log: bool = True) -> Ran:
        done = subprocess.run(  # noqa: S603 - the commands under test
            command,
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        if log:
            self.outputs.append(done.stdout)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}")
        return Ran(done.returncode, done.stdout)


def environment() -> dict[str, str]:
    """A user's environment: nothing of this checkout's Pulumi, but its CLI on PATH, where a user would have one."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "VIRTUAL_ENV", "MAKE"))}
    # What the `make` that runs the tests was given is not for those that they run.
    kept = {key: value for key, value in kept.items() if key not in {"ARGS", "STACK", "FROM", "NODES"}}
    cli = ROOT / ".toolchain" / "bin"
    kept["PATH"] = os.pathsep.join([str(cli), kept["PATH"]]) if cli.is_dir() else kept["PATH"]
    return kept


def checkout(root: Path, folder: Path) -> None:
    """A clone of the repository with what is not committed yet on top, committed there."""
    git = shutil.which("git")
    assert git is not None
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run([git, "clone", "--quiet", str(root), str(folder)], check=True)  # noqa: S603
    changed = subprocess.run(  # noqa: S603
        [git, "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, changed):
        source, target = root / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        elif target.is_file():
            target.unlink()
    (folder / ".git" / "info" / "exclude").write_text(
        "Pulumi.e2e*.yaml\nPulumi.inner*.yaml\nPulumi.k8s*.yaml\n", encoding="utf-8"
    )
    # Without the machine's own salt, as a clone would be.
    filtered = ["-c", f"filter.stack-salt.clean={stack_filter.CLEAN}"]
    subprocess.run([git, "-C", str(folder), *filtered, "add", "--all"], check=True)  # noqa: S603
    subprocess.run(  # noqa: S603
        [git, "-C", str(folder), *identity, "commit", "--quiet", "--allow-empty", "--message", "as it is"], check=True
    )


def eventually(probe: Callable[[], T], *, seconds: float = 60, what: str) -> T:
    """The first truthy result of `probe`. Raises AssertionError when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; last: {result!r}")
        time.sleep(0.5)
