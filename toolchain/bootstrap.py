"""`python3 -m toolchain.bootstrap`: makes a bare machine ready for `pulumi up`. Runs on the standard library alone.

Every step looks first whether its work is done already; a second run takes seconds. What it makes lies in `.venv/`,
`.toolchain/` and `.state/`; the two exceptions say so: Debian packages for the Docker Engine and for building images,
and a git filter in this clone's `.git/config`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from toolchain import apt, engine, plugin_step, pulumi_cli, stack_filter, state
from toolchain.console import ToolchainError, run, say, step
from toolchain.environment import full
from toolchain.paths import KUBECONFIG, LOCAL_CONTEXT, LOGS, ROOT, TOOLS, VENV, VENV_PYTHON

PYTHON = (3, 11)
UNFINISHED = TOOLS / "venv-unfinished"
"""There while the virtual environment is being made or changed: one that was killed then may lack any file."""
STACK_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def check_python() -> None:
    """Raises ToolchainError for a Python older than 3.11."""
    if sys.version_info < PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        raise ToolchainError(
            f"Python {'.'.join(map(str, PYTHON))} or newer is needed, this is {found}: make PYTHON=python3.11"
        )


def check_stack(stack: str) -> None:
    """Raises ToolchainError for a name that Pulumi takes for no stack, and for a stack without a stack file."""
    if not STACK_NAME.fullmatch(stack):
        raise ToolchainError(
            f"{stack!r} cannot be the name of a stack: letters, digits, -, _ and . may be in it, "
            f"100 at most; nothing was changed"
        )
    if not (ROOT / f"Pulumi.{stack}.yaml").is_file():
        files = sorted(file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in ROOT.glob("Pulumi.*.yaml"))
        raise ToolchainError(
            f"there is no Pulumi.{stack}.yaml; there are stacks {', '.join(files)}: make up STACK=<name>; "
            f"for a new one, copy a stack file first; nothing was changed"
        )


def venv(*, tests: bool) -> None:
    """The virtual environment with the exact pins; stamped with their hash, so that a second run asks nobody.

    Raises ToolchainError when it cannot be made or the package index does not answer.
    """
    files = ["constraints.txt", "requirements.txt"]
    stamps = [VENV / f".stamp-{_hash(files)}"]
    name = "requirements.txt"
    if tests:
        name = "requirements-dev.txt"
        stamps = []
    stamps.append(VENV / f".stamp-{_hash([*files, 'requirements-dev.txt'])}")
    if _made_by_this_python() and not UNFINISHED.exists() and any(stamp.is_file() for stamp in stamps):
        return
    _begin()
    if not _made_by_this_python():
        _create_venv()
    with step(f"pip install -r {name} into .venv"):
        pip: list[str | Path] = [VENV_PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        try:
            run([*pip, "--requirement", ROOT / name], log=LOGS / "pip.log", cwd=ROOT)
        except ToolchainError:
            # A pip that fails has changed nothing: it installs once it has everything.
            UNFINISHED.unlink()
            raise
    for old in VENV.glob(".stamp-*"):
        old.unlink()
    stamps[0].touch()
    UNFINISHED.unlink()


def _begin() -> None:
    """Mark the environment as unfinished; one that an interrupted run has left so goes."""
    UNFINISHED.parent.mkdir(exist_ok=True)
    if UNFINISHED.exists():
        say("an interrupted run left .venv unfinished: it is made anew")
        shutil.rmtree(VENV, ignore_errors=True)
    UNFINISHED.touch()


def _hash(names: list[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()[:12]


def _made_by_this_python() -> bool:
    """Whether `.venv` is there and of the same minor version as the Python that runs this."""
    settings = VENV / "pyvenv.cfg"
    if not (VENV_PYTHON.exists() and settings.is_file()):
        return False
    found = re.search(r"(?m)^version\s*=\s*(\d+)\.(\d+)", settings.read_text())
    return found is not None and (int(found[1]), int(found[2])) == sys.version_info[:2]


def _create_venv() -> None:
    command: list[str | Path] = [sys.executable, "-m", "venv", "--clear", VENV]
    with step(f"virtual environment .venv (Python {sys.version.split()[0]})"):
        try:
            run(command, log=LOGS / "venv.log")
        except ToolchainError:
            # Debian keeps ensurepip in a package of its own.
            if not apt.available():
                raise
            apt.install(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
            run(command, log=LOGS / "venv.log")


def images() -> None:
    """The images that the engine lacks; done in the virtual environment, which has the engine's client library.

    Raises ToolchainError when one cannot be had that the stack needs; the reason has been printed.
    """
    command = [str(VENV_PYTHON), "-m", "toolchain.images", "--keep", "--quiet"]
    if subprocess.run(command, cwd=ROOT, env=full(), check=False).returncode != 0:
        raise ToolchainError("not every image could be had (see above)")


def on_docker(stack: str) -> bool:
    """Whether the stack runs on a Docker Engine: what its stack file says, and yes where there is none yet."""
    file = ROOT / f"Pulumi.{stack}.yaml"
    return not file.is_file() or re.search(r"(?m)^[^#\n]*\bkind:\s*[\"']?docker\b", file.read_text()) is not None


def on_local_cluster(stack: str) -> bool:
    """Whether the stack runs on this machine's cluster: its stack file names it, no kubeconfig of the user does."""
    file = ROOT / f"Pulumi.{stack}.yaml"
    if not file.is_file() or not re.search(rf"(?m)^[^#\n]*\bcontext:\s*[\"']?{LOCAL_CONTEXT}\b", file.read_text()):
        return False
    return not given_cluster()


