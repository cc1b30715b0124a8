"""`python -m toolchain.backup create|restore`: the command line."""

from __future__ import annotations

import argparse
import signal
import sys

from docker import DockerClient
from docker.errors import DockerException

from toolchain import engine
from toolchain.backup.keepers import keepers
from toolchain.backup.restore import restore
from toolchain.console import ToolchainError, say, step

SILENCE = 24 * 3600
"""Seconds that a dump or a restore may last: the engine says nothing meanwhile."""


def create(client: DockerClient, stack: str) -> None:
    """Back up every engine of a stack; prints name and size of each archive, and what was old enough to go.

    Raises ToolchainError when the stack has no backups, and after all others when one fails.
    """
    failed: list[str] = []
    for keeper in keepers(client, stack):
        what = f"{keeper.engine} of {keeper.system}"
        try:
            with step(f"back up {what}"):
                said = keeper.ask("create")
            print(said, end="", flush=True)
        except ToolchainError as error:
            failed.append(f"{what}: {error}")
    if failed:
        raise ToolchainError("\n  ".join(["not backed up:", *failed]))


def main() -> int:
    """Command line; the exit status is 1 when something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.backup")
    parser.add_argument("action", choices=("create", "restore"))
    parser.add_argument("--stack", default="dev")
    parser.add_argument("--from", dest="source", default="")
    options = parser.parse_args()
    # As an interrupt does: what was stopped is started again.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    engine.select(options.stack)
    try:
        client = engine.client(timeout=SILENCE)
        if options.action == "create":
            create(client, options.stack)
        else:
            restore(client, options.stack, options.source)
            say(f"{options.source} is restored")
    except (ToolchainError, DockerException, KeyboardInterrupt) as error:
        print(f"error: {str(error) or 'interrupted'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
