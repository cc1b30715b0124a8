"""Plans for tests: recordings of the real CLI, and single resources made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from report.composition import CONTAINER, NETWORK
from report.events import Planned, Preview, read

RECORDINGS = Path(__file__).parent / "recordings"


def recorded(name: str) -> Preview:
    """The preview of one recording."""
    return read((RECORDINGS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())


def labelled(system: str, service: str, role: str) -> list[dict[str, str]]:
    pairs = {"system": system, "service": service, "role": role}
    return [{"label": f"ai-platform.{key}", "value": value} for key, value in pairs.items()]


def container(name: str, system: str, role: str, networks: list[str], **inputs: Any) -> Planned:
    attached = [{"name": network} for network in networks]
    labels = labelled(system, name, role)
    return Planned(type=CONTAINER, name=name, inputs={"labels": labels, "networksAdvanced": attached, **inputs})


def network(name: str, system: str, service: str, *, internal: bool = True) -> Planned:
    labels = labelled(system, service, "app")
    return Planned(type=NETWORK, name=name, inputs={"name": name, "labels": labels, "internal": internal})
