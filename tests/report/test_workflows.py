"""The workflows: well-formed, with the least rights, and calling only what is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from report.markdown import MARKER

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "workflows"
NAMES = sorted(file.name for file in FOLDER.glob("*.yml"))
TARGET = re.compile(r"\bmake (?:--[\w-]+ )*([a-z][a-z-]*)")
READS = {"contents": "read"}


def workflow(name: str) -> dict[Any, Any]:
    content = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def steps(name: str) -> Iterator[dict[str, Any]]:
    for job in workflow(name)["jobs"].values():
        yield from job.get("steps", ())


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_the_workflows_are_there() -> None:
    assert NAMES == ["ci.yml", "deploy.yml", "release.yml"]


@pytest.mark.parametrize("name", NAMES)
def test_every_step_does_something(name: str) -> None:
    for step in steps(name):
        assert ("run" in step) != ("uses" in step)


@pytest.mark.parametrize("name", NAMES)
def test_every_make_target_that_is_called_exists(name: str) -> None:
    called = {target for step in steps(name) for target in TARGET.findall(step.get("run", ""))}
    assert called <= targets()
    assert called or name == "release.yml"


@pytest.mark.parametrize(
    "file",
    ["CONTRIBUTING.md", "CHANGELOG.md", *sorted(str(one.relative_to(ROOT)) for one in ROOT.glob("docs/adr/*.md"))],
)
def test_every_make_target_in_the_documentation_exists(file: str) -> None:
    spans = re.findall(r"`([^`\n]+)`", (ROOT / file).read_text(encoding="utf-8"))
    assert {target for span in spans for target in re.findall(r"^make ([a-z][a-z-]*)", span)} <= targets()


@pytest.mark.parametrize("name", NAMES)
def test_scripts_and_local_workflows_that_are_called_exist(name: str) -> None:
    for step in steps(name):
        for script in re.findall(r"(?<![\w/])(\.ci/\w+)", step.get("run", "")):
            assert (ROOT / script).is_file()
    for job in workflow(name)["jobs"].values():
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file()


@pytest.mark.parametrize("name", NAMES)
def test_actions_are_pinned_at_least_by_major_version(name: str) -> None:
    for step in steps(name):
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@(v\d+|[0-9a-f]{40})", step["uses"])


@pytest.mark.parametrize("name", NAMES)
def test_every_workflow_starts_with_the_right_to_read_only(name: str) -> None:
    assert workflow(name)["permissions"] == READS


@pytest.mark.parametrize("name", NAMES)
def test_every_job_ends_some_time(name: str) -> None:
    assert all("timeout-minutes" in job or "uses" in job for job in workflow(name)["jobs"].values())


def test_what_runs_code_of_a_pull_request_has_neither_secrets_nor_the_right_to_write() -> None:
    text = (FOLDER / "ci.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    events = workflow("ci.yml")[True]  # YAML 1.1 takes the key `on` for a truth value.
    assert "pull_request_target" not in events
    assert "workflow_run" not in events
    for job in workflow("ci.yml")["jobs"].values():
        if any(step.get("uses", "").startswith("actions/checkout@") for step in job["steps"]):
            assert "permissions" not in job


def test_only_the_job_that_comments_may_write_and_it_runs_no_code_of_the_pull_request() -> None:
    writing = {name: job for name, job in workflow("ci.yml")["jobs"].items() if "permissions" in job}
    assert list(writing) == ["comment"]
    job = writing["comment"]
    assert job["permissions"] == {"pull-requests": "write"}
    assert "head.repo.full_name == github.repository" in job["if"]
    assert [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step] == ["actions/download-artifact"]
    # What the event says of the pull request reaches the shell by variables only.
    assert all("${{" not in step["run"] for step in job["steps"] if "run" in step)


def test_the_comment_is_found_by_the_reports_own_marker() -> None:
    (step,) = [one for one in workflow("ci.yml")["jobs"]["comment"]["steps"] if "run" in one]
    assert MARKER in step["run"]


def test_checkouts_leave_no_token_behind() -> None:
    for name in NAMES:
        for step in steps(name):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_expressions_stay_out_of_shell_commands() -> None:
    for name in NAMES:
        assert all("${{" not in step.get("run", "") for step in steps(name))


def test_a_release_tag_is_built_and_tested_then_staged_then_taken_to_production() -> None:
    release = workflow("release.yml")
    assert release[True] == {"push": {"tags": ["v*"]}}
    jobs = release["jobs"]
    assert any(".ci/run" in step.get("run", "") for step in jobs["build"]["steps"])
    assert (jobs["staging"]["needs"], jobs["prod"]["needs"]) == ("build", "staging")
    assert [jobs[name]["with"]["stack"] for name in ("staging", "prod")] == ["staging", "prod"]
    assert release["concurrency"]["cancel-in-progress"] is False


def test_a_deployment_runs_in_the_protected_environment_of_its_stack() -> None:
    job = workflow("deploy.yml")["jobs"]["deploy"]
    assert job["environment"] == "${{ inputs.stack }}"
    commands = [step["run"] for step in job["steps"] if "run" in step]
    order = [
        next(i for i, command in enumerate(commands) if one in command) for one in ("refresh", "preview", "make up")
    ]
    assert order == sorted(order)


def test_hooks_run_the_tools_of_the_virtual_environment() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]
    assert {hook["entry"].split()[0] for hook in hooks[0]["hooks"]} == {
        ".venv/bin/ruff",
        ".venv/bin/mypy",
        ".venv/bin/pytest",
    }
