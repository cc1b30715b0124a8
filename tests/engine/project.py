"""The program in a folder of its own, with a stack file and a state that no other test sees."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.engine import missing
from toolchain.deploy import pulumi
from toolchain.environment import full
from toolchain.paths import ROOT

STACK = "broken"
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
SECONDS = 120
"""That a command may take."""


@dataclass(frozen=True)
class Project:
    """The program, with a stack file and a state of its own."""

    folder: Path
    env: dict[str, str]
    stack: str = STACK
    salt: str = ""
    """The last line of the stack file."""

    @classmethod
    def make(cls, folder: Path, stack: str = STACK, sources: Sequence[str] = SOURCES) -> Project:
        """A stack that nothing was deployed to. Without the CLI: a failure in CI, elsewhere a skip."""
        if not pulumi().is_file():
            missing("the Pulumi CLI is not there yet: run `make images`")
        for name in sources:
            (folder / name).symlink_to(ROOT / name)
        (folder / ".toolchain").mkdir()
        state = folder / "state"
        state.mkdir()
        env = {key: value for key, value in full().items() if key != "PULUMI_CONFIG_PASSPHRASE_FILE"}
        env |= {"PULUMI_BACKEND_URL": f"file://{state}", "PULUMI_CONFIG_PASSPHRASE": "of a test"}
        made = cls(folder, env, stack)
        initialised = made.pulumi("stack", "init", stack)
        assert initialised.returncode == 0, initialised.stderr
        return replace(made, salt=(folder / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))

    def configure(self, text: str) -> None:
        """Write the stack file with its salt, as it is after a first `up`.

        The CLI would write the file anew to add one, and quote numbers on the way.
        """
        (self.folder / f"Pulumi.{self.stack}.yaml").write_text(text + self.salt, encoding="utf-8")

    def pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the CLI, with what it says."""
        command = [str(pulumi()), *arguments, "--non-interactive"]
        return subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False, timeout=SECONDS
        )

    def resources(self) -> list[str]:
        """Types of what the state holds."""
        file = self.folder / "state" / ".pulumi" / "stacks" / "ai-platform" / f"{self.stack}.json"
        latest = json.loads(file.read_text(encoding="utf-8"))["checkpoint"]["latest"] or {}
        return [one["type"] for one in latest.get("resources") or []]
