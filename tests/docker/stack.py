"""A deployed stack as the tests see it: its commands, its containers, its public face."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import docker
import yaml
from docker.models.containers import Container

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 900
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


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass
class Stack:
    """One stack of a checkout."""

    name: str
    folder: Path
    engine: docker.DockerClient
    port: int = 443
    """Of HTTPS."""
    outputs: list[str] = field(default_factory=list)
    """What the commands printed."""
    started: dict[str, list[str]] = field(default_factory=dict)
    """When the first deployment's containers started, by service."""
    _authority: str | None = None

    @property
    def url(self) -> str:
        """The public face."""
        return f"https://localhost:{self.port}"

    def note_starts(self) -> None:
        """Remember when each container started."""
        for one in self.containers(everything=True):
            self.started.setdefault(one.labels["ai-platform.service"], []).append(str(one.attrs["State"]["StartedAt"]))

    def configure(self, **keys: Any) -> None:
        """Write the stack file: the tracked dev stack, with other values under some keys."""
        content = yaml.safe_load((self.folder / "Pulumi.dev.yaml").read_text(encoding="utf-8"))
        file = self.folder / f"Pulumi.{self.name}.yaml"
        salt = (yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}).get("encryptionsalt")
        content["config"] |= {f"ai-platform:{key}": value for key, value in keys.items()}
        if salt:
            content["encryptionsalt"] = salt
        file.write_text(yaml.safe_dump(content), encoding="utf-8")

    def make(self, target: str, *variables: str, check: bool = True) -> Ran:
        """`make TARGET STACK=… VARIABLE=…` in the checkout."""
        self._authority = None  # The target may make another one.
        return self._run(["make", target, f"STACK={self.name}", *variables], environment(), check=check)

    def pulumi(self, *arguments: str, check: bool = True, log: bool = True) -> Ran:
        """The CLI by hand, in the environment that `make env` prints."""
        exports = self._run(["make", "--silent", "env"], environment(), check=True, log=False).output
        script = f'{exports}\nexec pulumi "$@" --stack {self.name} --non-interactive'
        return self._run(["sh", "-c", script, "pulumi", *arguments], environment(), check=check, log=log)

    def state(self, *, show_secrets: bool = False) -> Any:
        """The exported state."""
        arguments = ["stack", "export", *(["--show-secrets"] if show_secrets else [])]
        return json.loads(self.pulumi(*arguments, log=False).output)

    def output(self, name: str) -> Any:
        """One of the stack's outputs."""
        return json.loads(self.pulumi("stack", "output", "--json", log=False).output)[name]

    def containers(self, service: str | None = None, *, everything: bool = False) -> list[Container]:
        """The stack's containers, ordered by name."""
        labels = [f"ai-platform.stack={self.name}"] + ([f"ai-platform.service={service}"] if service else [])
        found = self.engine.containers.list(all=everything, filters={"label": labels})
        return sorted(found, key=lambda one: str(one.name))

    def log(self, service: str) -> str:
        """The logs of a service's containers, one behind the other."""
        return "".join(one.logs().decode(errors="replace") for one in self.containers(service))

    def get(self, path: str, **arguments: Any) -> Answer:
        """A request to the public face; TLS is verified against the stack's own authority."""
        return self.request(f"{self.url}{path}", **arguments)

    def post(self, path: str, data: Any) -> Answer:
        """A JSON request to the public face."""
        return self.get(path, data=json.dumps(data).encode(), headers={"Content-Type": "application/json"})

    def request(self, url: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """One request, redirects not followed."""
        handlers: list[Any] = [_NoRedirect(), urllib.request.HTTPSHandler(context=self.trust())]
        opener = urllib.request.build_opener(*handlers)
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

    def leftovers(self) -> dict[str, list[str]]:
        """Names of what carries the stack's label on the engine."""
        filters: Any = {"label": f"ai-platform.stack={self.name}"}
        return {
            "containers": [str(one.name) for one in self.engine.containers.list(all=True, filters=filters)],
            "networks": [str(one.name) for one in self.engine.networks.list(filters=filters)],
            "volumes": [str(one.name) for one in self.engine.volumes.list(filters=filters)],
        }

    def sweep(self) -> None:
        """Remove what a failed test may have left."""
        filters: Any = {"label": f"ai-platform.stack={self.name}"}
        for container in self.engine.containers.list(all=True, filters=filters):
            container.remove(force=True, v=True)
        for network in self.engine.networks.list(filters=filters):
            network.remove()
        for volume in self.engine.volumes.list(filters=filters):
            volume.remove(force=True)

    def _run(self, command: list[str], env: dict[str, str], *, check: bool, log: bool = True) -> Ran:
        done = subprocess.run(  # noqa: S603 - the commands under test
            command,
            cwd=self.folder,
            env=env,
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
    (folder / ".git" / "info" / "exclude").write_text("Pulumi.e2e*.yaml\nPulumi.inner*.yaml\n", encoding="utf-8")
    subprocess.run([git, "-C", str(folder), "add", "--all"], check=True)  # noqa: S603
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
