"""Facts about the pipelines, read from the workflow files and from the environment that the tests run in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)")


def workflows(event: str) -> list[dict[str, Any]]:
    """The workflows that an event starts."""
    found = []
    for file in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
        # YAML 1.1 takes the key `on` for a truth value.
        events = workflow.get("on", workflow.get(True)) or {}
        if event in ([events] if isinstance(events, str) else events):
            found.append(workflow)
    return found


def commands(workflow: dict[str, Any]) -> Iterator[str]:
    """Every command of every step."""
    for job in workflow["jobs"].values():
        yield from (str(step["run"]) for step in job.get("steps", []) if "run" in step)


@pytest.mark.fact("ARE-089", stack="CI")
def test_a_push_starts_a_workflow() -> None:
    assert any(list(commands(workflow)) for workflow in workflows("push"))


@pytest.mark.fact("ARE-090", stack="CI")
def test_a_push_runs_what_a_clean_checkout_must_pass() -> None:
    # `.ci/run` builds the images, runs all tests, and deploys to a test environment: the dev stack on the runner.
    assert any(".ci/run" in command for workflow in workflows("push") for command in commands(workflow))
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^make test$", script, re.MULTILINE)
    assert any((ROOT / "tests" / "docker").glob("test_*.py"))


@pytest.mark.fact("ARE-093", stack="CI")
def test_plan_and_verdict_are_posted_on_the_pull_request() -> None:
    reporting = [one for one in workflows("pull_request") if any("pr-report" in command for command in commands(one))]
    assert reporting
    permissions = [one.get("permissions") for one in reporting]
    permissions += [job.get("permissions") for one in reporting for job in one["jobs"].values()]
    assert any(isinstance(each, dict) and each.get("pull-requests") == "write" for each in permissions)


@pytest.mark.fact("ARE-094", stack="CI")
def test_the_development_dependencies_are_installed_as_pinned() -> None:
    pins = PIN.findall((ROOT / "requirements-dev.txt").read_text(encoding="utf-8"))
    assert {"pytest", "ruff", "mypy"} <= {name for name, _ in pins}
    assert {name: version(name) for name, _ in pins} == dict(pins)
