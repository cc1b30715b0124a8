"""What the tests with a fact's mark came to: each pytest run leaves a file, and the newest result of a test counts.

A result counts for the code that it was seen on: it is stored with a fingerprint of the program and of its test file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(".state/conformance")
PROGRAM: Final = (
    "__main__.py",
    "components",
    "config",
    "examples/app",
    "platforms",
    "policies",
    "systems",
    "toolchain",
)
"""What a deployment follows from; stack files are left out, since deploying writes to them."""
TEXTS: Final = {".py", ".sql", ".yml", ".yaml", ".toml", ".txt", ".sh", ".conf", ".html", ".css", ".mod", ".sum", ""}


@dataclass(frozen=True)
class Result:
    """One test's outcome."""

    test: str
    """Node id."""
    facts: tuple[str, ...]
    """Each a number and a place, such as `ARE-015 D`."""
    outcome: str
    """`passed`, `failed` or `skipped`."""
    reason: str
    """Why it was skipped, or the last line of its failure."""
    code: str
    """Fingerprint of program and test file."""

    @property
    def file(self) -> str:
        """The test's file, relative to the repository."""
        return self.test.partition("::")[0]


def save(root: Path, results: Iterable[Result]) -> None:
    """Write the results of one run, and remove files in which nothing counts any more."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    target = folder / f"{now}-{os.getpid()}.json"
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps([asdict(one) for one in results], indent=1), encoding="utf-8")
    partial.replace(target)
    newer: set[str] = set()
    for file in sorted(folder.glob("*.json"), reverse=True):
        tests = {one.test for one in _read(file)}
        if tests <= newer:
            file.unlink(missing_ok=True)
        newer |= tests


def load(root: Path) -> list[Result]:
    """The newest result of each test, by node id."""
    latest: dict[str, Result] = {}
    for file in sorted((root / FOLDER).glob("*.json")):
        latest |= {one.test: one for one in _read(file)}
    return [latest[test] for test in sorted(latest)]


def fingerprint(root: Path, test_file: str) -> str:
    """Changes with the program, and with the test's own file."""
    digest = hashlib.sha256(_program(root).encode())
    file = root / test_file
    digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()[:16]


@cache
def _program(root: Path) -> str:
    digest = hashlib.sha256()
    for name in PROGRAM:
        top = root / name
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if file.is_file() and file.suffix in TEXTS and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(root)}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _read(file: Path) -> list[Result]:
    try:
        return [Result(**{**entry, "facts": tuple(entry["facts"])}) for entry in json.loads(file.read_bytes())]
    except (OSError, ValueError, TypeError, KeyError):
        # Half a file of a run that was killed, or one of an older version: it shows nothing.
        return []
