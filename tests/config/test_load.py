"""The reader as the program calls it: the ambient configuration of the engine, and how a refusal leaves the program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest
from pulumi import runtime
from pulumi.runtime import config as ambient

from config import ConfigError, load
from tests.config.stack_files import CATALOGUE, POLICY_NAMES, given, with_base


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project's folder, in a program that runs for stack `test`."""
    monkeypatch.setattr(pulumi, "get_stack", lambda: "test")
    monkeypatch.setattr(runtime, "get_root_directory", lambda: str(tmp_path))
    for name in ("PULUMI_CONFIG", "PULUMI_CONFIG_SECRET_KEYS"):
        monkeypatch.delenv(name, raising=False)
    values, secret_keys = ambient.CONFIG.get(), ambient._SECRET_KEYS.get()
    runtime.set_all_config({}, [])
    yield tmp_path
    runtime.set_all_config(values, list(secret_keys))


def write(folder: Path, text: str) -> str:
    """The stack file, and its text."""
    whole = with_base(text)
    (folder / "Pulumi.test.yaml").write_text(whole, encoding="utf-8")
    return whole


def test_it_reads_what_the_language_host_has_set(project: Path) -> None:
    handed = given(write(project, "ai-platform:domain: example.org"))
    runtime.set_all_config(dict(handed.values), list(handed.secret_keys))
    assert load(catalogue=CATALOGUE, policy_names=POLICY_NAMES).domain == "example.org"


def test_it_reads_the_environment_of_the_official_language_host(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handed = given(write(project, "ai-platform:secrets: {systems: {ai-review-engine: {KEY: {secure: hunter2}}}}"))
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(handed.values))
    monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps(list(handed.secret_keys)))
    stack = load(catalogue=CATALOGUE)
    assert stack.secrets_of("ai-review-engine")["KEY"].get_secret_value() == "hunter2"
    assert stack.root == project


def test_a_refusal_names_the_running_stacks_file_and_ends_the_program_without_a_traceback(project: Path) -> None:
    handed = given(write(project, "ai-platform:secrets: {systems: {ai-review-engine: {KEY: hunter2}}}"))
    runtime.set_all_config(dict(handed.values), [])
    with pytest.raises(pulumi.RunError) as caught:
        load(catalogue=CATALOGUE)
    text = str(caught.value)
    assert text.startswith("Pulumi.test.yaml has 1 problem:\n  line 5  secrets.systems.ai-review-engine.KEY: ")
    assert "pulumi config set --stack test --path --secret" in text
    assert "hunter2" not in text


def test_a_program_without_any_configuration_is_told_what_is_missing(project: Path) -> None:
    del project
    with pytest.raises(ConfigError, match=r"Pulumi\.test\.yaml has 3 problems"):
        load(catalogue=CATALOGUE)


def test_policy_names_are_checked_only_when_they_are_known(project: Path) -> None:
    handed = given(write(project, "ai-platform:policies: {levels: {some-policy: advisory}}"))
    runtime.set_all_config(dict(handed.values), [])
    assert load(catalogue=CATALOGUE).policies.levels == {"some-policy": "advisory"}
    with pytest.raises(ConfigError, match="policies.levels.some-policy: is not the name of a policy"):
        load(catalogue=CATALOGUE, policy_names=POLICY_NAMES)
