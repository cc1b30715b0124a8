"""Definitions of types as JSON Schema."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from toolchain.judges.schemas import schema

DEFINITION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer"},
                "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
                "note": {"type": "string", "nullable": True},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": {}}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "properties": {"type": "object", "properties": {"type": {"type": "string"}}},
                "pod": {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {}}},
                "either": {
                    "type": "object",
                    "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                    "anyOf": [{"properties": {"a": {"minLength": 1}}, "required": ["a"]}, {"required": ["b"]}],
                },
            },
        },
    },
}


def failures(**spec: Any) -> list[str]:
    instance = {"apiVersion": "a/v1", "kind": "A", "metadata": {"name": "x", "labels": {}}, "spec": {"size": 1} | spec}
    return [error.message for error in jsonschema.Draft202012Validator(schema(DEFINITION)).iter_errors(instance)]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"port": 80},
        {"port": "http"},
        {"note": None},
        {"free": {"a": 1, "b": 2}},
        {"labels": {"any": "text"}},
        {"properties": {"type": "x"}},
        {"pod": {"kind": "Pod", "metadata": {"name": "x"}, "spec": {}}},
        {"either": {"a": "1", "b": "2"}},
    ],
)
def test_what_the_type_allows_is_valid(spec: dict[str, Any]) -> None:
    assert failures(**spec) == []


@pytest.mark.parametrize(
    "spec",
    [
        {"size": "1"},
        {"sise": 1},
        {"port": 1.5},
        {"note": 1},
        {"labels": {"any": 1}},
        {"properties": {"kind": "x"}},
        {"either": {"a": "1", "c": "2"}},
        {"either": {}},
    ],
)
def test_what_the_type_does_not_know_is_refused(spec: dict[str, Any]) -> None:
    assert len(failures(**spec)) == 1
