"""`python -m report.diagram`: draws docs/architecture.svg from the development stack's own plan.

Every machine draws the same picture: the images are placeholders, so that what this one happens to have makes no
difference. With `--check` nothing is written, and the exit status is 1 when the picture is out of date.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from config.model import Engine
from report.composition import Composition, compose
from report.picture import draw
from report.preview import from_nothing, stack_of
from toolchain import environment

ROOT = Path(__file__).resolve().parents[1]
STACK = "dev"
TARGET = Path("docs/architecture.svg")


class DiagramError(RuntimeError):
    """The plan that the picture shows cannot be made."""


def composition(root: Path, env: Mapping[str, str]) -> Composition:
    """What the development stack deploys where every image can be had. Raises DiagramError."""
    with tempfile.TemporaryDirectory() as folder:
        inventory = Path(folder, "images.json")
        placeholder = {"image": f"sha256:{'0' * 64}", "reference": "placeholder", "source": "built"}
        inventory.write_text(json.dumps(dict.fromkeys(get_args(Engine), placeholder)), encoding="utf-8")
        keys = {"ai-platform:images": {"inventory": str(inventory)}}
        preview = from_nothing(stack_of(root, STACK), root, env, keys)
    if not preview.succeeded:
        reasons = [*preview.errors, *(finding.message for finding in preview.violations)]
        raise DiagramError("the plan of the development stack failed:\n" + "\n".join(reasons))
    return compose(preview.planned)


def main(arguments: Sequence[str] | None = None, *, root: Path = ROOT, env: Mapping[str, str] | None = None) -> int:
    """Command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m report.diagram", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the picture is out of date")
    options = parser.parse_args(arguments)
    try:
        picture = draw(composition(root, env if env is not None else {**os.environ, **environment.exports()}))
    except DiagramError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    target = root / TARGET
    if options.check:
        if target.is_file() and target.read_text(encoding="utf-8") == picture:
            return 0
        print(f"error: {TARGET} is out of date; run `make diagram`", file=sys.stderr)
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(picture, encoding="utf-8")
    print(f"wrote {TARGET}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
