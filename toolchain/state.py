"""The state backend of this clone: a folder, a passphrase file, and the stack in it (docs/adr/0003)."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from toolchain.console import run, say
from toolchain.environment import exports, full
from toolchain.paths import LOGS, PASSPHRASE, ROOT, STATE
from toolchain.stack_filter import clean

PROJECT = "ai-platform"


def is_local() -> bool:
    """Whether the backend is this clone's own folder, not one that the user has set."""
    return exports()["PULUMI_BACKEND_URL"] == f"file://{STATE}"


def stack_file(stack: str) -> Path:
    """Where the folder backend keeps a stack's state."""
    return STATE / ".pulumi" / "stacks" / PROJECT / f"{stack}.json"


def ensure(cli: Path, stack: str) -> None:
    """The backend's folder, its passphrase and the stack, each made where it is missing.

    Raises ToolchainError when the stack cannot be made.
    """
    if not is_local():
        say(f"state: {exports()['PULUMI_BACKEND_URL']} (PULUMI_BACKEND_URL)")
        _select(cli, stack)
        return
    STATE.mkdir(mode=0o700, exist_ok=True)
    if not PASSPHRASE.exists():
        # Named only once it is whole: an empty one would be taken for a passphrase.
        fresh = PASSPHRASE.with_suffix(f".{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
        fresh.replace(PASSPHRASE)
        say(f"new passphrase for the state: {PASSPHRASE} (keep it as long as .state/)")
    if stack_file(stack).is_file():
        return
    config = ROOT / f"Pulumi.{stack}.yaml"
    if config.is_file() and (text := config.read_text()) != clean(text):
        # The salt of a state that is gone: it fits no passphrase any more.
        config.write_text(clean(text))
    _select(cli, stack)
    say(f"new stack {stack} in {STATE}")


def _select(cli: Path, stack: str) -> None:
    command: list[str | Path] = [cli, "stack", "select", "--create", stack, "--non-interactive"]
    run(command, log=LOGS / "stack.log", env=full(), cwd=ROOT)
