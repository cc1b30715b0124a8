"""`python -m toolchain.backup create|restore`: the command line."""

from __future__ import annotations

import argparse
import signal
import sys

from toolchain import engine
from toolchain.backup.create import create
from toolchain.backup.restore import restore
from toolchain.backup.sides import side_of
from toolchain.console import ToolchainError, say


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
        side = side_of(options.stack)
        if options.action == "create":
            create(side.keepers())
        else:
            restore(side, options.source)
            say(f"{options.source} is restored")
    except (ToolchainError, KeyboardInterrupt) as error:
        print(f"error: {str(error) or 'interrupted'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
