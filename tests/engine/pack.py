"""A Pulumi project of its own with the policy pack beside it, for the tests of the pack in the real engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
VALUE = "hunter2-Xk29-never-shown"
"""The secret of the stack file's key `password`."""
FAR, PAST = "2999-12-31", "2020-01-01"


@dataclass
class Ran:
    """The end of a CLI command."""

    code: int
    output: str


@dataclass
class Project:
    """A Pulumi project of its own, with the pack beside it."""

    folder: Path
    environment: Mapping[str, str]
    prelude: str
    """What every program of it begins with."""

    @classmethod
    def make(cls, folder: Path, prelude: str, **environment: str) -> Project:
        """A stack that nothing was deployed to. Without the CLI: a failure in CI, elsewhere a skip."""
        if cli() is None:
            reason = "no Pulumi CLI; run `make images`"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        # The pack names its interpreter relative to itself: `../.venv`.
        shutil.copytree(ROOT / "policies", folder / "policies", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / ".venv").symlink_to(sys.prefix)
        runtime = {"name": "python", "options": {"virtualenv": ".venv"}}
        (folder / "Pulumi.yaml").write_text(
            yaml.safe_dump({"name": "ai-platform", "runtime": runtime}), encoding="utf-8"
        )
        own = {
            "PULUMI_HOME": str(ROOT / ".toolchain" / "pulumi-home"),
            **os.environ,
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        }
        for name in ("PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER"):
            own.pop(name, None)
        (folder / "state").mkdir()
        made = cls(folder, own, prelude)
        for command in (("stack", "init", "dev"), ("config", "set", "--secret", "password", VALUE)):
            ran = made.pulumi(*command)
            assert ran.code == 0, ran.output
        return made

    def pulumi(self, *arguments: str) -> Ran:
        command = [str(cli()), *arguments, "--non-interactive"]
        done = subprocess.run(  # noqa: S603 - the CLI under test
            command,
            cwd=self.folder,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Ran(done.returncode, done.stdout + done.stderr)

    def write(self, body: str, policies: dict[str, Any] | None = None, more: Mapping[str, Any] | None = None) -> None:
        """The program, what the stack file says about policies, and more of its keys."""
        (self.folder / "__main__.py").write_text(self.prelude + textwrap.dedent(body), encoding="utf-8")
        file = self.folder / "Pulumi.dev.yaml"
        stack = yaml.safe_load(file.read_text(encoding="utf-8"))
        kept = {"ai-platform:password": stack["config"]["ai-platform:password"]}
        stack["config"] = kept | {"ai-platform:policies": policies or {}} | dict(more or {})
        file.write_text(yaml.safe_dump(stack), encoding="utf-8")

    def preview(
        self,
        body: str,
        policies: dict[str, Any] | None = None,
        *arguments: str,
        more: Mapping[str, Any] | None = None,
    ) -> Ran:
        self.write(body, policies, more)
        return self.pulumi("preview", "--policy-pack", "policies", *arguments)


def cli() -> Path | None:
    """The project's CLI, else the one on PATH."""
    own = ROOT / ".toolchain" / "bin" / "pulumi"
    found = str(own) if own.is_file() and not os.environ.get("PULUMI_HOME") else shutil.which("pulumi")
    return Path(found) if found else None


def exempt(policy: str, **changes: str) -> dict[str, Any]:
    """Policy settings with one exemption, of what is called `bad-…`."""
    fields = {"policy": policy, "resource": "bad-*", "reason": "load test 7", "owner": "team-a", "expires": FAR}
    return {"exemptions": [fields | changes]}
