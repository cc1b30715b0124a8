"""Archives of every engine of a stack, at once."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.backup.sides import Keeper
from toolchain.console import ToolchainError, step


def create(keepers: Sequence[Keeper], *, read_back: bool = False) -> None:
    """Back up every engine; prints name and size of each archive, and what was old enough to go.

    A keeper has read each archive whole before it gets its name; with `read_back`, it is read once more by that name.

    Raises ToolchainError after all others when one fails.
    """
    failed: list[str] = []
    for keeper in keepers:
        try:
            with step(f"back up {keeper}"):
                said = keeper.ask("create")
                if read_back:
                    keeper.ask("check", keeper.archives()[-1])
            print(said, end="", flush=True)
        except ToolchainError as error:
            failed.append(f"{keeper}: {error}")
    if failed:
        raise ToolchainError("\n  ".join(["not backed up:", *failed]))
