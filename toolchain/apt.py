"""Debian packages, on a machine that has apt and lets us."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from toolchain.console import ToolchainError, run, say, step
from toolchain.paths import LOGS


def available() -> bool:
    """Whether packages can be installed: Debian or Ubuntu, as root."""
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def install(*packages: str) -> None:
    """Install packages of the distribution, without recommends.

    Raises ToolchainError when the machine is not a Debian one, the user not root, or apt fails.
    """
    names = " ".join(packages)
    if not available():
        raise ToolchainError(
            f"needed on this machine: {names}. Install with `sudo apt-get install {names}`, then again"
        )
    say(f"apt-get installs {names} on this machine")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    log = LOGS / f"apt-{packages[0]}.log"
    command: list[str | Path] = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    with step(f"apt-get install {names}"):
        try:
            run(command, log=log, env=env)
        except ToolchainError:
            # Package lists that are missing or old are the usual reason, or an installation that was interrupted.
            run(["dpkg", "--configure", "-a"], log=LOGS / "dpkg-configure.log", env=env)
            run(["apt-get", "update"], log=LOGS / "apt-update.log", env=env)
            run(command, log=log, env=env)
