"""Commands measured for real, and what is made of the samples."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.measure import MeasurementError, Sample, interleave, part, ratio, run, seconds

MIB = 1024**2
BURN = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
GROW = """
import time
block = bytearray(64 * 1024 * 1024)
while time.process_time() < 0.5: pass
"""


def sample(time: float) -> Sample:
    """A run that took that long."""
    return Sample(seconds=time, cpu=0)


def test_a_command_is_measured_with_its_children(tmp_path: Path) -> None:
    found = run([sys.executable, "-c", BURN, GROW], cwd=tmp_path, env=os.environ, log=tmp_path / "log")
    assert found.seconds >= 0.5
    assert found.cpu >= 0.5
    assert found.memory["other"] >= 64 * MIB


def test_a_command_that_fails_measures_nothing_and_shows_its_end(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="ended with 3:\nno such stack"):
        run(["sh", "-c", "echo no such stack; exit 3"], cwd=tmp_path, env=os.environ, log=tmp_path / "log")


def test_variants_run_in_turn() -> None:
    order: list[str] = []

    def variant(name: str) -> Sample:
        order.append(name)
        return sample(len(order))

    found = interleave({"a": lambda: variant("a"), "b": lambda: variant("b")}, 3)
    assert order == ["a", "b"] * 3
    assert [one.seconds for one in found["b"]] == [2, 4, 6]


def test_a_ratio_compares_runs_that_were_beside_each_other() -> None:
    ours, others = [sample(2), sample(20), sample(4)], [sample(1), sample(10), sample(4)]
    assert ratio(ours, others) == 2
    assert seconds(ours) == 4


@pytest.mark.parametrize(
    ("command_line", "name"),
    [
        ("/x/bin/pulumi preview --stack bench", "CLI"),
        ("python -u /x/toolchain/plugins/program.py --monitor 127.0.0.1:1", "program"),
        ("/x/pulumi-language-python-exec --monitor 127.0.0.1:1", "program"),
        ("python -P -c from toolchain.plugins.docker_provider import main; main()", "plugins"),
        ("python -P -c from toolchain.plugins.language_host import main; main()", "language host"),
        ("python -u -m pulumi.policy 127.0.0.1:1 policies", "policy pack"),
        ("sleep 1", "other"),
    ],
)
def test_processes_are_told_apart_by_their_command_lines(command_line: str, name: str) -> None:
    assert part(command_line) == name
