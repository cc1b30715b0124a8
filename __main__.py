"""Deploys the systems of one stack: load the configuration, pick the platform, compose, export."""

from __future__ import annotations

import pulumi

from components.foundation import Foundation, FoundationArgs
from config import load
from platforms.outputs import settle_in_bulk
from platforms.registry import make_platform
from platforms.whole import whole
from policies.names import POLICY_NAMES
from systems import CATALOGUE, deploy
from toolchain.leftovers import refuse_leftovers


def main() -> None:
    """Deploy the current stack. What it raises, it raises before any resource is made."""
    stack = load(catalogue=CATALOGUE, policy_names=POLICY_NAMES)
    refuse_leftovers(pulumi.get_stack())
    platform = make_platform(stack, pulumi.get_stack())
    foundation = Foundation("foundation", FoundationArgs(domain=stack.domain), platform)
    urls = {system.name: deploy(system, stack, foundation) for system in stack.systems}
    foundation.open()
    pulumi.export("urls", urls)
    pulumi.export("caCertificate", foundation.authority)
    settle_in_bulk()


if __name__ == "__main__":
    with whole():
        main()
