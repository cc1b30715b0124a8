"""The JSON Schema of a whole stack file, for editors: `python -m config.schema` writes `docs/schema/stack.schema.json`.

The stack files name it in their first line (`# yaml-language-server: $schema=…`), so that an editor completes keys,
shows their documentation and marks mistakes. It says less than `config.load`, which judges combinations too, but
never more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from config.catalogue import ServiceFacts, SystemFacts
from config.model import StackFile
from config.stackfile import NAMESPACE

TARGET: Final = Path(__file__).resolve().parent.parent / "docs" / "schema" / "stack.schema.json"
_PULUMI_KEYS: Final = ("secretsprovider", "encryptedkey", "encryptionsalt")
_ENCRYPTED: Final = {
    "type": "object",
    "properties": {"secure": {"type": "string"}},
    "required": ["secure"],
    "additionalProperties": False,
}


def stack_schema(catalogue: Mapping[str, SystemFacts]) -> dict[str, Any]:
    """The schema, with the systems and services of the catalogue as the only names."""
    model = StackFile.model_json_schema(by_alias=True)
    definitions = model["$defs"]
    definitions["SystemEntry"] = _systems(definitions["SystemEntry"], definitions["ServiceEntry"], catalogue)
    _tidy(definitions)
    keys = {f"{NAMESPACE}:{key}": schema for key, schema in model["properties"].items()}
    # A whole block may be encrypted as one text; only secrets may be encrypted at all.
    keys[f"{NAMESPACE}:secrets"] = {"anyOf": [{"$ref": "#/$defs/Secrets"}, _ENCRYPTED]}
    config = {
        "type": "object",
        "description": "Keys of other namespaces belong to providers and to Pulumi itself.",
        "properties": _tidy(keys),
        "required": [f"{NAMESPACE}:{key}" for key in model["required"]],
        "patternProperties": {f"^(?!{re.escape(NAMESPACE)}:)": {}},
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack file of ai-platform (Pulumi.<stack>.yaml)",
        "type": "object",
        "properties": {
            "config": config,
            **dict.fromkeys(_PULUMI_KEYS, {"type": "string", "description": "Written by Pulumi."}),
        },
        "required": ["config"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def render(catalogue: Mapping[str, SystemFacts]) -> str:
    """The schema as the text of the committed file."""
    return json.dumps(stack_schema(catalogue), indent=2, ensure_ascii=False) + "\n"


def _systems(system: dict[str, Any], service: dict[str, Any], catalogue: Mapping[str, SystemFacts]) -> dict[str, Any]:
    """One variant for each system, so that its own services and their bounds complete."""
    name = {**system["properties"]["name"], "enum": sorted(catalogue)}
    variants = []
    for known, facts in sorted(catalogue.items()):
        services = {key: _service(service, bounds) for key, bounds in facts.services.items()}
        inside = {
            "name": {"const": known},
            "services": {"type": "object", "properties": services, "additionalProperties": False},
        }
        variants.append({"if": {"properties": {"name": {"const": known}}}, "then": {"properties": inside}})
    return {**system, "properties": {**system["properties"], "name": name}, "allOf": variants}


def _service(service: dict[str, Any], facts: ServiceFacts) -> dict[str, Any]:
    """The minimum is that of `profile: inner-loop`, which `config.load` knows and a schema can hardly say."""
    known = service["properties"]["replicas"]
    replicas = {
        **known,
        "type": "integer",
        "minimum": 1,
        "maximum": facts.max_replicas,
        "default": facts.default_replicas,
    }
    replicas.pop("anyOf", None)
    return {**service, "properties": {**service["properties"], "replicas": replicas}}


def _tidy(node: Any) -> Any:
    """Without what only a program needs: titles made from names, and `null`, which a stack file says by leaving out."""
    if isinstance(node, list):
        for one in node:
            _tidy(one)
    if isinstance(node, dict):
        if isinstance(node.get("title"), str) and node["title"][:1].isupper():
            del node["title"]
        if node.get("default", ...) is None:
            del node["default"]
        variants = node.get("anyOf")
        if isinstance(variants, list) and {"type": "null"} in variants:
            rest = [variant for variant in variants if variant != {"type": "null"}]
            del node["anyOf"]
            node.update({"anyOf": rest} if len(rest) > 1 else rest[0] | node)
        for one in node.values():
            _tidy(one)
    return node


def main() -> None:
    """Write the file."""
    # The systems import this package: naming them here, and not above, keeps the one-way flow at import.
    catalogue: Mapping[str, SystemFacts] = import_module("systems").CATALOGUE
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(render(catalogue), encoding="utf-8")
    print(f"wrote {TARGET.relative_to(Path.cwd()) if TARGET.is_relative_to(Path.cwd()) else TARGET}")


if __name__ == "__main__":
    main()
