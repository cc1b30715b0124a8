"""`python -m toolchain.cluster up|build|down|status`: a real Kubernetes on this machine."""

from __future__ import annotations

import argparse
import os
import sys
import time

from toolchain.cluster import lifecycle, machine, removal, simulated
from toolchain.cluster.settings import CONTEXT, KUBECONFIG
from toolchain.console import ToolchainError, say
from toolchain.images.__main__ import read_inventory


def count(text: str) -> int:
    """A number of simulated nodes.

    Raises argparse.ArgumentTypeError for what is none, or too large.
    """
    if not (text.isdecimal() and int(text) <= simulated.MOST):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {simulated.MOST}")
    return int(text)


def main() -> int:
    """Command line; exit status 1 with one message where something is missing or fails."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.cluster", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    up = actions.add_parser("up", help="start the cluster, or repair it")
    up.add_argument("--images", action="store_true", help="copy the images of the inventory into the node, too")
    up.add_argument("--nodes", type=count, help="simulated nodes beside the real one (default: as many as there are)")
    actions.add_parser("build", help="build its programs, and start nothing")
    actions.add_parser("down", help="end it, and remove its state")
    actions.add_parser("status", help="what runs")
    options = parser.parse_args()
    begin = time.monotonic()
    # Not every root shell looks there, and iptables and ipset lie there.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *machine.SYSTEM])
    try:
        if options.action == "status":
            return lifecycle.status()
        if options.action == "build":
            lifecycle.prepare()
            return 0
        if options.action == "down":
            removal.down()
            return 0
        if options.images:
            machine.check_pods()
        inventory = read_inventory().values() if options.images else ()
        lifecycle.up(options.nodes, [str(one["reference"]) for one in inventory if one["source"] != "missing"])
        say(f"the local cluster is ready in {time.monotonic() - begin:.1f} s: KUBECONFIG={KUBECONFIG} ({CONTEXT})")
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
