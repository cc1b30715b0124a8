"""The backup before a deployment (ARE-088, ARE-107)."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.backup.create import create
from toolchain.backup.sides import Keeper, side_of
from toolchain.console import ToolchainError, say
from toolchain.stack_file import read

WITHOUT = "--no-backup"
"""Option of the deployment that goes on without one."""


def needed(stack: str) -> Sequence[Keeper]:
    """What is to be archived before a deployment changes anything; nothing where the stack does not ask for it.

    Nor where nothing archives yet: before the first deployment, and before the one that turns backups on.

    Raises ToolchainError, with the way on, when the platform does not answer.
    """
    try:
        declared = read(stack)
    except ToolchainError:
        # The program says what is wrong with the stack file, and deploys nothing.
        return ()
    if declared.platform.kind == "aws" or not declared.backups.precede(declared.environment):
        return ()
    try:
        return side_of(stack).found()
    except ToolchainError as error:
        raise refused(stack, error) from error


def back_up(stack: str, keepers: Sequence[Keeper]) -> None:
    """Archive, and read each archive back. Raises ToolchainError, with the way on, when that fails."""
    say("a backup before the deployment (backups.beforeDeployment)")
    try:
        create(sorted(keepers, key=lambda one: (one.system, one.engine)), read_back=True)
    except ToolchainError as error:
        raise refused(stack, error) from error


def refused(stack: str, error: ToolchainError) -> ToolchainError:
    """Why nothing is deployed, and how to do it all the same."""
    return ToolchainError(
        f"{error}\nno backup, so no deployment: nothing was changed; repair what is named above, or go on without: "
        f"make up STACK={stack} ARGS={WITHOUT}"
    )
