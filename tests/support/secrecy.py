"""The search for secret values: the tests of every platform know their own places, and share these."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.support.deployment import Deployment


def generated(stack: Deployment, *, least: int) -> list[str]:
    """Every password that the program generated, of which there are `least` or more."""
    found = [
        json.loads(resource["outputs"]["result"]["plaintext"])
        for resource in stack.state(show_secrets=True)["deployment"]["resources"]
        if resource["type"] == "random:index/randomPassword:RandomPassword"
    ]
    # A search for something else would find nothing, and say that all is well.
    assert len(found) >= least
    assert all(len(value) >= 32 for value in found)
    return found


def assert_absent(secrets: Iterable[str], text: str, where: str) -> None:
    """Fails with the place only: the value must not get into the test's own output."""
    assert not any(secret in text for secret in secrets), f"a secret stands in {where}"


def assert_unprinted(secrets: Iterable[str], stack: Deployment) -> None:
    """Neither what the commands have printed so far, nor a preview with every difference, shows one."""
    assert_absent(secrets, "\n".join(stack.outputs), "the output of make or pulumi")
    assert_absent(secrets, stack.pulumi("preview", "--diff").output, "the output of a preview")


def assert_unexported(secrets: Iterable[str], stack: Deployment) -> None:
    """The state is exported without one."""
    assert_absent(secrets, stack.pulumi("stack", "export", log=False).output, "the exported state")


def assert_untracked(secrets: Iterable[str], stack: Deployment) -> None:
    """No file that git tracks, or would track, holds one."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=stack.folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, files.split("\0")):
        path = Path(stack.folder, name)
        if path.is_file():
            assert_absent(secrets, path.read_text(encoding="utf-8", errors="replace"), name)
