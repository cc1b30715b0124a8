"""Levels and exemptions: what they change, what they cannot change, and that they are seen."""

from __future__ import annotations

from datetime import date

import pytest

from policies.engine import subject
from policies.kubernetes import DEPLOYMENT
from policies.rule import Finding, Rule
from policies.rules import RULES
from policies.settings import Exemption, Settings
from tests.policies.support import MISSING, RULES_BY_NAME, args, container, workload

TODAY = date(2026, 11, 21)
RULE = "resources-container-limit-memory"
LOCKED = [rule.name for rule in RULES if rule.locked]


def exemption(**changes: object) -> Exemption:
    fields: dict[str, object] = {
        "policy": RULE,
        "resource": "shop-*",
        "reason": "measured in load test 7",
        "owner": "team-a",
        "expires": date(2026, 12, 31),
    }
    return Exemption(**(fields | changes))  # type: ignore[arg-type]


def settings(*exemptions: Exemption, **levels: str) -> Settings:
    return Settings(exemptions=exemptions, today=TODAY, levels={k.replace("_", "-"): v for k, v in levels.items()})


def finding(rule: Rule, **changes: object) -> Finding:
    return rule.findings(subject(args(container(**({"memory": MISSING} | changes)))), Settings())[0]


def verdict(*exemptions: Exemption) -> str | None:
    rule = RULES_BY_NAME[RULE]
    return rule.verdict(finding(rule), settings(*exemptions))


def report(*exemptions: Exemption) -> str | None:
    rule = RULES_BY_NAME[RULE]
    return rule.report(finding(rule), settings(*exemptions))


def test_a_message_names_the_resource_and_says_what_to_change() -> None:
    message = verdict()
    assert message is not None
    assert message.startswith("container shop-api-0: ")
    assert "set `memory`" in message


def test_an_exempted_finding_does_not_count_but_is_reported_with_reason_owner_and_date() -> None:
    assert verdict(exemption()) is None
    line = report(exemption())
    assert line is not None
    for piece in (RULE, "2026-12-31", "measured in load test 7", "team-a", "container shop-api-0"):
        assert piece in line


@pytest.mark.parametrize(
    "other",
    [
        exemption(policy="resources-container-limit-cpu"),
        exemption(resource="blog-*"),
        exemption(resource="api-0"),
        exemption(container="web"),
    ],
)
def test_an_exemption_for_something_else_does_not_count(other: Exemption) -> None:
    assert verdict(other) == verdict()
    assert report(other) is None


@pytest.mark.parametrize("matching", [exemption(resource="shop-api-0"), exemption(container="ap?")])
def test_resource_and_container_are_globs(matching: Exemption) -> None:
    assert verdict(matching) is None


@pytest.mark.parametrize(
    ("glob", "covered"), [("api", False), ("exporter", True), ("exp*", True), (None, True), ("shop-api", False)]
)
def test_on_kubernetes_an_exemption_may_name_one_container_of_a_pod(glob: str | None, covered: bool) -> None:
    rule = RULES_BY_NAME[RULE]
    side = {"name": "exporter", "resources": {}}
    pod = subject(args(workload(pod={"initContainers": [side]}), DEPLOYMENT, "shop-api"))
    found = rule.findings(pod, Settings())
    assert [one.message.split(":")[0] for one in found] == ["deployment shop-api, container exporter"]
    assert (rule.verdict(found[0], settings(exemption(container=glob))) is None) is covered


def test_a_finding_about_the_whole_pod_is_exempted_by_its_service() -> None:
    rule = RULES_BY_NAME["security-pod-forbid-token"]
    open_pod = workload(pod={"automountServiceAccountToken": MISSING}, container={"name": "main"})
    found = rule.findings(subject(args(open_pod, DEPLOYMENT, "shop-api")), Settings())[0]
    assert rule.verdict(found, settings(exemption(policy=rule.name, container="api"))) is None
    assert rule.verdict(found, settings(exemption(policy=rule.name, container="main"))) is not None


def test_an_exemption_counts_on_its_last_day() -> None:
    assert verdict(exemption(expires=TODAY)) is None


def test_an_expired_exemption_counts_no_more_and_the_message_says_so() -> None:
    message = verdict(exemption(expires=date(2026, 11, 20)))
    assert message is not None
    assert message.endswith("(the exemption of team-a expired on 2026-11-20)")
    assert report(exemption(expires=date(2026, 11, 20))) is None


def test_of_two_exemptions_the_longer_one_is_reported() -> None:
    line = report(exemption(owner="short"), exemption(owner="long", expires=date(2027, 1, 31)))
    assert line is not None
    assert "(long)" in line


@pytest.mark.parametrize("level", ["mandatory", "advisory", "disabled"])
def test_the_stack_file_sets_the_level_of_a_rule(level: str) -> None:
    assert RULES_BY_NAME[RULE].effective_level(Settings(levels={RULE: level})) == level


@pytest.mark.parametrize("name", LOCKED)
def test_no_level_lowers_a_locked_rule(name: str) -> None:
    for level in ("advisory", "disabled"):
        assert RULES_BY_NAME[name].effective_level(Settings(levels={name: level})) == "mandatory"


def test_no_exemption_covers_a_locked_rule_and_the_message_says_so() -> None:
    rule = RULES_BY_NAME["security-container-forbid-privileged"]
    found = finding(rule, privileged=True)
    stack = settings(exemption(policy=rule.name))
    message = rule.verdict(found, stack)
    assert message is not None
    assert message.endswith("this rule cannot be bypassed)")
    assert rule.report(found, stack) is None


def test_privileged_socket_and_secret_rules_are_the_locked_ones() -> None:
    secrets = {rule.name for rule in RULES if rule.family == "secrets"}
    assert set(LOCKED) == secrets | {"security-container-forbid-privileged", "security-mount-forbid-socket"}


def test_every_rule_is_mandatory_but_the_suggestions() -> None:
    for rule in RULES:
        assert rule.level == ("advisory" if "-suggest-" in rule.name else "mandatory")
