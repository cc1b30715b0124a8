"""`python -m report`: previews every stack and writes what a reviewer needs to know, as Markdown.

Exit status 1 when a stack that this version can deploy would violate a policy or fails to preview.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from report import markdown
from report.preview import run, stack_of, stacks
from toolchain import environment

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: Sequence[str] | None = None, *, root: Path = ROOT, env: Mapping[str, str] | None = None) -> int:
    """Command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m report", description=__doc__)
    parser.add_argument("--output", type=Path, help="also write the report to this file")
    parser.add_argument("--stack", action="append", help="only this stack (may be given several times)")
    parser.add_argument("--revision", help="what was previewed, for the heading; for example a commit")
    options = parser.parse_args(arguments)
    missing = [name for name in options.stack or [] if not (root / f"Pulumi.{name}.yaml").is_file()]
    if missing:
        parser.error(f"there is no Pulumi.{missing[0]}.yaml")
    chosen = [stack_of(root, name) for name in options.stack] if options.stack else stacks(root)
    results = []
    for stack in chosen:
        print(f"→ preview of {stack.name} …", file=sys.stderr, flush=True)
        results.append(run(stack, root, env if env is not None else {**os.environ, **environment.exports()}))
    text = markdown.render(results, revision=options.revision)
    sys.stdout.write(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    return int(not results or any(result.failed for result in results))


if __name__ == "__main__":
    sys.exit(main())
