"""Every resource rule against its table, and what holds for all of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.rule import Rule
from policies.rules import RULES
from policies.settings import Settings
from policies.subject import CONTAINER, NETWORK, REMOTE_IMAGE, STACK, VOLUME
from tests.policies.support import MISSING, UNKNOWN, container, texts
from tests.policies.tables import LOOP, PEM, TABLES, URL

RESOURCE_RULES = [rule for rule in RULES if rule.check is not None]
WITH_FAILS = [rule for rule in RESOURCE_RULES if TABLES[rule.name].fails]
OF_ONE_TYPE = [rule for rule in WITH_FAILS if rule.types]
OF_CONTAINERS = [rule for rule in WITH_FAILS if TABLES[rule.name].kind == CONTAINER]
OF_SECRETS = [rule for rule in WITH_FAILS if rule.family == "secrets"]


def _name(rule: Rule) -> str:
    return rule.name


PASSES = [pytest.param(n, c, id=f"{n}-{i}") for n, t in TABLES.items() for i, c in enumerate(t.passes)]
FAILS = [pytest.param(n, c, advice, id=f"{n}-{i}") for n, t in TABLES.items() for i, (c, advice) in enumerate(t.fails)]


def test_every_resource_rule_has_a_table() -> None:
    assert set(TABLES) == {rule.name for rule in RESOURCE_RULES}


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


@pytest.mark.parametrize(("rule", "changes"), PASSES)
def test_what_keeps_the_rule_passes(rule: str, changes: dict[str, Any]) -> None:
    table = TABLES[rule]
    assert texts(rule, table.inputs(changes), table.kind) == []


@pytest.mark.parametrize(("rule", "changes", "advice"), FAILS)
def test_what_breaks_the_rule_is_found_with_advice(rule: str, changes: dict[str, Any], advice: str) -> None:
    table = TABLES[rule]
    found = texts(rule, table.inputs(changes), table.kind)
    assert len(found) == 1
    assert advice in found[0]


@pytest.mark.parametrize("rule", TABLES)
def test_a_missing_property_is_judged_not_a_crash(rule: str) -> None:
    table = TABLES[rule]
    key, expected = table.missing
    assert len(texts(rule, table.inputs({key: MISSING}), table.kind)) == expected
    assert isinstance(texts(rule, {}, table.kind), list)


@pytest.mark.parametrize(("rule", "key"), [(n, key) for n, t in TABLES.items() for key in t.unknown])
def test_an_unknown_property_is_left_to_the_deployment(rule: str, key: str) -> None:
    table = TABLES[rule]
    assert texts(rule, table.inputs({key: UNKNOWN}), table.kind) == []


@pytest.mark.parametrize("rule", OF_ONE_TYPE, ids=_name)
def test_other_types_of_resources_are_none_of_its_business(rule: Any) -> None:
    table = TABLES[rule.name]
    for changes, _ in table.fails:
        assert texts(rule.name, table.inputs(changes), "random:index/randomPassword:RandomPassword") == []


@pytest.mark.parametrize("rule", OF_CONTAINERS, ids=_name)
def test_an_unknown_beside_a_fault_does_not_hide_the_fault(rule: Any) -> None:
    table = TABLES[rule.name]
    for changes, advice in table.fails:
        found = texts(rule.name, table.inputs(changes | {"hostname": UNKNOWN, "workingDir": UNKNOWN}))
        assert any(advice in text for text in found)


@pytest.mark.parametrize("rule", OF_SECRETS, ids=_name)
def test_no_message_holds_a_value(rule: Any) -> None:
    table = TABLES[rule.name]
    for changes, _ in table.fails:
        for text in texts(rule.name, table.inputs(changes), table.kind):
            for value in ("hunter2", "s3cr3t-value", "AKIA", "MIIE", "9fceb02d", "quiet"):
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
