"""Every key of a stack file can be wrong: each case is refused with file, line, key, problem and fix.

The cases stand in `broken/*.yaml`, one document each, after a line `# refused: <key> | <words of the message> …`.
`# <-` marks the line that the message must name. Where a secret stands in a wrong place, it reads `hunter2`.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from config import ConfigError
from config.model import StackFile, Tls
from config.places import Platform
from config.strict import Model
from tests.config.stack_files import read, with_base

PLANTED = "hunter2"
MARK = "# <-"
FEWEST = 30


@dataclass(frozen=True)
class Broken:
    """A broken stack file."""

    key: str
    words: tuple[str, ...]
    text: str

    @property
    def line(self) -> int | None:
        """The marked line of the whole file."""
        marked = [number for number, line in enumerate(self.text.splitlines(), 1) if line.endswith(MARK)]
        return marked[0] if marked else None


def cases() -> Iterator[Broken]:
    """Every document of every file."""
    for file in sorted((Path(__file__).parent / "broken").glob("*.yaml")):
        for document in file.read_text(encoding="utf-8").split("\n---\n"):
            head, _, body = document.strip("\n").partition("\n")
            key, *words = head.removeprefix("# refused: ").split(" | ")
            yield Broken(key, tuple(words), with_base(body))


CASES = list(cases())


def keys_of(model: Any, path: str = "") -> Iterator[str]:
    """Every key that a model knows, each element of a list as `[]`, each entry of a mapping as `*`."""
    if isinstance(model, type) and issubclass(model, Model):
        for name, info in model.model_fields.items():
            below = f"{path}.{info.alias or name}".lstrip(".")
            yield below
            yield from keys_of(info.annotation, below)
    elif get_origin(model) is tuple:
        yield f"{path}[]"
        yield from keys_of(get_args(model)[0], f"{path}[]")
    elif isinstance(get_origin(model), type) and issubclass(get_origin(model), Mapping):
        yield f"{path}.*"
        yield from keys_of(get_args(model)[1], f"{path}.*")
    elif get_origin(model) is not Literal:
        for member in get_args(model):
            yield from keys_of(member, path)


def pattern(key: str) -> str:
    """The key of a case as `keys_of` writes it."""
    key = re.sub(r"\[\d+\]", "[]", key)
    key = re.sub(r"\[\".*?\"\]", ".*", key)
    for mapping in ("services", "env", "engines", "levels", r"secrets\.systems", r"secrets\.systems\.\*"):
        key = re.sub(rf"(^|\.)({mapping})\.[^.]+", r"\1\2.*", key)
    return key


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.key}: {case.words[0]}")
def test_it_is_refused_with_file_line_key_problem_and_fix(case: Broken, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, case.text)
    (problem,) = caught.value.problems
    assert problem.key == case.key
    assert problem.problem and problem.fix.endswith((".", "?"))
    said = f"{problem.problem}. {problem.fix}"
    assert [word for word in case.words if word not in said] == [], said
    assert problem.line == (case.line or 1)
    text = str(caught.value)
    assert text.startswith("Pulumi.dev.yaml has 1 problem:\n")
    assert f"line {problem.line}  {problem.key}: {said}" in text


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.key}: {case.words[0]}")
def test_no_message_repeats_what_may_be_a_secret(case: Broken, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, case.text)
    assert PLANTED not in "".join(traceback.format_exception(caught.value))


def test_every_key_has_a_broken_example() -> None:
    covered = {pattern(case.key) for case in CASES}
    keys = set(keys_of(StackFile))
    # The walk itself: top-level keys, variants of a union, lists, mappings, and what lies in them.
    assert {"platform.vpcCidr", "registries[]", "systems[].services.*.env.*", "secrets.systems.*.*"} <= keys
    assert sorted(keys - covered) == []
    assert len(CASES) >= FEWEST


def test_every_variant_of_a_key_has_a_broken_example() -> None:
    """Keys that several platforms or kinds of certificates have count once each."""
    texts = [case.text for case in CASES]
    for word, variants in (("kind", Platform), ("mode", Tls)):
        for variant in get_args(variants):
            tag = get_args(variant.model_fields[word].annotation)[0]
            assert [text for text in texts if re.search(rf"\b{word}: {tag}\b", text)], tag


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
config:
  ai-platform:environment: prod
  ai-platform:platform:
    kind: docker
    httpPort: "80"
  ai-platform:systems:
    - profile: standard
    - name: pliers
      services: {api: {replicas: 11}}
    - name: ai-review-engine
      services:
        api: {replicas: 1, memory: 1GB}
        beat: {replicas: 2}
  ai-platform:registries:
    - {address: "not a registry", username: one}
    - {address: ghcr.io, username: two}
  ai-platform:policies:
    exemptions:
      - {policy: images-reference-forbid-latest}
      - {policy: unknown, resource: a, reason: long enough, owner: a, expires: 2027-01-01}
"""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (2, "environment"),
        (5, "platform.httpPort"),
        (7, "systems[0].name"),
        (9, "systems[1].services.api.replicas"),
        (12, "systems[2].services.api.memory"),
        (12, "systems[2].services.api.replicas"),
        (13, "systems[2].services.beat.replicas"),
        (15, "registries[0].address"),
        (16, 'secrets.registries["ghcr.io"]'),
        (19, "policies.exemptions[0].resource"),
        (19, "policies.exemptions[0].reason"),
        (19, "policies.exemptions[0].owner"),
        (19, "policies.exemptions[0].expires"),
        (20, "policies.exemptions[1].policy"),
    ]


def test_a_stack_file_without_any_key_names_the_required_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "config: {}\n")
    assert [problem.key for problem in caught.value.problems] == ["environment", "platform", "systems"]


def test_a_secret_in_the_place_of_a_name_is_not_proposed_as_a_name(tmp_path: Path) -> None:
    text = "ai-platform:systems: [{name: hunter2}]\nai-platform:secrets: {systems: {pliers: {KEY: {secure: hunter2}}}}"
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, with_base(text))
    assert [problem.key for problem in caught.value.problems] == ["systems[0].name", "secrets.systems.pliers"]
    assert PLANTED not in str(caught.value)


def test_a_broken_entry_at_the_end_of_a_list_causes_no_second_problem(tmp_path: Path) -> None:
    text = """
ai-platform:systems: [{name: ai-review-engine}, {name: pliers, colour: red, services: []}]
ai-platform:registries: [{address: ghcr.io}]
ai-platform:secrets: {registries: {ghcr.io: {secure: A}}, systems: {pliers: {KEY: {secure: A}}}}
"""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, with_base(text))
    assert [problem.key for problem in caught.value.problems] == [
        "systems[1].services",
        "systems[1].colour",
        "registries[0].username",
    ]
