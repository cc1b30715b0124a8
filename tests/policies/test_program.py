"""The program keeps every rule, once all its values are known: what a preview cannot judge yet is judged here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from policies.kubernetes import PODS
from policies.objects import SECRET
from policies.rules import RULES
from policies.settings import Settings
from policies.subject import CONTAINER, Resource
from policies.values import Sensitive
from tests.policies.support import secret
from tests.support.programs import run, tracked
from tests.support.recording import SECRET as SECRET_MARK

BASE: Mapping[str, Any] = {
    "environment": "development",
    "platform": {"kind": "docker"},
    "systems": [{"name": "ai-review-engine"}],
}
STAGING = tracked("staging")
KEYS = {"accessKeyId": {"secure": "an-id-of-theirs"}, "secretAccessKey": {"secure": "a-key-of-theirs"}}
PULLED = {
    name: f"registry.example/{name}:8.19.4"
    for name in (
        "pgbouncer",
        "elasticsearch",
        "kibana",
        "fluent-bit",
        "app",
        "postgres-cnpg",
        "celery-exporter",
        "backup",
    )
}
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "standard": BASE,
    "staging": STAGING,
    "staging behind plain ingresses": STAGING
    | {"platform": STAGING["platform"] | {"gateway": {"kind": "ingress"}, "autoscaler": "hpa"}},
    "staging with a pool and a bucket, where operators are installed": STAGING
    | {
        "platform": {"kind": "kubernetes", "context": "mine", "autoscaler": "keda"},
        "data": {"postgres": {"pooler": True}},
        "backups": {"objectStore": {"bucket": "acme-backups", "generation": 2, "recovery": {"generation": 1}}},
        "secrets": {"objectStore": KEYS},
        "images": {"engines": PULLED},
    },
    "inner-loop": {**BASE, "systems": [{"name": "ai-review-engine", "profile": "inner-loop", "source": "app"}]},
}


def marked(value: Any) -> Any:
    """The recorder's marks of secrets as those of the rules."""
    if isinstance(value, str) and value.startswith(SECRET_MARK):
        return Sensitive(value.removeprefix(SECRET_MARK))
    if isinstance(value, Mapping):
        return {key: marked(child) for key, child in value.items()}
    return [marked(child) for child in value] if isinstance(value, list) else value


def resources(config: Mapping[str, Any], folder: Path, stack: str = "dev") -> list[Resource]:
    """What the program registers; generated passwords are secrets, which the engine learns from the provider's SDK."""
    (folder / "app").mkdir()
    passwords = {
        one.name: {"result": secret(f"generated-for-{one.name}" * 2)}
        for one in run(config, folder, stack=stack).of_type(":RandomPassword")
    }
    return [
        Resource(type=one.type, name=one.name, urn=one.urn, marked=marked(one.inputs))
        for one in run(config, folder, stack=stack, override=passwords).resources
    ]


def broken(found: list[Resource]) -> list[tuple[str, str]]:
    """Mandatory rules that are broken, each with its finding."""
    settings = Settings()
    return [
        (rule.name, finding.message)
        for rule in RULES
        if rule.level == "mandatory"
        for finding in [
            *(finding for one in found for finding in rule.findings(one, settings)),
            *rule.stack_findings(found, settings),
        ]
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_the_program_keeps_every_mandatory_rule(profile: str, tmp_path: Path) -> None:
    stack = "staging" if profile.startswith("staging") else "dev"
    assert broken(resources(PROFILES[profile], tmp_path, stack)) == []


def test_what_reads_the_nodes_logs_needs_three_exemptions_and_nothing_else_does(tmp_path: Path) -> None:
    """Whoever asks for collected logs allows them in the stack file, with a reason and a last day."""
    logs = {"observability": {"logs": {"store": "elasticsearch"}}}
    images = {"images": {"inventory": "images.json", "engines": PULLED}}
    found = broken(resources(STAGING | logs | images, tmp_path, "staging"))
    assert {name for name, _ in found} == {
        "security-mount-forbid-host",
        "security-container-require-user",
        "security-namespace-require-level",
    }
    assert [message for _, message in found if "ai-review-engine-observability-logs-" not in message] == []


def test_the_rules_see_the_pods_of_the_program(tmp_path: Path) -> None:
    found = resources(PROFILES["staging"], tmp_path, "staging")
    pods = {one.service: one.containers for one in found if one.type in PODS}
    assert {"api", "web", "dashboard", "worker", "beat", "redis"} <= set(pods)
    assert all(containers for containers in pods.values())
    held = [value for one in found if one.type == SECRET for value in one.marked["stringData"].values()]
    assert held
    assert all(isinstance(value, Sensitive) for value in held)


def test_the_rules_see_the_secrets_of_the_program(tmp_path: Path) -> None:
    databases = [
        entry
        for one in resources(BASE, tmp_path)
        if one.type == CONTAINER and one.service == "api"
        for entry in one.marked["envs"]
        if isinstance(entry, Sensitive) and entry.value.startswith("DATABASE_URL=")
    ]
    assert len(databases) == 2  # noqa: PLR2004 - one for each replica (ARE-008)
