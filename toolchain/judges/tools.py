"""Where the judges come from: two Go modules, and one environment of Python packages."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from pathlib import Path
from typing import Final

from toolchain.cluster import build
from toolchain.console import run, step
from toolchain.paths import LOGS, TOOLS, VENV_PYTHON

HOME: Final = TOOLS / "judges"
MODULES: Final = Path(__file__).parent / "modules"
REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")
PROGRAMS: Final = {
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
    "kube-score": "github.com/zegl/kube-score/cmd/kube-score",
}


def program(name: str) -> Path:
    """One of `PROGRAMS`, built where it is missing. Raises ToolchainError when it cannot be built."""
    return build.program(name, PROGRAMS[name], module=MODULES / name, options=("-trimpath",))


def environment() -> Path:
    """The folder of the judges' Python packages, made where it is missing (a minute, 400 MB).

    Raises ToolchainError when the package index does not answer.
    """
    key = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = HOME / f"venv-{key}"
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".whole").is_file():
            for old in HOME.glob("venv-*"):
                shutil.rmtree(old)
            with step("pip install the judges into an environment of their own (once)"):
                run([VENV_PYTHON, "-m", "venv", folder], log=LOGS / "judges-venv.log")
                pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "--no-input", "--no-deps"]
                run([*pip, "--requirement", REQUIREMENTS], log=LOGS / "judges-pip.log")
            (folder / ".whole").touch()
    return folder


def kubernetes_schemas(version: str) -> Path:
    """Kubernetes' own schemas, as the package `kubernetes-validate` brings them: no field that they do not know."""
    minor = ".".join(version.split(".")[:2])
    (package,) = environment().glob("lib/python3.*/site-packages/kubernetes_validate")
    return package / "kubernetes-json-schema" / f"v{minor}.0-local-strict"
