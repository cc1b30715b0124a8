"""The stand-ins' schemas against the official SDK packages and the recorded replace keys. No engine is needed."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import pulumi_docker
import pulumi_random
import pytest
from pulumi import _types as sdk

from toolchain.plugins import schema
from toolchain.plugins.docker_container import Container
from toolchain.plugins.docker_engine import Engine
from toolchain.plugins.docker_provider import DockerProvider
from toolchain.plugins.random_provider import RandomProvider

RECORDED = json.loads(Path(__file__).with_name("replace_keys.json").read_text(encoding="utf-8"))["types"]
PROVIDERS = (DockerProvider("5.2.0"), RandomProvider("4.21.4"))
TYPES = {token: kind for provider in PROVIDERS for token, kind in provider.types.items()}
KINDS = {"text": str, "whole": int, "flag": bool, "list": Sequence, "set": Sequence, "map": Mapping}


def args_class(token: str) -> type:
    """The SDK's argument class of a resource type."""
    package = pulumi_docker if token.startswith("docker:") else pulumi_random
    return getattr(package, token.rpartition(":")[2] + "Args")  # type: ignore[no-any-return]


def item_of(declared: Any) -> Any:
    """The plain item type of a Sequence[Input[item]]."""
    return next(iter(get_args(get_args(declared)[0]) or get_args(declared)))


def strangers(fields: Mapping[str, schema.Field], official: type, path: str = "") -> list[str]:
    """Paths that the official class does not have, or declares with another type."""
    declared = sdk.input_type_types(official)
    found = []
    for name, field in fields.items():
        kind = declared.get(name)
        if kind is None:
            found.append(f"{path}{name}: not in {official.__name__}")
        elif field.kind == "object":
            found += strangers(field.of, kind, f"{path}{name}.")
        elif (get_origin(kind) or kind) is not KINDS[field.kind]:
            found.append(f"{path}{name}: {field.kind}, officially {kind}")
        elif field.keys is not None:
            found += strangers(field.keys, item_of(kind), f"{path}{name}[].")
    return found


@pytest.mark.parametrize("token", TYPES)
def test_every_input_exists_in_the_official_sdk_with_the_same_type(token: str) -> None:
    assert strangers(TYPES[token].inputs, args_class(token)) == []


@pytest.mark.parametrize("token", TYPES)
def test_replace_keys_are_those_recorded_of_the_official_plugin(token: str) -> None:
    replacing = {name for name, field in TYPES[token].inputs.items() if field.new}
    updating = TYPES[token].inputs.keys() - replacing
    assert replacing <= set(RECORDED[token]["replace"])
    assert updating <= set(RECORDED[token]["update"])


@pytest.mark.parametrize("token", TYPES)
def test_every_official_input_is_either_supported_or_refused_by_name(token: str) -> None:
    for name in sdk.input_type_py_to_pulumi_names(args_class(token)).values():
        reasons = [path for path, _ in schema.failures(TYPES[token].inputs, {name: schema.UNKNOWN})]
        assert (name in TYPES[token].inputs) != (name in reasons)


@pytest.mark.parametrize("token", TYPES)
def test_outputs_exist_in_the_official_sdk(token: str) -> None:
    package = pulumi_docker if token.startswith("docker:") else pulumi_random
    official = sdk.resource_pulumi_to_py_names(getattr(package, token.rpartition(":")[2]))
    assert set(TYPES[token].outputs) <= official.keys()


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"image": "i", "memori": 1}, "memori"),
        ({"image": "i", "memory": "64"}, "memory"),
        ({"image": "i", "memory": True}, "memory"),
        ({"image": "i", "memory": -1}, "memory"),
        ({"image": "i", "privileged": "no"}, "privileged"),
        ({"image": "i", "restart": "sometimes"}, "restart"),
        ({"image": "i", "cpus": "many"}, "cpus"),
        ({"image": "i", "envs": "A=b"}, "envs"),
        ({"image": "i", "envs": ["A=b", 2]}, "envs[1]"),
        ({"image": "i", "tmpfs": {"/tmp": 1}}, "tmpfs./tmp"),
        ({"image": "i", "mounts": [{"target": "/x", "type": "volume"}, {"target": "/y"}]}, "mounts[1].type"),
        ({"image": "i", "mounts": [{"target": "/x", "type": "tmpfs", "tmpfsOptions": {"size": 1}}]},
         "mounts[0].tmpfsOptions.size"),
        ({"image": "i", "healthcheck": {"interval": "soon"}}, "healthcheck.interval"),
        ({"image": "i", "uploads": [{"file": "/x", "permissions": "444"}]}, "uploads[0].permissions"),
        ({}, "image"),
    ],
)  # fmt: skip
def test_a_wrong_input_is_refused_at_its_path(values: dict[str, Any], path: str) -> None:
    assert [where for where, _ in schema.failures(Container.inputs, values)] == [path]


def test_refusals_never_show_a_value() -> None:
    values = {"image": "i", "memory": "hunter2-hunter2", "restart": "hunter2-hunter2", "envs": "hunter2-hunter2"}
    assert "hunter2" not in str(list(schema.failures(Container.inputs, values)))


def test_unknown_values_are_accepted_anywhere() -> None:
    unknown = schema.UNKNOWN
    values = {"image": unknown, "memory": unknown, "envs": [unknown], "ports": [{"internal": unknown}]}
    assert list(schema.failures(Container.inputs, values)) == []
    assert schema.complete(Container.inputs, values)["ports"] == [
        {"internal": unknown, "ip": "0.0.0.0", "protocol": "tcp"}  # noqa: S104 - the official default
    ]


def test_an_upload_needs_exactly_one_source_of_content() -> None:
    container = Container(Engine(threading.Event()))
    for upload in ({"file": "/x"}, {"file": "/x", "content": "a", "source": "b"}):
        assert [path for path, _ in container.check({"uploads": [upload]})] == ["uploads[0]"]
    assert list(container.check({"uploads": [{"file": "/x", "contentBase64": "YQ=="}]})) == []


def test_the_order_of_a_set_is_no_change_and_the_order_of_a_list_is() -> None:
    one = {"image": "i", "envs": ["A=1", "B=2"], "command": ["a", "b"], "capabilities": {"drops": ["X", "Y"]}}
    two = {"image": "i", "envs": ["B=2", "A=1"], "command": ["b", "a"], "capabilities": {"drops": ["Y", "X"]}}
    assert schema.changed(Container.inputs, one, two) == ["command"]


def test_leaving_out_what_docker_fills_by_itself_is_no_change() -> None:
    assert schema.changed(Container.inputs, {"image": "i", "hostname": "h", "user": "u"}, {"image": "i"}) == ["user"]


def test_a_value_that_is_not_known_yet_counts_as_changed() -> None:
    old, new = {"image": "i", "envs": ["A=1"]}, {"image": "i", "envs": [schema.UNKNOWN]}
    assert schema.changed(Container.inputs, old, new) == ["envs"]
