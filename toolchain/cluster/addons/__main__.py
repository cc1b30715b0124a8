"""`python -m toolchain.cluster.addons [NAME …]`: install add-ons on the running cluster."""

from __future__ import annotations

import argparse
import sys

from toolchain.cluster.addons.catalogue import ADDONS
from toolchain.cluster.addons.installer import install
from toolchain.console import ToolchainError


def main() -> int:
    """Command line; exit status 1 with a message when an add-on cannot be installed."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.cluster.addons", description=__doc__)
    names = [addon.name for addon in ADDONS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all, {', '.join(names)}")
    options = parser.parse_args()
    try:
        install(options.names or None)
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
