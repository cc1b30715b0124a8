"""What precedes a deployment that changes something: a backup, where the stack asks for one.

What changes is known from a preview, which the deployment then need not make again.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from toolchain.backup import before
from toolchain.console import step
from toolchain.environment import full
from toolchain.paths import LOGS, ROOT

LOG = LOGS / "before-up.log"
UNSEEN = ("--skip-preview", "-f")
"""Options of a deployment without a preview."""
ONLY_UP = ("--yes", "-y", "--continue-on-error")
"""Options that a preview does not know."""
CHANGES = "no changes were expected"
"""What the CLI says of a preview that was to change nothing, and does."""


def back_up(command: Sequence[str], stack: str, *held: int) -> list[str]:
    """Back up before a deployment, `command`, that changes something; returns further options for it.

    Raises ToolchainError, with nothing changed, when there has to be a backup and it fails.
    """
    keepers = before.needed(stack)
    if not keepers:
        return []
    if set(UNSEEN) & set(command):
        before.back_up(stack, keepers)
        return []
    with step("see what changes"):
        changes = _changes(command, *held)
    if changes is None:
        # The deployment's own preview says why, and stops it.
        return []
    if changes:
        before.back_up(stack, keepers)
    return [UNSEEN[0]]


def _changes(command: Sequence[str], *held: int) -> bool | None:
    """Whether the deployment would change anything; None where its preview fails."""
    cli, _, *options = command
    kept = [option for option in options if option not in ONLY_UP]
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("w") as sink:
        status = subprocess.run(
            [cli, "preview", "--expect-no-changes", *kept],
            cwd=ROOT,
            env=full(),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            pass_fds=held,
        ).returncode
    if status == 0:
        return False
    return True if CHANGES in LOG.read_text(errors="replace") else None
