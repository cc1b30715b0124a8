"""Git clean filter: a stack file without the machine's own `encryptionsalt`, unless the file holds secrets.

The salt belongs to a passphrase that is never committed; with secrets in the file it is theirs and stays
(docs/adr/0003-state-backend-and-passphrase.md).
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from toolchain.paths import ROOT

SALT = re.compile(r"(?m)^encryptionsalt:.*\n?")
SECRET = re.compile(r"(?m)^\s+secure: ")
CLEAN = "PYTHONPATH=. python3 -m toolchain.stack_filter"


def clean(text: str) -> str:
    """What git is to see of a stack file."""
    return text if SECRET.search(text) else SALT.sub("", text)


def configure() -> None:
    """Set the filter that `.gitattributes` names in this clone's own `.git/config`; nothing outside a clone."""
    inside = subprocess.run(["git", "rev-parse", "--git-dir"], cwd=ROOT, capture_output=True, check=False)
    if inside.returncode == 0:
        subprocess.run(["git", "config", "--local", "filter.stack-salt.clean", CLEAN], cwd=ROOT, check=True)


def settle(stack: str, root: Path = ROOT) -> None:
    """Tell git's index the size of a stack file that differs from it by the salt alone.

    Git calls a file modified by its size before it asks a filter. Edits of the user's own are not staged.
    """
    name = f"Pulumi.{stack}.yaml"
    tracked = subprocess.run(["git", "ls-files", "--error-unmatch", name], cwd=root, capture_output=True, check=False)
    if tracked.returncode != 0:
        return
    if subprocess.run(["git", "diff", "--quiet", "--", name], cwd=root, check=False).returncode == 0:
        subprocess.run(["git", "update-index", "--", name], cwd=root, check=False)


if __name__ == "__main__":
    sys.stdout.write(clean(sys.stdin.read()))
