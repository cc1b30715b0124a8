"""`python -m toolchain.judges FOLDER`: asks every judge about rendered manifests. Exit status 1 when one objects."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from toolchain.console import ToolchainError, step
from toolchain.judges.complaints import Verdict, load, open_complaints, stale
from toolchain.judges.panel import JUDGES


def judge(folder: Path) -> list[Verdict]:
    """What all judges say. Raises ToolchainError for one that fails, or that found nothing to judge."""
    verdicts = []
    for name, asked in JUDGES.items():
        with step(name):
            verdict = asked(folder.absolute())
            if not verdict.judged:
                raise ToolchainError(f"{name} found nothing to judge in {folder}")
            verdicts.append(verdict)
    return verdicts


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.judges", description=__doc__)
    parser.add_argument("folder", type=Path, help="as `make render` made it")
    options = parser.parse_args(arguments)
    try:
        accepted = load()
        verdicts = judge(options.folder)
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    complaints = [one for verdict in verdicts for one in verdict.complaints]
    left, unneeded = open_complaints(complaints, accepted), stale(complaints, accepted)
    for verdict in verdicts:
        mine = [one for one in left if one.judge == verdict.judge]
        kept = len(set(verdict.complaints)) - len(mine)
        print(f"{verdict.judge}: {verdict.judged} objects, {len(mine)} complaints, {kept} accepted")
    for one in left:
        print(f"  {one}")
    for entry in unneeded:
        print(f"  judges.yaml: the entry for {entry} matches nothing; remove it")
    return int(bool(left or unneeded))


if __name__ == "__main__":
    sys.exit(main())
