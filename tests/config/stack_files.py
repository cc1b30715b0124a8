"""Stack files on disk, and the same configuration as the engine hands it to a program."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from config import Given, ServiceFacts, StackConfig, Surroundings, SystemFacts, parse

GIB = 1024**3
SERVICES = {
    "api": ServiceFacts(min_replicas=2, max_replicas=10, default_replicas=2, cpu=1.0, memory=GIB),
    "worker": ServiceFacts(min_replicas=3, max_replicas=15, default_replicas=3, cpu=0.5, memory=GIB),
    "beat": ServiceFacts(min_replicas=1, max_replicas=1, default_replicas=1, cpu=0.25, memory=GIB // 4),
}
CATALOGUE = {
    "ai-review-engine": SystemFacts(services=SERVICES, reserved_env=frozenset({"CELERY_BROKER_URL"})),
    "pliers": SystemFacts(services={"api": SERVICES["api"]}),
}
POLICY_NAMES = ("images-reference-forbid-latest", "replicas-app-require-minimum")
BASE = {
    "ai-platform:environment": "ai-platform:environment: development",
    "ai-platform:platform": "ai-platform:platform: {kind: docker}",
    "ai-platform:systems": "ai-platform:systems: [{name: ai-review-engine}]",
}


class EngineLoader(yaml.SafeLoader):
    """Reads scalars as the engine does: YAML 1.2 truth values, dates as text in Go's notation."""


EngineLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":bool") or first in "tTfF"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def yaml_of(text: str) -> Any:
    """The stack file as data."""
    return yaml.load(text, Loader=EngineLoader)  # noqa: S506 - a subclass of the safe loader


def given(text: str) -> Given:
    """What the engine makes of a stack file: every value as text, secrets decrypted."""
    document = yaml_of(text)
    values: dict[str, str] = {}
    secret_keys: set[str] = set()
    for key, value in document["config"].items():
        found: list[bool] = []
        plain = _decrypted(value, found)
        values[key] = _handed(plain)
        if found:
            secret_keys.add(key)
    return Given(values=values, secret_keys=secret_keys)


def with_base(text: str) -> str:
    """A whole stack file: the keys of `text`, and the shortest good value of each required key that it has not."""
    missing = [line for key, line in BASE.items() if f"{key}:" not in text]
    return "\n".join(["config:", *(f"  {line}" for line in [*missing, *text.strip("\n").splitlines()]), ""])


def read(folder: Path, text: str, stack: str = "dev") -> StackConfig:
    """Write the stack file and load it."""
    (folder / f"Pulumi.{stack}.yaml").write_text(text, encoding="utf-8")
    return parse(given(text), surroundings(folder, stack))


def surroundings(folder: Path, stack: str = "dev") -> Surroundings:
    """The catalogue and the policies of these tests."""
    return Surroundings(stack=stack, root=folder, catalogue=CATALOGUE, policy_names=POLICY_NAMES)


def _decrypted(value: Any, found: list[bool]) -> Any:
    if isinstance(value, dict):
        if list(value) == ["secure"] and isinstance(value["secure"], str):
            found.append(True)
            return value["secure"]
        return {str(key): _decrypted(child, found) for key, child in value.items()}
    if isinstance(value, list):
        return [_decrypted(child, found) for child in value]
    if isinstance(value, date) and not isinstance(value, datetime):
        return f"{value.isoformat()} 00:00:00 +0000 UTC"
    return value


def _handed(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
