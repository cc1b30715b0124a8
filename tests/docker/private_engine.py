"""A second Docker Engine that a test may stop: its own network and mount namespaces, data folder and socket."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import docker
from docker.errors import DockerException

from tests.support.engine import missing

PATIENCE = 60
"""Seconds until it answers."""
STOP = 120
"""Seconds until it has stopped: it grants each container the time that the container asks for, up to a minute."""
# A new network namespace has its loopback down; SIOCSIFFLAGS with IFF_UP, as Debian's smallest system has no `ip`.
DAEMON = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 1))
os.execvp(sys.argv[1], sys.argv[1:])
"""


@dataclass
class PrivateEngine:
    """One engine; what it holds survives its stop."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    copying: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Of its socket."""
        return f"unix://{self.folder}/docker.sock"

    def start(self) -> docker.DockerClient:
        """Start it; returns a client once it answers."""
        options = {"data-root": "data", "exec-root": "run", "pidfile": "pid"}
        daemon = ["dockerd", *(f"--{option}={self.folder / name}" for option, name in options.items())]
        namespaces = ["unshare", "--net", "--mount", sys.executable, "-c", DAEMON]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*namespaces, *daemon, f"--host={self.address}", "--bridge=none"], stdout=log, stderr=log
            )
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(DockerException):
                client = docker.DockerClient(self.address)
                client.ping()
                return client
            log_text = (self.folder / "log").read_text(errors="replace")[-3000:]
            assert self.process.poll() is None and time.monotonic() < end, log_text
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop it as a service manager does."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=STOP)
            self.process = None

    def copy_images(self, references: list[str]) -> None:
        """Begin to copy images of the machine's engine."""
        cli = str(shutil.which("docker"))
        save = subprocess.Popen([cli, "save", *references], stdout=subprocess.PIPE)  # noqa: S603
        load = subprocess.Popen(  # noqa: S603
            [cli, "--host", self.address, "load", "--quiet"], stdin=save.stdout, stdout=subprocess.DEVNULL
        )
        self.copying = [save, load]

    def await_images(self) -> None:
        """Wait until they are there."""
        assert [process.wait(timeout=300) for process in self.copying] == [0, 0]

    def fetch(self, url: str, authority: str) -> int:
        """Status of a request made from inside its network namespace, TLS verified."""
        assert self.process is not None
        script = (
            "import ssl, sys, urllib.request as r\n"
            "context = ssl.create_default_context(cadata=sys.stdin.read())\n"
            "print(r.urlopen(sys.argv[1], context=context, timeout=20).status)"
        )
        command = ["nsenter", f"--net=/proc/{self.process.pid}/ns/net", sys.executable, "-c", script, url]
        done = subprocess.run(command, input=authority, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)


def images_of(checkout: Path) -> list[str]:
    """References of the images that a checkout's stacks use, and of those that they were built from."""
    inventory = json.loads((checkout / ".toolchain" / "images.json").read_text(encoding="utf-8"))
    used = {str(one["reference"]) for one in inventory.values() if one["image"]}
    parents = docker.from_env().images.list(name="ai-platform/base") + docker.from_env().images.list(
        name="ai-platform/python"
    )
    return sorted(used | {tag for image in parents for tag in image.tags})


@contextlib.contextmanager
def private_engine(folder: Path) -> Iterator[PrivateEngine]:
    """An engine that answers, with nothing in it; gone afterwards."""
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("dockerd", "docker", "unshare", "nsenter")):
        missing("an engine of the test's own needs root, dockerd and util-linux")
    made = PrivateEngine(folder)
    made.start()
    try:
        yield made
    finally:
        for process in made.copying:
            if process.poll() is None:
                process.kill()
                process.wait()
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
