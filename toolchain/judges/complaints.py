"""What judges say, and what of it the project accepts with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import yaml

from toolchain.console import ToolchainError

FILE: Final = Path(__file__).parent / "judges.yaml"
KEYS: Final = frozenset({"judge", "check", "object", "reason"})


@dataclass(frozen=True, order=True)
class Complaint:
    """One thing that one judge says about one object."""

    judge: str
    check: str
    """The judge's own name of the check."""
    object: str
    """`<namespace>/<Kind>/<name>`; of objects of the whole cluster `/<Kind>/<name>`."""
    text: str

    def __str__(self) -> str:
        return f"{self.judge} {self.check}: {self.object}: {self.text}"


@dataclass(frozen=True)
class Verdict:
    """What one judge came to."""

    judge: str
    judged: int
    """Objects that it knew how to judge."""
    complaints: tuple[Complaint, ...]


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """Complaints that stay, and why."""

    judge: str
    check: str
    object: str
    """Glob over objects."""
    reason: str

    def covers(self, complaint: Complaint) -> bool:
        """It is about this complaint."""
        return (
            self.judge == complaint.judge
            and self.check == complaint.check
            and fnmatchcase(complaint.object, self.object)
        )

    def __str__(self) -> str:
        return f"{self.judge} {self.check} of {self.object}"


def load(file: Path = FILE) -> list[Accepted]:
    """The accepted complaints. Raises ToolchainError for an entry that is not whole, naming it."""
    content: Any = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    if not isinstance(content, dict) or set(content) != {"accepted"} or not isinstance(content["accepted"], list):
        raise ToolchainError(f"{file.name}: must be a list under the key `accepted`")
    found = []
    for index, entry in enumerate(content["accepted"]):
        where = f"{file.name}: accepted[{index}]"
        if not isinstance(entry, dict) or set(entry) != KEYS:
            raise ToolchainError(f"{where} must have exactly the keys {', '.join(sorted(KEYS))}")
        for key in sorted(KEYS):
            if not isinstance(entry[key], str) or not entry[key].strip():
                raise ToolchainError(f"{where}.{key} must be a text")
        found.append(Accepted(**entry))
    return found


def open_complaints(complaints: Iterable[Complaint], accepted: Sequence[Accepted]) -> list[Complaint]:
    """Complaints that no entry covers, sorted."""
    return sorted({one for one in complaints if not any(entry.covers(one) for entry in accepted)})


def stale(complaints: Sequence[Complaint], accepted: Iterable[Accepted]) -> list[Accepted]:
    """Entries that cover no complaint: what they were about is gone."""
    return [entry for entry in accepted if not any(entry.covers(one) for one in complaints)]
