"""The Docker Engine: the one that answers, else installed from the distribution and started."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from platforms.reach import DEFAULT, silence
from toolchain import apt
from toolchain.console import ToolchainError, say, step
from toolchain.paths import ENGINE_FILE, ROOT, TOOLS

if TYPE_CHECKING:
    from docker import DockerClient

HOST = re.compile(r"(?m)^[^#\n]*\bhost:\s*[\"']?((?:unix|tcp|ssh)://[^\s\"',}]+)")
"""The address in a stack file: read before there is a YAML parser."""
PATIENCE = 60
"""Seconds that an engine has to answer after its start."""
INSTRUCTION = (
    "no Docker Engine answers: start Docker, or set DOCKER_HOST, or run once as root on Debian or Ubuntu, then again"
)


def named(stack: str) -> str | None:
    """The engine's address that a stack file names (`platform.host`); the program itself judges it."""
    file = ROOT / f"Pulumi.{stack}.yaml"
    found = HOST.search(file.read_text(encoding="utf-8", errors="replace")) if file.is_file() else None
    return found[1] if found else None


def select(stack: str) -> None:
    """Turn this process and all that it starts to the engine that the stack file names, where it names one."""
    if address := named(stack):
        os.environ["DOCKER_HOST"] = address


def answers(host: str, timeout: float = 5) -> bool:
    """Whether an engine answers at an address."""
    return silence(host, timeout) is None


def candidates() -> list[str]:
    """Addresses where an engine may be, the user's own choice first and alone."""
    if host := os.environ.get("DOCKER_HOST"):
        return [host]
    home = Path.home()
    sockets = [home / ".docker/run/docker.sock", home / ".colima/default/docker.sock"]
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        sockets.insert(0, Path(runtime) / "docker.sock")
    return [DEFAULT, *(f"unix://{path}" for path in sockets if path.exists())]


def host() -> str:
    """The engine's address that `ensure` found, else the default one."""
    if chosen := os.environ.get("DOCKER_HOST"):
        return chosen
    return ENGINE_FILE.read_text().strip() if ENGINE_FILE.is_file() else DEFAULT


def client(timeout: int = 900, address: str | None = None) -> DockerClient:
    """A client of the engine, or of the one at `address`; `timeout` is in seconds between two pieces of an answer.

    Raises ToolchainError when none answers.
    """
    # Not at the top: the first steps of the bootstrap run before the virtual environment is there.
    from docker import DockerClient  # noqa: PLC0415
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        return DockerClient(base_url=address or host(), timeout=timeout, use_ssh_client=True)
    except DockerException as error:
        raise ToolchainError(f"{INSTRUCTION} ({error})") from error


def ensure(stack: str = "") -> str:
    """An engine that answers, and its address: the one that the stack file names, else the machine's.

    Raises ToolchainError with one line of instruction where there is none and none can be installed.
    """
    asked = named(stack) if stack else None
    reason = silence(asked) if asked else None
    if asked:
        found = None if reason else asked
    else:
        found = next((address for address in candidates() if answers(address)), None)
    if found is None:
        if (asked or os.environ.get("DOCKER_HOST") or DEFAULT) != DEFAULT or not apt.available():
            raise ToolchainError(_unreachable(asked, reason, stack) if asked else INSTRUCTION)
        if shutil.which("dockerd") is None:
            # iptables: dockerd's bridge networks; docker.io only recommends it.
            apt.install("docker.io", "iptables")
        _start()
        found = DEFAULT
    if asked:
        return found
    TOOLS.mkdir(exist_ok=True)
    if found == DEFAULT:
        ENGINE_FILE.unlink(missing_ok=True)
    else:
        ENGINE_FILE.write_text(f"{found}\n")
    return found


def _unreachable(address: str, reason: str | None, stack: str) -> str:
    return (
        f"no Docker Engine answers at {address} ({reason}): start it, or correct platform.host "
        f"in Pulumi.{stack}.yaml; nothing was changed"
    )


def _start() -> None:
    log = TOOLS / "dockerd.log"
    TOOLS.mkdir(exist_ok=True)
    with step("start the Docker Engine"):
        if Path("/run/systemd/system").is_dir():
            subprocess.run(["systemctl", "start", "docker"], check=False)
        process = None
        if not _wait(3):
            # No service manager started it: it outlives this command, in a session of its own.
            with log.open("ab") as sink:
                process = subprocess.Popen(
                    ["dockerd"], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
                )
            (TOOLS / "dockerd.pid").write_text(f"{process.pid}\n")
            say(f"dockerd runs in the background: pid {process.pid}, log {log}")
        if not _wait(PATIENCE, process):
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log.is_file() else ""
            raise ToolchainError(f"the Docker Engine did not answer within {PATIENCE} s; log: {log}\n{tail}")


def _wait(seconds: float, process: subprocess.Popen[bytes] | None = None) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answers(DEFAULT):
            return True
        if process is not None and process.poll() is not None:
            return False
        time.sleep(0.5)
    return False
