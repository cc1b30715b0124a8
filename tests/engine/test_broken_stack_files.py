"""Broken stack files in the real engine: `pulumi up` refuses each one in words, and makes nothing.

The cases are those of `tests/config/broken`, but for what only another catalogue or a real ciphertext can show.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.config.test_broken_stack_files import CASES, PLANTED, Broken
from tests.support.engine import answering, missing
from toolchain.deploy import pulumi
from toolchain.environment import full
from toolchain.paths import ROOT

STACK = "broken"
FEWEST = 25
USABLE = [case for case in CASES if "pliers" not in case.text and "secure:" not in case.text][::3]
"""Every third: an engine's start a case is enough."""
SOURCES = (
    "Pulumi.yaml",
    "__main__.py",
    "config",
    "systems",
    "components",
    "platforms",
    "policies",
    "toolchain",
    ".venv",
)


@dataclass(frozen=True)
class Project:
    """The program, with a stack file and a state of its own."""

    folder: Path
    env: dict[str, str]
    salt: str = ""
    """The last line of the stack file."""

    def pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(pulumi()), *arguments, "--non-interactive"]
        return subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False, timeout=120
        )

    def resources(self) -> list[str]:
        """Types of what the state holds."""
        file = self.folder / "state" / ".pulumi" / "stacks" / "ai-platform" / f"{STACK}.json"
        latest = json.loads(file.read_text(encoding="utf-8"))["checkpoint"]["latest"] or {}
        return [one["type"] for one in latest.get("resources") or []]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A stack that nothing was deployed to. Without the CLI: a failure in CI, elsewhere a skip."""
    if not pulumi().is_file():
        missing("the Pulumi CLI is not there yet: run `make images`")
    folder = tmp_path_factory.mktemp("broken")
    for name in SOURCES:
        (folder / name).symlink_to(ROOT / name)
    (folder / ".toolchain").mkdir()
    state = folder / "state"
    state.mkdir()
    env = {key: value for key, value in full().items() if key != "PULUMI_CONFIG_PASSPHRASE_FILE"}
    env |= {"PULUMI_BACKEND_URL": f"file://{state}", "PULUMI_CONFIG_PASSPHRASE": "of a test"}
    made = Project(folder, env)
    initialised = made.pulumi("stack", "init", STACK)
    assert initialised.returncode == 0, initialised.stderr
    return replace(made, salt=(folder / f"Pulumi.{STACK}.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def engine() -> docker.DockerClient:
    """The Docker engine that must stay untouched."""
    return answering()


def test_there_are_enough_cases() -> None:
    assert len(USABLE) >= FEWEST


@pytest.mark.parametrize("case", USABLE, ids=lambda case: f"{case.key}: {case.words[0]}")
def test_up_refuses_it_and_makes_nothing(case: Broken, project: Project, engine: docker.DockerClient) -> None:
    # With its salt, as after a first `up`: the CLI would write the file anew to add one, and quote numbers on the way.
    (project.folder / f"Pulumi.{STACK}.yaml").write_text(case.text + project.salt, encoding="utf-8")
    refused = project.pulumi("up", "--yes", "--skip-preview", "--stack", STACK)
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0, said
    assert f"Pulumi.{STACK}.yaml has 1 problem:" in said
    assert f"line {case.line or 1}  {case.key}: " in said
    assert [word for word in case.words if word not in said] == []
    assert PLANTED not in said
    assert "Traceback" not in said
    assert project.resources() in ([], ["pulumi:pulumi:Stack"])
    mine: Any = {"label": f"ai-platform.stack={STACK}"}
    assert not engine.containers.list(all=True, filters=mine)
    assert not engine.networks.list(filters=mine)
    assert not engine.volumes.list(filters=mine)
