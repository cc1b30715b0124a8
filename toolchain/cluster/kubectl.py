"""kubectl against the local cluster: the one that is built with it, so that their versions always agree."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from toolchain.cluster import build
from toolchain.cluster.settings import CONTEXT, KUBECONFIG
from toolchain.console import ToolchainError

TIMEOUT = 600.0
"""Seconds that one command has."""


def command(*args: str) -> Sequence[str | Path]:
    """The command line: a kubectl of PATH, else the one in the cluster's own binary.

    Raises ToolchainError when there is none and it cannot be built.
    """
    found = shutil.which("kubectl")
    start = [found] if found else [build.program("kubernetes"), "kubectl"]
    return [*start, f"--kubeconfig={KUBECONFIG}", f"--context={CONTEXT}", *args]


def kubectl(*args: str, input: str | None = None, timeout: float = TIMEOUT) -> str:  # noqa: A002  (the contract's name)
    """Run kubectl and return its output; `input` goes to its standard input, `timeout` is in seconds.

    Raises ToolchainError with what it said when it fails, or does not end in time.
    """
    if not KUBECONFIG.is_file():
        raise ToolchainError("there is no local cluster: make cluster")
    env = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    try:
        done = subprocess.run(
            [str(word) for word in command(*args)],
            input=input,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env=env,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolchainError(f"`kubectl {' '.join(args)}` did not end within {timeout:.0f} s") from error
    if done.returncode != 0:
        raise ToolchainError(f"`kubectl {' '.join(args)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