def given_cluster() -> bool:
    """Whether a kubeconfig of the user's has the local cluster's context: of another clone's cluster, say."""
    given = os.environ.get("KUBECONFIG", "").split(os.pathsep)
    own = [Path(part) for part in given if part and part != str(KUBECONFIG)]
    return any(LOCAL_CONTEXT in one.read_text() for one in own if one.is_file())


def cluster() -> None:
    """The local cluster, with this machine's images; done in the virtual environment, which has what it needs.

    Raises ToolchainError when it does not come up; the reason has been printed.
    """
    command = [str(VENV_PYTHON), "-m", "toolchain.cluster", "up", "--images"]
    if subprocess.run(command, cwd=ROOT, env=full(), check=False).returncode != 0:
        raise ToolchainError("the local cluster is not ready (see above)")


def bootstrap(stack: str, *, tests: bool, start: bool = True) -> Path:
    """Every step, in order; returns the Pulumi CLI. Without `start`, a local cluster is left as it is.

    Raises ToolchainError at the first step that cannot be done.
    """
    venv(tests=tests)
    cli = pulumi_cli.ensure()
    plugin_step.ensure(cli)
    local = on_local_cluster(stack)
    if on_docker(stack) or local:
        # Of a cluster on this machine the engine makes the images.
        engine.select(stack)
        engine.ensure(stack)
        images()
    if local and start:
        cluster()
    stack_filter.configure()
    state.ensure(cli, stack)
    stack_filter.settle(stack)
    return cli


def main() -> int:
    """Command line; exit status 1 with one message where the machine lacks something."""
    parser = argparse.ArgumentParser(prog="python3 -m toolchain.bootstrap", description=__doc__)
    parser.add_argument("--stack", default="dev", help="stack to make ready (default: dev)")
    parser.add_argument("--tests", action="store_true", help="also what the tests and tools need")
    parser.add_argument("--cluster", action="store_true", help="also the local cluster, unless a kubeconfig names one")
    parser.add_argument("--only-venv", action="store_true", help="only the virtual environment")
    parser.add_argument("--no-cluster", action="store_true", help="leave the local cluster as it is: for plans")
    options = parser.parse_args()
    start = time.monotonic()
    os.chdir(ROOT)
    try:
        check_python()
        if options.only_venv:
            venv(tests=options.tests)
        else:
            check_stack(options.stack)
            cli = bootstrap(options.stack, tests=options.tests, start=not options.no_cluster)
            if options.cluster and not given_cluster():
                cluster()
            say(f"ready in {time.monotonic() - start:.1f} s: {shutil.which('pulumi', path=str(cli.parent)) or cli}")
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
