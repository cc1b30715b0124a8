"""A Docker engine of a test's own, whose whole disk is a small tmpfs; it shares nothing with the machine's engine."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import docker
from docker.errors import DockerException

from tests.support.engine import missing

PATIENCE = 60
"""Seconds that the engine has to answer, and to end."""
NEEDED = ("dockerd", "ip", "mount", "fallocate")


@dataclass(frozen=True)
class SmallEngine:
    """An engine that can be filled up."""

    folder: Path
    prefix: tuple[str, ...]
    """Before commands that only root may run."""
    bridge: str

    @property
    def host(self) -> str:
        """Its address."""
        return f"unix://{self.folder}/docker.sock"

    def client(self) -> docker.DockerClient:
        """A client of it."""
        return docker.DockerClient(base_url=self.host, timeout=120)

    def run(self, *command: str, check: bool = True) -> str:
        """A command of root's."""
        done = subprocess.run([*self.prefix, *command], capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [
            # Where `docker load` unpacks: not on the small disk.
            *(*self.prefix, "env", f"DOCKER_TMPDIR={self.folder}/tmp", "dockerd", "--host", self.host),
            *("--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec"),
            *("--pidfile", str(self.pid), "--bridge", self.bridge),
            # The packet filter is the other engine's: its chains must stay as they are.
            *("--iptables=false", "--ip-masq=false", "--ip-forward=false"),
        ]
        with (self.folder / "dockerd.log").open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < end:
            # Any answer will do.
            with contextlib.suppress(DockerException), contextlib.closing(self.client()) as client:
                client.ping()
                self.run("chmod", "0666", f"{self.folder}/docker.sock")
                return
            time.sleep(0.5)
        raise AssertionError((self.folder / "dockerd.log").read_text(errors="replace")[-2000:])

    def stop(self) -> None:
        """End it."""
        if self.pid.is_file():
            self.run("kill", self.pid.read_text().strip(), check=False)
        end = time.monotonic() + PATIENCE
        while self.pid.is_file() and time.monotonic() < end:
            time.sleep(0.2)

    def end(self) -> None:
        """Remove everything on it, then end it."""
        self.leave(None)
        with contextlib.suppress(DockerException), contextlib.closing(self.client()) as client:
            for container in client.containers.list(all=True):
                container.remove(force=True)
            for network in client.networks.list(filters={"type": "custom"}):
                network.remove()
        self.stop()

    @property
    def pid(self) -> Path:
        """File with the number of its process, as long as it runs."""
        return self.folder / "docker.pid"

    def load(self, images: Sequence[str]) -> None:
        """Copy images of the machine's engine, layers that they share once."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as save:
            command = ["docker", "--host", self.host, "load", "--quiet"]
            load = subprocess.run(command, stdin=save.stdout, check=False, capture_output=True, text=True)
        assert (save.returncode, load.returncode) == (0, 0), load.stderr

    def leave(self, mebibytes: int | None, disk: Path | None = None) -> None:
        """Fill the disk (the engine's own by default) until so much is free; None gives all of it back."""
        data = disk or self.folder / "data"
        self.run("rm", "-f", str(data / "ballast"))
        if mebibytes is not None:
            free = int(self.run("df", "--output=avail", "--block-size=1", str(data)).splitlines()[1])
            self.run("fallocate", "-l", str(free - mebibytes * 1024**2), str(data / "ballast"))


@contextlib.contextmanager
def small_engine(folder: Path, *, mebibytes: int, bridge: str, pool: IPv4Network) -> Iterator[SmallEngine]:
    """Start an engine with a disk of so many MiB, and a bridge of its own at the pool's end; all is undone at the end.

    A skip, or a failure in CI, where neither root nor sudo is at hand, or a program is missing.
    """
    prefix = () if os.geteuid() == 0 else ("sudo", "-n")
    if prefix and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        missing("only root may start an engine of its own")
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    if absent := [name for name in NEEDED if shutil.which(name, path=path) is None]:
        missing(f"not on this machine: {', '.join(absent)}")
    engine = SmallEngine(folder, prefix, bridge)
    for name in ("data", "exec", "tmp"):
        (folder / name).mkdir(parents=True)
    with contextlib.ExitStack() as undo:
        engine.run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder / "data"))
        undo.callback(engine.run, "umount", "--lazy", str(folder / "data"), check=False)
        # One that a killed run has left.
        engine.run("ip", "link", "del", bridge, check=False)
        engine.run("ip", "link", "add", bridge, "type", "bridge")
        undo.callback(engine.run, "ip", "link", "del", bridge, check=False)
        engine.run("ip", "addr", "add", f"{pool[-2]}/26", "dev", bridge)
        engine.run("ip", "link", "set", bridge, "up")
        undo.callback(engine.end)
        engine.start()
        yield engine
