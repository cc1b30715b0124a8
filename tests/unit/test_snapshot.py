"""The whole graph of each stack as one file, reviewed like code.

`UPDATE_SNAPSHOTS=1 pytest tests/unit/test_snapshot.py` writes it anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.programs import run, tracked
from tests.support.recording import SECRET, Graph

FOLDER = Path(__file__).parent / "snapshots"
INNER_LOOP = [{"name": "ai-review-engine", "profile": "inner-loop", "source": "."}]
STACKS: dict[str, tuple[str, dict[str, Any]]] = {
    "dev": ("dev", {}),
    "dev-inner-loop": ("dev", {"systems": INNER_LOOP}),
    "staging": ("staging", {}),
}
"""File → tracked stack, and what is different."""


def normal(graph: Graph, folder: Path) -> list[dict[str, Any]]:
    """Resources by name, with what decides how they are deployed; secrets and this machine's paths left out."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(child) for key, child in sorted(value.items())}
        if isinstance(value, list):
            return [plain(child) for child in value]
        if isinstance(value, str):
            # Certificates follow from the seed alone; their bytes would only hide what is worth reading.
            short = value if "-----BEGIN" not in value else "[certificate]"
            return SECRET.strip() if short.startswith(SECRET) else short.replace(str(folder), "[project]")
        return value

    rows = [
        {
            "name": one.name,
            "type": one.type,
            "parent": one.parent.rsplit("::", 1)[-1],
            "after": sorted(urn.rsplit("::", 1)[-1] for urn in one.depends_on),
            "deleteBeforeReplace": one.delete_before_replace,
            "retainOnDelete": one.retain_on_delete,
            "inputs": plain(one.inputs),
        }
        for one in graph.resources
    ]
    return sorted(rows, key=lambda row: (row["name"], row["type"]))


@pytest.mark.parametrize("name", sorted(STACKS))
def test_the_graph_is_the_one_that_was_reviewed(name: str, tmp_path: Path) -> None:
    stack, changes = STACKS[name]
    graph = run(tracked(stack) | changes, tmp_path, stack=stack)
    text = yaml.safe_dump(normal(graph, tmp_path), sort_keys=False, width=120, allow_unicode=True)
    file = FOLDER / f"{name}.yaml"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), "look at the difference, then write the snapshot anew"
