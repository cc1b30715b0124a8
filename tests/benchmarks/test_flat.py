"""The flat programs register what ours register: otherwise the comparison would say nothing."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.flat import FlatProgram
from benchmarks.programs import services
from benchmarks.recording import graph_of
from benchmarks.workspace import dev_config, docker_config
from tests.support.programs import ROOT, inventory
from tests.support.recording import Graph

STACK = "bench"


def dev() -> None:
    """The project's own program."""
    runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")


@pytest.fixture(params=["services", "dev"])
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> Graph:
    """What our program registers: three services, and the dev stack."""
    config: dict[str, Any] = dev_config() if request.param == "dev" else docker_config(services.NAME)
    config |= {"ai-platform:images": {"inventory": "images.json"}}
    config |= services.config(3) if request.param == "services" else {}
    (tmp_path / "images.json").write_text(json.dumps(inventory()), encoding="utf-8")
    program: Callable[[], None] = dev if request.param == "dev" else services.main
    return graph_of(program, config, stack=STACK, root=tmp_path)


def again(source: str, root: Path) -> Graph:
    """What a flat program registers."""
    return graph_of(lambda: exec(compile(source, "flat", "exec"), {}), {}, stack=STACK, root=root)  # noqa: S102


def test_the_flat_program_registers_the_same_resources(recorded: Graph, tmp_path: Path) -> None:
    flat = again(FlatProgram(recorded, stack=STACK).source(), tmp_path)
    assert {one.urn for one in flat.resources} == {one.urn for one in recorded.resources}
    others = {one.urn: one for one in flat.resources}
    for one in recorded.resources:
        other = others[one.urn]
        assert other.inputs == one.inputs, one.name
        assert other.depends_on == one.depends_on, one.name
        assert other.delete_before_replace == one.delete_before_replace, one.name
    assert flat.outputs == recorded.outputs
    assert flat.exports == recorded.exports


def test_components_can_be_left_out(recorded: Graph, tmp_path: Path) -> None:
    flat = again(FlatProgram(recorded, stack=STACK, components=False).source(), tmp_path)
    assert {one.name for one in flat.resources} == {one.name for one in recorded.resources if one.custom}
    assert all(one.custom for one in flat.resources)


def test_no_made_up_value_is_left_in_the_program(recorded: Graph) -> None:
    source = FlatProgram(recorded, stack=STACK).source()
    assert "generated-" not in source
    assert "-0000000" not in source
    assert "PRIVATE KEY" not in source
