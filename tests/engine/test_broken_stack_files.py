"""Broken stack files in the real engine: `pulumi up` refuses each one in words, and makes nothing.

The cases are those of `tests/config/broken`, but for what only another catalogue or a real ciphertext can show.
"""

from __future__ import annotations

from typing import Any

import docker
import pytest

from tests.config.test_broken_stack_files import CASES, PLANTED, Broken
from tests.engine.project import STACK, Project
from tests.support.engine import answering

FEWEST = 25
OTHERS = "api, worker, beat"
"""Services of the other catalogue, in its order."""
USABLE = [case for case in CASES if not ("pliers" in case.text or "secure:" in case.text or OTHERS in case.words)][::3]
"""Every third: an engine's start a case is enough."""


@pytest.fixture(scope="module")
def engine() -> docker.DockerClient:
    """The Docker engine that must stay untouched."""
    return answering()


def test_there_are_enough_cases() -> None:
    assert len(USABLE) >= FEWEST


@pytest.mark.parametrize("case", USABLE, ids=lambda case: f"{case.key}: {case.words[0]}")
def test_up_refuses_it_and_makes_nothing(case: Broken, project: Project, engine: docker.DockerClient) -> None:
    # The cases are written for the stack dev.
    project.configure(case.text.replace("Pulumi.dev.yaml", "Pulumi.yaml"))
    words = [word.replace("--stack dev", f"--stack {STACK}") for word in case.words]
    refused = project.pulumi("up", "--yes", "--skip-preview", "--stack", STACK)
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0, said
    assert f"Pulumi.{STACK}.yaml has 1 problem:" in said
    assert f"line {case.line or 1}  {case.key}: " in said
    assert [word for word in words if word not in said] == []
    assert PLANTED not in said
    assert "Traceback" not in said
    assert project.resources() in ([], ["pulumi:pulumi:Stack"])
    mine: Any = {"label": f"ai-platform.stack={STACK}"}
    assert not engine.containers.list(all=True, filters=mine)
    assert not engine.networks.list(filters=mine)
    assert not engine.volumes.list(filters=mine)
