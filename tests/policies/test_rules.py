"""Every resource rule against its table, and what holds for all of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.kubernetes import PODS
from policies.rule import Rule
from policies.rules import RULES
from policies.settings import Settings
from policies.subject import CONTAINER, NETWORK, REMOTE_IMAGE, STACK, VOLUME
from tests.policies.kubernetes_tables import KUBERNETES
from tests.policies.support import MISSING, RULES_BY_NAME, UNKNOWN, container, merged, texts
from tests.policies.tables import LOOP, PEM, TABLES, URL, Table

RESOURCE_RULES = [rule for rule in RULES if rule.check_stack is None]
BOTH = {"docker": TABLES, "kubernetes": KUBERNETES}
CASES = [(name, table) for tables in BOTH.values() for name, table in tables.items()]
WITH_FAILS = [(name, table) for name, table in CASES if table.fails]
OF_ONE_TYPE = [(name, table) for name, table in WITH_FAILS if RULES_BY_NAME[name].types]
OF_SECRETS = [(name, table) for name, table in WITH_FAILS if name.startswith("secrets-")]
OF_CONTAINERS = [(name, table) for name, table in WITH_FAILS if table.kind in (CONTAINER, *PODS)]
PASSES = [(name, table, changes) for name, table in CASES for changes in table.passes]
FAILS = [(name, table, changes, advice) for name, table in CASES for changes, advice in table.fails]
UNKNOWNS = [(name, table, key) for name, table in CASES for key in table.unknown]


def _id(value: Any) -> str | None:
    """Cases are called by the rule and the kind of resource."""
    return value.kind.rsplit(":", 1)[-1] if isinstance(value, Table) else value if isinstance(value, str) else ""


def _looks_at(rule: Rule, platform: str) -> bool:
    own = [kind for kind in rule.types if kind.startswith("docker:") == (platform == "docker")]
    return bool(own) or not rule.types or rule.types == (STACK,)


@pytest.mark.parametrize("platform", BOTH)
def test_every_resource_rule_has_a_table_for_each_platform_that_it_looks_at(platform: str) -> None:
    of_kubernetes_alone = {"network-namespace-forbid-default"}
    wanted = {rule.name for rule in RESOURCE_RULES if _looks_at(rule, platform)}
    assert set(BOTH[platform]) == wanted - (of_kubernetes_alone if platform == "docker" else set())


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"ai-platform:password": "hunter2"}, "ai-platform:password"),
        ({"ai-platform:systems": '[{"env": {"API_TOKEN": "hunter2"}}]'}, "ai-platform:systems.0.env.API_TOKEN"),
        ({"ai-platform:data": f'{{"url": "{URL}"}}'}, "ai-platform:data.url"),
        ({"ai-platform:tls": json.dumps({"key": PEM})}, "ai-platform:tls.key"),
    ],
)
def test_credentials_in_the_stack_file_are_named_by_their_key(config: dict[str, str], place: str) -> None:
    found = texts("secrets-config-require-secret", {}, STACK, Settings(plain_config=config))
    assert len(found) == 1
    assert f"key {place} of the stack file" in found[0]
    assert not any(value in found[0] for value in ("hunter2", "s3cr3t-value", "MIIE"))


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"ai-platform:systems": '[{"env": {"PASSWORD_FILE": "/run/secrets/p", "API_TOKEN": ""}}]'},
        {"ai-platform:tls": '{"certificate": "-----BEGIN CERTIFICATE-----"}'},
        {"ai-platform:domain": "localhost"},
        {"ai-platform:broken": "{not json"},
    ],
)
def test_an_ordinary_stack_file_passes(config: dict[str, str]) -> None:
    assert texts("secrets-config-require-secret", {}, STACK, Settings(plain_config=config)) == []


@pytest.mark.parametrize(("rule", "table", "changes"), PASSES, ids=_id)
def test_what_keeps_the_rule_passes(rule: str, table: Table, changes: dict[str, Any]) -> None:
    assert texts(rule, table.inputs(changes), table.kind) == []


@pytest.mark.parametrize(("rule", "table", "changes", "advice"), FAILS, ids=_id)
def test_what_breaks_the_rule_is_found_with_advice(
    rule: str, table: Table, changes: dict[str, Any], advice: str
) -> None:
    found = texts(rule, table.inputs(changes), table.kind)
    assert len(found) == 1
    assert advice in found[0]


@pytest.mark.parametrize(("rule", "table"), CASES, ids=_id)
def test_a_missing_property_is_judged_not_a_crash(rule: str, table: Table) -> None:
    key, expected = table.missing
    assert len(texts(rule, table.inputs(table.at(key, MISSING)), table.kind)) == expected
    assert isinstance(texts(rule, {}, table.kind), list)


@pytest.mark.parametrize(("rule", "table", "key"), UNKNOWNS, ids=_id)
def test_an_unknown_property_is_left_to_the_deployment(rule: str, table: Table, key: str) -> None:
    assert texts(rule, table.inputs(table.at(key, UNKNOWN)), table.kind) == []


@pytest.mark.parametrize(("rule", "table"), OF_ONE_TYPE, ids=_id)
def test_other_types_of_resources_are_none_of_its_business(rule: str, table: Table) -> None:
    other = "kubernetes:core/v1:ServiceAccount" if table.on_kubernetes else "random:index/randomPassword:RandomPassword"
    for changes, _ in table.fails:
        assert texts(rule, table.inputs(changes), other) == []


@pytest.mark.parametrize(("rule", "table"), OF_CONTAINERS, ids=_id)
def test_an_unknown_beside_a_fault_does_not_hide_the_fault(rule: str, table: Table) -> None:
    beside: dict[str, Any] = {"hostname": UNKNOWN, "workingDir": UNKNOWN}
    if table.on_kubernetes:
        beside = {"container": {"workingDir": UNKNOWN}, "pod": {"hostname": UNKNOWN}, "metadata": {"name": UNKNOWN}}
    for changes, advice in table.fails:
        found = texts(rule, table.inputs(merged(changes, beside)), table.kind)
        assert any(advice in text for text in found)


@pytest.mark.parametrize(("rule", "table"), OF_SECRETS, ids=_id)
def test_no_message_holds_a_value(rule: str, table: Table) -> None:
    for changes, _ in table.fails:
        for text in texts(rule, table.inputs(changes), table.kind):
            for value in ("hunter2", "s3cr3t-value", "AKIA", "MIIE", "9fceb02d", "quiet", "aHVudGVyMg"):
                assert value not in text


def test_bind_mounts_of_containers_are_refused_outside_the_inner_loop() -> None:
    bound = {"mounts": [{"type": "bind", "source": "/home/dev/app", "target": "/srv/app", "readOnly": True}]}
    rule = "security-mount-forbid-host"
    assert "mounts /home/dev/app of the host" in texts(rule, container(**bound))[0]
    assert texts(rule, container(**bound, labels=LOOP)) == []


def test_bind_mounts_hidden_in_a_volume_driver_do_not_reach_the_socket() -> None:
    options = {"type": "none", "o": "bind", "device": "/var/run/docker.sock"}
    assert texts("security-mount-forbid-socket", {"driverOpts": options}, VOLUME)


def test_latest_is_refused_where_the_image_is_pulled_too() -> None:
    assert texts("images-reference-forbid-latest", {"name": "redis"}, REMOTE_IMAGE)
    assert texts("images-reference-forbid-bitnami", container(image="bitnami/redis:7"))


def test_labels_are_required_of_networks_and_volumes() -> None:
    for kind in (NETWORK, VOLUME):
        assert len(texts("labels-resource-require", {}, kind)) == 4  # noqa: PLR2004 - one for each label


def test_findings_come_in_the_same_order_whatever_the_order_of_the_inputs() -> None:
    envs = ["B_PASSWORD=hunter2", "A_PASSWORD=hunter2", "C_TOKEN=x"]
    rule = "secrets-environment-require-secret"
    assert texts(rule, container(envs=envs)) == texts(rule, container(envs=envs[::-1]))
    assert len(texts(rule, container(envs=envs))) == len(envs)
