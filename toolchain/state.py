"""The state backend of this clone: a folder, a passphrase file, and the stack in it (docs/adr/0003)."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path

from toolchain.console import ToolchainError, run, say
from toolchain.environment import exports, full
from toolchain.paths import LOGS, PASSPHRASE, ROOT, STATE
from toolchain.stack_filter import SALT, clean, settle

PROJECT = "ai-platform"
ROOM = 64
"""MiB that must be free for the state: a command writes it anew, with copies, at each of its steps."""


def is_local() -> bool:
    """Whether the backend is this clone's own folder, not one that the user has set."""
    return exports()["PULUMI_BACKEND_URL"] == f"file://{STATE}"


def stack_file(stack: str) -> Path:
    """Where the folder backend keeps a stack's state."""
    return STATE / ".pulumi" / "stacks" / PROJECT / f"{stack}.json"


def check_room() -> None:
    """Raises ToolchainError where the state's disk is nearly full.

    A write that fails half-way is not undone by the CLI: it leaves a state that is cut short.
    """
    free = shutil.disk_usage(STATE).free // 1024**2 if STATE.is_dir() else ROOM
    if free < ROOM:
        raise ToolchainError(
            f"the disk of {STATE} is full: {free} MiB are free, and the state needs {ROOM}; make room, then run this "
            f"again; nothing was changed"
        )


def heal(stack: str) -> bool:
    """Put the newest whole copy in the place of a state that was cut short; returns whether it was.

    Pulumi writes each version beside the file and renames it: what a killed CLI left half-written there goes, too.

    Raises ToolchainError when there is no whole copy.
    """
    file = stack_file(stack)
    for half in file.parent.glob(f"{file.name}*.tmp"):
        half.unlink()
    if _is_whole(file):
        return False
    backups = STATE / ".pulumi" / "backups" / PROJECT / stack
    copies = [file.with_name(f"{file.name}.bak"), *sorted(backups.glob("*.json"), reverse=True)]
    good = next((copy for copy in copies if _is_whole(copy)), None)
    if good is None:
        raise ToolchainError(f"the state {file} was cut short, and there is no whole copy of it in {backups}")
    shutil.copyfile(file, file.with_name(f"{file.name}.broken"))
    whole = file.with_name(f"{file.name}.mended")
    shutil.copyfile(good, whole)
    whole.replace(file)
    say(f"the state was cut short, by a full disk perhaps: taken back from {good.relative_to(STATE)}")
    return True


def _is_whole(file: Path) -> bool:
    try:
        return "checkpoint" in json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False


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
    config = ROOT / f"Pulumi.{stack}.yaml"
    text = config.read_text() if config.is_file() else ""
    if not stack_file(stack).is_file():
        if text != clean(text):
            # The salt of a state that is gone: it fits no passphrase any more.
            text = clean(text)
            config.write_text(text)
        _select(cli, stack)
        say(f"new stack {stack} in {STATE}")
    if text and not SALT.search(text):
        # Without its salt the CLI writes the whole file anew, in its own layout.
        config.write_text(f"{text.rstrip()}\nencryptionsalt: {_salt(stack)}\n")
        settle(stack, ROOT)


def _salt(stack: str) -> str:
    """The salt of the stack's passphrase, as its state holds it. Raises ToolchainError where there is none."""
    try:
        latest = json.loads(stack_file(stack).read_bytes())["checkpoint"]["latest"]
        return str(latest["secrets_providers"]["state"]["salt"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ToolchainError(f"the state of stack {stack} in {stack_file(stack)} has no salt: {error!r}") from error


def _select(cli: Path, stack: str) -> None:
    command: list[str | Path] = [cli, "stack", "select", "--create", stack, "--non-interactive"]
    run(command, log=LOGS / "stack.log", env=full(), cwd=ROOT)
