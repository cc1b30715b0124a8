"""Python wheels for image builds, downloaded on the host.

A build container has neither the host's network set-up nor the certificate authorities that it trusts.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from toolchain.console import run
from toolchain.paths import LOGS, TOOLS

PYTHON_VERSION = "3.11"
"""CPython of the image `python`."""
GLIBC_MINOR = 36
"""glibc 2.36: that of Debian 12, under both the official and the built image."""


def platforms(machine: str) -> list[str]:
    """Wheel platforms that glibc 2.36 on `machine` (x86_64, aarch64) runs, newest first."""
    return [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, 4, -1)] + [f"manylinux2014_{machine}"]


def download(requirements: Path, machine: str) -> list[Path]:
    """The wheels of a requirements file, from the cache where the file has not changed.

    Raises ToolchainError when the package index does not give them.
    """
    key = hashlib.sha256(requirements.read_bytes() + machine.encode()).hexdigest()[:12]
    folder = TOOLS / "wheels" / key
    if not folder.is_dir():
        partial = folder.with_name(f"{key}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        targets = [word for name in platforms(machine) for word in ("--platform", name)]
        command: list[str | Path] = [sys.executable, "-m", "pip", "download", "--only-binary=:all:", "--dest", partial]
        command += ["--python-version", PYTHON_VERSION, "--implementation", "cp", *targets]
        run([*command, "--requirement", requirements], log=LOGS / f"wheels-{key}.log")
        partial.rename(folder)
    return sorted(folder.glob("*.whl"))
