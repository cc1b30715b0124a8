"""Resources as the engine sends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2
from pulumi.runtime import proto
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE

from policies.engine import subject
from policies.names import POLICY_NAMES
from policies.rule import Rule
from policies.rules import RULES
from policies.settings import Settings
from policies.subject import CONTAINER

UNKNOWN = UNKNOWN_STRING_VALUE
"""What stands on the wire for a value that is not known in a preview."""
RULES_BY_NAME: Mapping[str, Rule] = dict(zip(POLICY_NAMES, RULES, strict=True))
MISSING = object()
"""Stands for: leave this property out."""


def secret(value: Any) -> dict[str, Any]:
    """A Pulumi secret on the wire."""
    return {SPECIAL_SIG_KEY: SPECIAL_SECRET_SIG, "value": value}


def labels(**values: str) -> list[dict[str, str]]:
    """Docker labels; `role="app"` is `ai-platform.role`."""
    merged = {"stack": "dev", "system": "shop", "service": "api", "role": "app"} | values
    return [{"label": f"ai-platform.{key}", "value": value} for key, value in merged.items() if value]


def container(**changes: Any) -> dict[str, Any]:
    """Inputs of a container that breaks no rule, with changes; `MISSING` leaves a property out."""
    inputs: dict[str, Any] = {
        "image": "sha256:" + "0a" * 32,
        "command": ["uvicorn", "main:app", "--host", "0.0.0.0"],  # noqa: S104 - inside a container
        "envs": ["ENVIRONMENT=development", "PORT=8000"],
        "labels": labels(),
        "memory": 512,
        "cpus": "0.5",
        "ulimits": [{"name": "nproc", "soft": 256, "hard": 256}],
        "logDriver": "json-file",
        "logOpts": {"max-size": "10m", "max-file": "3"},
        "restart": "unless-stopped",
        "healthcheck": {"tests": ["CMD", "curl", "-fsS", "http://127.0.0.1:8000/health"], "interval": "5s"},
        "networkMode": "bridge",
        "networksAdvanced": [{"name": "shop-net", "aliases": ["api"]}],
        "capabilities": {"drops": ["ALL"]},
        "securityOpts": ["no-new-privileges:true"],
        "user": "10001:10001",
        "readOnly": True,
    }
    return {key: value for key, value in (inputs | changes).items() if value is not MISSING}


def wire(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Properties as the engine marshals them."""
    message = struct_pb2.Struct()
    json_format.ParseDict(dict(properties), message)
    return message


def urn(kind: str, name: str) -> str:
    """A URN of the test stack."""
    return f"urn:pulumi:dev::ai-platform::{kind}::{name}"


def args(properties: Mapping[str, Any], kind: str = CONTAINER, name: str = "shop-api-0") -> proto.AnalyzeRequest:
    """What the engine asks about one resource."""
    return proto.AnalyzeRequest(type=kind, urn=urn(kind, name), name=name, properties=wire(properties))


def stack_resource(properties: Mapping[str, Any], name: str, kind: str = CONTAINER) -> proto.AnalyzerResource:
    """One resource of what the engine asks about the whole stack."""
    return proto.AnalyzerResource(type=kind, urn=urn(kind, name), name=name, properties=wire(properties))


def texts(
    rule: str, properties: Mapping[str, Any], kind: str = CONTAINER, settings: Settings | None = None
) -> list[str]:
    """What a resource rule says about one resource."""
    found = RULES_BY_NAME[rule].findings(subject(args(properties, kind)), settings or Settings())
    return [finding.text for finding in found]
