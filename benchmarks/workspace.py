"""Pulumi projects in a temporary folder: programs to measure, with a state backend and a passphrase of their own."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.flat import FlatProgram
from benchmarks.measure import MeasurementError, Sample, run
from toolchain.deploy import PACK, pulumi
from toolchain.environment import full
from toolchain.paths import INVENTORY, ROOT, VENV

OURS = "import runpy\n\nrunpy.run_path({main!r}, run_name='__main__')\n"
SERVICES = "from benchmarks.programs.services import main\n\nmain()\n"
EDGE = "from benchmarks.programs.edge import main\n\nmain()\n"
FLAT = "import program  # noqa: F401 - deploys what it holds; a module of its own, so that it is compiled once\n"
HEAD = "import sys\n\nsys.path.insert(0, {root!r})\n"
POLICIES = (PACK[0], str(ROOT / PACK[1]))


def write(file: Path, text: str) -> None:
    """Write a file that only its owner can read: some hold generated credentials."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Project:
    """One program and its stacks."""

    name: str
    folder: Path

    @classmethod
    def make(cls, folder: Path, name: str, main: str, modules: Mapping[str, str] | None = None) -> Project:
        """Write a project whose `__main__.py` is `main`, with the repository's root in `sys.path`."""
        project = cls(name, folder / name)
        runtime = {"name": "python", "options": {"virtualenv": str(VENV)}}
        write(project.folder / "Pulumi.yaml", yaml.safe_dump({"name": "ai-platform", "runtime": runtime}))
        write(project.folder / "__main__.py", HEAD.format(root=str(ROOT)) + main)
        for file, text in (modules or {}).items():
            write(project.folder / file, text)
        (project.folder / "state").mkdir(mode=0o700)
        write(project.folder / "passphrase", secrets.token_urlsafe(32))
        return project

    @classmethod
    def ours(cls, folder: Path, stack: str, config: Mapping[str, Any]) -> Project:
        """The project's own program, with a stack."""
        project = cls.make(folder, "ours", OURS.format(main=str(ROOT / "__main__.py")))
        project.stack(stack, config)
        return project

    @classmethod
    def flat(cls, folder: Path, program: FlatProgram, stack: str, name: str = "flat") -> Project:
        """A flat program, with a stack."""
        project = cls.make(folder, name, FLAT, {"program.py": program.source()})
        project.stack(stack, {})
        return project

    @property
    def environment(self) -> dict[str, str]:
        """As `make env` prints it, but with this project's own state."""
        own = {
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.folder / "passphrase"),
        }
        outer = {key: value for key, value in full().items() if key != "PULUMI_CONFIG_PASSPHRASE"}
        return {**outer, **own}

    def stack(self, name: str, config: Mapping[str, Any]) -> None:
        """Make a stack with that configuration (full key → value)."""
        write(self.folder / f"Pulumi.{name}.yaml", yaml.safe_dump({"config": dict(config)}))
        self.output("stack", "select", "--create", name)

    def output(self, *arguments: str) -> str:
        """What a command prints. Raises MeasurementError when it fails."""
        done = subprocess.run(
            [str(pulumi()), *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise MeasurementError(f"pulumi {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        return done.stdout

    def run(self, *arguments: str, stack: str) -> Sample:
        """Measure a command. Raises MeasurementError when it fails."""
        command = [str(pulumi()), *arguments, "--stack", stack, "--non-interactive"]
        return run(command, cwd=self.folder, env=self.environment, log=self.folder / "command.log")


def docker_config(system: str, **platform: Any) -> dict[str, Any]:
    """Configuration of a stack on Docker, with this machine's images."""
    return {
        "ai-platform:environment": "development",
        "ai-platform:platform": {"kind": "docker", **platform},
        "ai-platform:systems": [{"name": system}],
        "ai-platform:images": {"inventory": str(INVENTORY)},
    }


def dev_config(**platform: Any) -> dict[str, Any]:
    """Configuration of the tracked dev stack, with other values under some keys of its platform."""
    content = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8"))["config"]
    content["ai-platform:platform"] |= platform
    return {**content, "ai-platform:images": {"inventory": str(INVENTORY)}}
