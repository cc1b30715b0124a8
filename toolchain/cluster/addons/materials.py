"""What add-ons are made from: their modules' folders, and the programs built from those modules."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from toolchain import pulumi_cli
from toolchain.cluster import build, images
from toolchain.cluster.addons.addon import Addon, Program, documents, is_type
from toolchain.cluster.kubectl import command
from toolchain.console import ToolchainError


def key(addon: Addon) -> str:
    """Twelve digits that change with anything that the add-on on the cluster is made from."""
    digest = hashlib.sha256(addon.name.encode())
    for file in _sources(addon):
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _sources(addon: Addon) -> Iterator[Path]:
    for name in sorted({addon.name, *(program.module or addon.name for program in addon.programs)}):
        yield from sorted(path for path in (build.MODULES / name).iterdir() if path.is_file())
    yield from sorted(Path(__file__).parent.glob("*.py"))


def folder(addon: Addon) -> Path:
    """The unpacked module of an add-on; it is downloaded where the machine's cache lacks it.

    Raises ToolchainError when it cannot be had or is not what `go.sum` says.
    """
    command = [str(pulumi_cli.go()), "mod", "download", "-json", addon.module]
    env = os.environ | {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    done = subprocess.run(command, cwd=build.MODULES / addon.name, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stdout + done.stderr).strip()[-1500:]
        raise ToolchainError(f"add-on {addon.name}: the module {addon.module} cannot be had\n{reason}")
    return Path(json.loads(done.stdout)["Dir"])


def binary(addon: Addon, program: Program) -> Path:
    """A program of an add-on, built where it is missing.

    Raises ToolchainError when it cannot be built.
    """
    return build.program(
        program.name,
        program.package,
        module=build.MODULES / (program.module or addon.name),
        symbols=program.symbols,
        # The paths of the machine that built it stay out of the image.
        options=("-trimpath",),
    )


def reference(program: Program, binary: Path) -> str:
    """The name of a program's image in the node; its tag changes with its content."""
    return images.reference(program.name, {program.path: binary}, entrypoint=[program.path], links=program.links)


def load(program: Program, binary: Path) -> None:
    """Make a program's image in the node, where it is missing: the binary and its links, and nothing else."""
    images.scratch(program.name, {program.path: binary}, entrypoint=[program.path], links=program.links)


def types(addon: Addon, folder: Path) -> str:
    """The add-on's types as one YAML text: handed on as they are, for their schemas are long and need no change.

    Raises ToolchainError for a pattern that matches nothing.
    """
    found: list[str] = []
    for pattern in addon.crds:
        paths = sorted(folder.glob(pattern))
        if not paths:
            raise ToolchainError(f"add-on {addon.name}: no {pattern} in {folder}")
        texts = [_kustomized(path) if path.is_dir() else path.read_text() for path in paths]
        found += [document for text in texts for document in documents(text) if is_type(document)]
    return "---\n".join(found)


def _kustomized(path: Path) -> str:
    done = subprocess.run(command("kustomize", str(path)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolchainError(f"kustomize {path} failed: {done.stderr.strip()}")
    return done.stdout
