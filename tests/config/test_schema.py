"""The JSON Schema for editors: committed, up to date, and never stricter than the program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from config.model import StackFile
from config.schema import TARGET, main, render, stack_schema
from systems import CATALOGUE
from tests.config.stack_files import CATALOGUE as TEST_CATALOGUE
from tests.config.stack_files import with_base, yaml_of

ROOT = Path(__file__).resolve().parents[2]
VALIDATOR = Draft202012Validator(stack_schema(TEST_CATALOGUE))


def refusals(text: str) -> list[str]:
    """What the schema has against a stack file."""
    return [error.message for error in VALIDATOR.iter_errors(yaml_of(text))]


def test_the_committed_file_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == render(CATALOGUE), "run `make schema`"


def test_the_command_writes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "docs" / "stack.schema.json"
    monkeypatch.setattr("config.schema.TARGET", target)
    main()
    assert json.loads(target.read_text(encoding="utf-8")) == stack_schema(CATALOGUE)


def test_it_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(stack_schema(CATALOGUE))


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_the_committed_stack_files_fit_it(stack: str) -> None:
    document = yaml_of((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
    assert [error.message for error in Draft202012Validator(stack_schema(CATALOGUE)).iter_errors(document)] == []


def test_it_knows_every_top_level_key() -> None:
    keys = set(stack_schema(CATALOGUE)["properties"]["config"]["properties"])
    assert keys == {f"ai-platform:{info.alias}" for info in StackFile.model_fields.values()}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aws:region: eu-central-1",
        "ai-platform:secrets: {registries: {ghcr.io: {secure: AAA}}}",
        "ai-platform:secrets: {secure: AAA}",
        "ai-platform:systems: [{name: pliers, services: {api: {memory: 1Gi, cpu: 1, env: {A: b}}}}]",
        "ai-platform:tls: {mode: files, certificate: a, key: b}",
    ],
)
def test_it_takes_good_stack_files(text: str) -> None:
    assert refusals(with_base(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "ai-platform:colour: red",
        "ai-platform:environment: prod",
        "ai-platform:platform: {kind: docker, htpPort: 80}",
        "ai-platform:platform: {kind: docker, httpPort: '80'}",
        "ai-platform:systems: []",
        "ai-platform:systems: [{name: unknown}]",
        "ai-platform:systems: [{name: pliers, services: {worker: {}}}]",
        "ai-platform:systems: [{name: ai-review-engine, services: {api: {replicas: 11}}}]",
        "ai-platform:systems: [{name: ai-review-engine, services: {api: {memory: 1GB}}}]",
        "ai-platform:observability: {scrapeInterval: 15}",
        "ai-platform:secrets: {registries: {ghcr.io: plain}}",
        "ai-platform:domain: {secure: AAA}",
    ],
)
def test_it_marks_mistakes(text: str) -> None:
    assert refusals(with_base(text)) != []


def test_every_key_shows_its_documentation() -> None:
    definitions = stack_schema(CATALOGUE)["$defs"]
    for name, definition in definitions.items():
        for key, inside in definition.get("properties", {}).items():
            referred = definitions.get(inside.get("$ref", "").rpartition("/")[2], {})
            assert inside.get("description") or referred.get("description"), f"{name}.{key}"
