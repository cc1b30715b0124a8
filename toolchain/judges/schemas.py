"""JSON Schemas of the add-ons' types, from the definitions in their Go modules: those that the cluster gets, too."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from toolchain.cluster.addons.addon import LOADER, documents
from toolchain.cluster.addons.catalogue import ADDONS
from toolchain.cluster.addons.materials import folder, types
from toolchain.cluster.settings import VERSION
from toolchain.console import step
from toolchain.judges.tools import HOME, kubernetes_schemas

KUBERNETES: Final = "kubernetes"
NAMES: Final = (
    KUBERNETES + "/{{ .ResourceKind }}{{ .KindSuffix }}.json",
    "{{ .Group }}/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json",
)
"""How kubeconform finds the file of a type: of Kubernetes' own, and of an add-on's."""
CONDITIONS: Final = frozenset({"allOf", "anyOf", "oneOf", "not"})
DATA: Final = frozenset({"default", "enum", "example", "required", "description"})
"""Words of a schema whose values are no schemas."""
ROOT: Final = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {"type": "object"},
}

_LOADER: Final[Any] = type("Loader", (LOADER,), {})
# A text that is nothing but an equals sign has a type of its own in YAML 1.1; comparisons are such texts.
_LOADER.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


def written() -> Path:
    """The folder with all schemas; made anew when what they are made from has changed."""
    texts = [types(addon, folder(addon)) for addon in ADDONS if addon.crds]
    own = kubernetes_schemas(VERSION)
    source = "\n".join((Path(__file__).read_text(encoding="utf-8"), str(own), *texts))
    place = HOME / f"schemas-{hashlib.sha256(source.encode()).hexdigest()[:12]}"
    if not place.is_dir():
        for old in HOME.glob("schemas-*"):
            shutil.rmtree(old)
        partial = HOME / "partial-schemas"
        shutil.rmtree(partial, ignore_errors=True)
        with step("JSON Schemas of Kubernetes and of the add-ons' types (once)"):
            _copy(own, partial / KUBERNETES)
            for text in texts:
                for document in documents(text):
                    _write(yaml.load(document, _LOADER), partial)  # noqa: S506 - a safe loader
        partial.rename(place)
    return place


def _copy(source: Path, target: Path) -> None:
    """Kubernetes' schemas, with references to the file beside them: theirs lead into the network."""
    target.mkdir(parents=True)
    for file in source.glob("*.json"):
        text = file.read_text(encoding="utf-8").replace('"/api/_definitions.json#', '"_definitions.json#')
        content = json.loads(text)
        content.pop("$id", None)
        (target / file.name).write_text(json.dumps(content), encoding="utf-8")


def _write(definition: Mapping[str, Any], place: Path) -> None:
    spec = definition["spec"]
    target = place / spec["group"]
    target.mkdir(parents=True, exist_ok=True)
    for version in spec["versions"]:
        found = version.get("schema", {}).get("openAPIV3Schema", {})
        file = target / f"{spec['names']['kind'].lower()}_{version['name']}.json"
        file.write_text(json.dumps(schema(found)), encoding="utf-8")


def schema(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A type's JSON Schema: fields that it does not know are refused, as the API server prunes them."""
    made: dict[str, Any] = _strict(definition)
    if "properties" in made:
        made["properties"] = ROOT | {key: value for key, value in made["properties"].items() if key not in ROOT}
    return made


def _strict(node: Any, *, closed: bool = True) -> Any:
    """Kubernetes' extensions of OpenAPI in the words of JSON Schema.

    Inside of `anyOf` and its like stand conditions on fields that are listed outside: those are not `closed`.
    """
    if isinstance(node, list):
        return [_strict(inner, closed=closed) for inner in node]
    if not isinstance(node, Mapping):
        return node
    made: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            # Names of fields are no words of the schema: a field may be called `type` or `properties`.
            made[key] = {name: _strict(inner, closed=closed) for name, inner in value.items()}
        else:
            made[key] = value if key in DATA else _strict(value, closed=closed and key not in CONDITIONS)
    if node.get("x-kubernetes-int-or-string"):
        made = {key: value for key, value in made.items() if key not in ("type", "anyOf", "format")}
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if node.get("x-kubernetes-embedded-resource"):
        made["properties"] = ROOT | made.get("properties", {})
    open_ended = "additionalProperties" in made or node.get("x-kubernetes-preserve-unknown-fields")
    if closed and "properties" in made and not open_ended:
        made["additionalProperties"] = False
    if node.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made
