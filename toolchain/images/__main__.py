"""`python -m toolchain.images`: get every image and write the inventory of this machine."""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from toolchain.console import ToolchainError, say
from toolchain.engine import client
from toolchain.images.catalog import CATALOG
from toolchain.images.workshop import Entry, Workshop
from toolchain.paths import INVENTORY

WORKERS = 2
"""Builds at a time: each keeps about one core and the disk busy."""

ASK_TIMEOUT = 10
"""Seconds that a registry has for its first answer."""


def prepare(names: list[str], *, ask: bool) -> dict[str, Entry]:
    """Get the named images and write them to the inventory; returns the whole inventory.

    Raises ToolchainError when one that can be built was not.
    """
    inventory = read_inventory()
    known = {image.name: image for image in CATALOG if not image.internal}
    if unknown := sorted(set(names) - set(known)):
        raise ToolchainError(f"no such image: {', '.join(unknown)}; there are: {', '.join(known)}")
    if not ask:
        names = [name for name in names if inventory.get(name, {}).get("source") != "missing"]
    workshop = Workshop(client(), client(timeout=ASK_TIMEOUT), ask=ask)
    with ThreadPoolExecutor(WORKERS) as pool:
        for name, entry in zip(names, pool.map(workshop.get, names), strict=True):
            inventory[name] = entry
            _write({key: inventory[key] for key in known if key in inventory})
    return inventory


def read_inventory() -> dict[str, Entry]:
    """The inventory of this machine, empty where there is none yet or it was cut short."""
    try:
        entries: dict[str, Entry] = json.loads(INVENTORY.read_text())
    except (OSError, ValueError):
        return {}
    return entries


def _write(inventory: dict[str, Entry]) -> None:
    INVENTORY.parent.mkdir(parents=True, exist_ok=True)
    partial = INVENTORY.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(inventory, indent=2) + "\n")
    partial.replace(INVENTORY)


def main() -> int:
    """Command line; exit status 1 with a message when an image cannot be had that should."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.images", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="images to get (default: all)")
    parser.add_argument("--keep", action="store_true", help="take what the engine has before asking a registry")
    parser.add_argument("--quiet", action="store_true", help="list only what could not be had")
    options = parser.parse_args()
    names = options.names or [image.name for image in CATALOG if not image.internal]
    try:
        inventory = prepare(names, ask=not options.keep)
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name in names:
        entry = inventory[name]
        if options.quiet and entry["source"] != "missing":
            continue
        note = f"not to be had: {entry['reason']}" if entry["source"] == "missing" else f"{entry['version']}"
        say(f"{name:<18} {entry['source']:<8} {note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
