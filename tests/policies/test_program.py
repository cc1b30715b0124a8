"""The program keeps every rule, once all its values are known: what a preview cannot judge yet is judged here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from policies.rules import RULES
from policies.settings import Settings
from policies.subject import CONTAINER, Resource
from policies.values import Sensitive
from tests.policies.support import secret
from tests.support.programs import run
from tests.support.recording import SECRET

BASE: Mapping[str, Any] = {
    "environment": "development",
    "platform": {"kind": "docker"},
    "systems": [{"name": "ai-review-engine"}],
}
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "standard": BASE,
    "inner-loop": {**BASE, "systems": [{"name": "ai-review-engine", "profile": "inner-loop", "source": "app"}]},
}


def marked(value: Any) -> Any:
    """The recorder's marks of secrets as those of the rules."""
    if isinstance(value, str) and value.startswith(SECRET):
        return Sensitive(value.removeprefix(SECRET))
    if isinstance(value, Mapping):
        return {key: marked(child) for key, child in value.items()}
    return [marked(child) for child in value] if isinstance(value, list) else value


def resources(config: Mapping[str, Any], folder: Path) -> list[Resource]:
    """What the program registers; generated passwords are secrets, which the engine learns from the provider's SDK."""
    (folder / "app").mkdir()
    passwords = {
        one.name: {"result": secret(f"generated-for-{one.name}" * 2)}
        for one in run(config, folder).of_type(":RandomPassword")
    }
    return [
        Resource(type=one.type, name=one.name, urn=one.urn, marked=marked(one.inputs))
        for one in run(config, folder, override=passwords).resources
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_the_program_keeps_every_mandatory_rule(profile: str, tmp_path: Path) -> None:
    found, settings = resources(PROFILES[profile], tmp_path), Settings()
    broken = [
        f"{rule.name}: {finding.message}"
        for rule in RULES
        if rule.level == "mandatory"
        for finding in [
            *(finding for one in found for finding in rule.findings(one, settings)),
            *rule.stack_findings(found, settings),
        ]
    ]
    assert broken == []


def test_the_rules_see_the_secrets_of_the_program(tmp_path: Path) -> None:
    databases = [
        entry
        for one in resources(BASE, tmp_path)
        if one.type == CONTAINER and one.service == "api"
        for entry in one.marked["envs"]
        if isinstance(entry, Sensitive) and entry.value.startswith("DATABASE_URL=")
    ]
    assert len(databases) == 2  # noqa: PLR2004 - one for each replica (ARE-008)
