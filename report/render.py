"""`python -m report.render --stack STACK`: the plain YAML of every Kubernetes object of a stack's plan.

From a preview of an empty state, so that neither a cluster nor the state of the stack is needed. Secrets are left out,
and so is what only the deployment will know: placeholders stand there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from report.manifests import CLUSTER, HIDDEN, LATER, RECORDS, Manifest, manifests
from report.preview import Stack, from_nothing, stack_of
from toolchain import environment
from toolchain.console import step

ROOT = Path(__file__).resolve().parents[1]
RECORDER = ROOT / "report" / "recorder"
RENDERED = ROOT / ".toolchain" / "render"
MARK = ".rendered"
"""Stands in a folder that a rendering made, and that the next one may empty."""


class RenderError(RuntimeError):
    """The stack cannot be rendered; the message says why."""


def render(stack: Stack, root: Path, env: Mapping[str, str]) -> list[Manifest]:
    """The manifests of the stack's plan. Raises RenderError when the preview fails or plans no object."""
    with tempfile.TemporaryDirectory(prefix="render-") as folder:
        records = Path(folder, "records")
        records.touch()
        preview = from_nothing(stack, root, {**env, RECORDS: str(records)}, {}, ("--policy-pack", str(RECORDER)))
        if not preview.succeeded:
            reasons = "\n".join(preview.errors) or "the preview failed without a word"
            raise RenderError(f"the preview of {stack.name} failed:\n{reasons}")
        made = manifests(records.read_text(encoding="utf-8").splitlines())
    if not made:
        raise RenderError(f"the plan of {stack.name} has no Kubernetes objects (its platform is {stack.kind})")
    return made


def write(made: Sequence[Manifest], folder: Path) -> None:
    """Write the manifests into a folder of their own. Raises RenderError for one that holds something else."""
    if folder.exists():
        if not folder.is_dir() or (any(folder.iterdir()) and not (folder / MARK).is_file()):
            raise RenderError(f"{folder} holds something else than a rendering; name an empty folder, or a new one")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARK).write_text("", encoding="utf-8")
    for one in made:
        file = folder / one.path
        file.parent.mkdir(exist_ok=True)
        file.write_text(one.text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None, *, root: Path = ROOT, env: Mapping[str, str] | None = None) -> int:
    """Command line. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m report.render", description=__doc__)
    parser.add_argument("--stack", default="staging", help="default: staging")
    parser.add_argument("--output", type=Path, help="folder; default: .toolchain/render/<stack>")
    options = parser.parse_args(arguments)
    if not (root / f"Pulumi.{options.stack}.yaml").is_file():
        parser.error(f"there is no Pulumi.{options.stack}.yaml")
    folder = (options.output or RENDERED / options.stack).absolute()
    used = env if env is not None else {**os.environ, **environment.exports()}
    try:
        with step(f"preview of {options.stack}"):
            made = render(stack_of(root, options.stack), root, used)
        write(made, folder)
    except RenderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    places = sorted({Path(one.path).parts[0] for one in made} - {CLUSTER})
    print(f"{len(made)} objects in {folder} (namespaces: {', '.join(places) or 'none'}; '{HIDDEN}' and '{LATER}' are")
    print("placeholders for secrets and for what only the deployment knows)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
