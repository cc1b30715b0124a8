"""The one reader of Pulumi configuration: from the engine's texts to a complete, checked `StackConfig`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import config as ambient

from config.catalogue import Surroundings, SystemFacts
from config.checks import check
from config.report import ConfigError, Finding, Problem, dotted, nearest, set_secret
from config.resolve import StackConfig, resolve
from config.stackfile import NAMESPACE, StackText
from config.translate import add, examine

_TEXTS = ("environment", "domain")
"""Top-level keys whose values are text; the others are mappings or lists, which the engine hands over as JSON."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """Configuration as the engine hands it to the program."""

    values: Mapping[str, str]
    """By full key (`ai-platform:platform`), every value as text."""
    secret_keys: Collection[str] = ()
    """Full keys whose values hold something encrypted."""


def load(*, catalogue: Mapping[str, SystemFacts], policy_names: Collection[str] | None = None) -> StackConfig:
    """The configuration of the stack that runs. Call it before any resource is made.

    Raises ConfigError, which names every problem at once.
    """
    secret_keys = {*ambient.get_config_secret_keys_env(), *ambient._SECRET_KEYS.get()}
    given = Given(values={**ambient.get_config_env(), **ambient.CONFIG.get()}, secret_keys=secret_keys)
    root = Path(pulumi.runtime.get_root_directory() or ".").resolve()
    return parse(
        given,
        Surroundings(stack=pulumi.get_stack(), root=root, catalogue=catalogue, policy_names=policy_names),
    )


def parse(given: Given, around: Surroundings) -> StackConfig:
    """The configuration that the engine has given, checked against the stack file and what surrounds it.

    Raises ConfigError, which names every problem at once.
    """
    source = StackText.read(around.root, around.stack)
    if not source.holds(given.values):
        source = source.without_places()
    raw = {
        key.removeprefix(f"{NAMESPACE}:"): text for key, text in given.values.items() if key.startswith(f"{NAMESPACE}:")
    }
    draft, findings = examine({key: _decode(key, text, source) for key, text in raw.items()})
    more = (_plain_secrets(source, given, around.stack), _stray_secrets(source, given), _namespaces(given))
    for finding in chain(*more, check(draft, around)):
        add(findings, finding)
    if findings:
        raise ConfigError(source.name, [_problem(finding, source, raw.keys()) for finding in findings])
    return resolve(draft.stack, around)


def _decode(key: str, text: str, source: StackText) -> Any:
    """The value that the stack file has, as far as the engine's text shows it."""
    if text == "":
        return None
    if source.is_text(key) and not source.is_typed(key) or not source.has(key) and key in _TEXTS:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _plain_secrets(source: StackText, given: Given, stack: str) -> Iterator[Finding]:
    """Whatever stands under `secrets` must be stored encrypted."""
    full = f"{NAMESPACE}:secrets"
    if full not in given.values:
        return
    for path, encrypted in source.leaves("secrets"):
        if not encrypted:
            problem = "is a secret that is stored in plain text"
            yield Finding(path, problem, f"Make a new one, for this one has been seen. {set_secret(stack, path)}")
    if not source.has("secrets") and full not in given.secret_keys:
        yield Finding(("secrets",), "is stored in plain text", "Set each one with `pulumi config set --path --secret`.")


def _stray_secrets(source: StackText, given: Given) -> Iterator[Finding]:
    """An encrypted value elsewhere would be used, and shown, in plain text."""
    fix = f"Credentials belong under `{NAMESPACE}:secrets`; write anything else in plain text."
    for full in given.secret_keys:
        key = full.removeprefix(f"{NAMESPACE}:")
        if key in (full, "secrets"):
            continue
        encrypted = [path for path, is_encrypted in source.leaves(key) if is_encrypted]
        for path in encrypted or [(key,)]:
            yield Finding(path, "is encrypted, but this key takes no secrets", fix)


def _namespaces(given: Given) -> Iterator[Finding]:
    """A typing error before the colon would make the engine pass the key by."""
    for full in given.values:
        namespace, _, key = full.partition(":")
        if namespace != NAMESPACE and nearest(namespace, [NAMESPACE]) is not None:
            yield Finding((full,), "is not in the namespace of this program", f"Did you mean `{NAMESPACE}:{key}`?")


def _problem(finding: Finding, source: StackText, given: Collection[str]) -> Problem:
    line = source.line(finding.near or finding.path)
    # A key that is missing is missing under `config:`; one that is given elsewhere has no line.
    absent = finding.path[0] not in given and ":" not in str(finding.path[0])
    return Problem(
        key=dotted(finding.path),
        line=source.top if line is None and absent else line,
        problem=finding.problem,
        fix=finding.fix,
    )
