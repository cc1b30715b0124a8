"""Stack files stay clean in git, whatever salt the CLI writes into them (docs/adr/0003)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from toolchain import environment, state
from toolchain.deploy import pulumi
from toolchain.stack_filter import CLEAN, clean, settle

SALT = "encryptionsalt: v1:abcdefg=:v1:hijk:lmnop==\n"
PLAIN = "# a comment\nconfig:\n  # inner\n  ai-platform:environment: development\n"
SECRET = "config:\n  ai-platform:secrets:\n    key:\n      secure: v1:0123:4567\n"


def test_the_salt_is_dropped_and_nothing_else() -> None:
    assert clean(PLAIN + SALT) == PLAIN
    assert clean(SALT + PLAIN) == PLAIN
    assert clean(PLAIN + SALT.rstrip()) == PLAIN
    assert clean(PLAIN) == PLAIN


def test_a_file_with_secrets_keeps_the_salt_that_opens_them() -> None:
    assert clean(SECRET + SALT) == SECRET + SALT


def test_a_salt_in_a_comment_or_a_value_is_no_salt() -> None:
    text = "# encryptionsalt: is written by pulumi\nconfig:\n  ai-platform:note: 'encryptionsalt: none'\n"
    assert clean(text) == text


class Clone:
    """A git repository with one stack file, a Pulumi project of its own and the filter."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder = folder
        shutil.copy(source / ".gitattributes", folder / ".gitattributes")
        (folder / "toolchain").mkdir()
        for name in ("__init__.py", "stack_filter.py", "paths.py"):
            shutil.copy(source / "toolchain" / name, folder / "toolchain" / name)
        (folder / "Pulumi.yaml").write_text("name: ai-platform\nruntime: python\n")
        (folder / ".gitignore").write_text(".state\n__pycache__\n")
        self.stack_file.write_text(PLAIN)
        self.run("git", "init", "--quiet")
        self.run("git", "config", "filter.stack-salt.clean", CLEAN)
        self.run("git", "add", ".")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "-m", "first")
        (folder / ".state").mkdir()

    @property
    def stack_file(self) -> Path:
        return self.folder / "Pulumi.dev.yaml"

    def run(self, *command: str) -> str:
        """Run a command in the clone, in the environment of `make env` but with a state of its own."""
        own = {
            "PULUMI_BACKEND_URL": f"file://{self.folder}/.state",
            "PULUMI_CONFIG_PASSPHRASE": "for this test",
        }
        exports = environment.exports({"PATH": os.environ["PATH"], **own})
        env = {**os.environ, **own, **exports}
        env.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def dirt(self) -> str:
        """What git sees as changed."""
        return self.run("git", "status", "--porcelain")

    def salt(self) -> str | None:
        """The salt in the stack file."""
        lines = self.stack_file.read_text().splitlines()
        return next((line for line in lines if line.startswith("encryptionsalt:")), None)


@pytest.fixture
def clone(tmp_path: Path, bootstrapped: Path) -> Clone:
    """A clone in which the stack has been made."""
    made = Clone(tmp_path, bootstrapped)
    made.run("pulumi", "stack", "init", "dev", "--non-interactive")
    settle("dev", tmp_path)
    return made


def test_making_and_using_a_stack_leaves_git_clean(clone: Clone) -> None:
    assert clone.salt(), "the CLI writes its salt: without that this test shows nothing"
    assert clone.dirt() == ""
    clone.run("pulumi", "refresh", "--yes", "--skip-preview", "--stack", "dev")
    assert clone.dirt() == ""
    assert clone.run("git", "diff") == ""


def test_a_restored_stack_file_gets_the_same_salt_back(clone: Clone) -> None:
    salt = clone.salt()
    clone.stack_file.unlink()
    clone.run("git", "checkout", "--", "Pulumi.dev.yaml")
    assert clone.salt() is None
    clone.run("pulumi", "refresh", "--yes", "--skip-preview", "--stack", "dev")
    assert clone.salt() == salt
    settle("dev", clone.folder)
    assert clone.dirt() == ""


def test_a_secret_in_the_stack_file_is_seen_by_git_with_its_salt(clone: Clone) -> None:
    clone.run("pulumi", "config", "set", "--stack", "dev", "--secret", "token", "very-private")
    changes = clone.run("git", "diff")
    assert "+encryptionsalt: " in changes
    assert "secure: " in changes
    assert "very-private" not in changes
    assert clone.run("pulumi", "config", "get", "--stack", "dev", "token").strip() == "very-private"


def test_a_change_of_the_users_own_is_seen_by_git_without_the_salt(clone: Clone) -> None:
    clone.run("pulumi", "config", "set", "--stack", "dev", "colour", "blue")
    changes = clone.run("git", "diff")
    assert "+  ai-platform:colour: blue" in changes
    assert "encryptionsalt" not in changes


def test_settling_stages_nothing_of_the_users_own(clone: Clone) -> None:
    clone.run("pulumi", "config", "set", "--stack", "dev", "colour", "blue")
    settle("dev", clone.folder)
    assert clone.dirt() == " M Pulumi.dev.yaml\n"


def test_making_a_stack_and_using_it_keeps_the_layout_of_its_file(
    tmp_path: Path, bootstrapped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Clone(tmp_path, bootstrapped)
    text = f"{PLAIN}\n  # after an empty line\n  ai-platform:domain: localhost\n\n  # the last words\n"
    made.stack_file.write_text(text)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "for this test")
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}/.state")
    for name, value in (("ROOT", tmp_path), ("STATE", tmp_path / ".state"), ("LOGS", tmp_path / ".state/logs")):
        monkeypatch.setattr(state, name, value)
    state.ensure(pulumi(), "dev")
    assert made.salt()
    made.run("pulumi", "refresh", "--yes", "--skip-preview", "--stack", "dev")
    assert clean(made.stack_file.read_text()) == text
    made.run("git", "checkout", "--", "Pulumi.dev.yaml")
    made.stack_file.write_text(text)
    state.ensure(pulumi(), "dev")
    assert made.salt()
    assert clean(made.stack_file.read_text()) == text
