"""Kubernetes' objects of a plan as plain manifests: the same files from the same plan, and no secret in them."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from policies.objects import CLUSTER_WIDE
from policies.rule import Rule
from policies.settings import Settings
from policies.subject import Resource
from policies.values import UNKNOWN, Sensitive

RECORDS: Final = "AI_PLATFORM_RECORDS"
"""Environment variable: the file that the recording pack writes to."""
HIDDEN: Final = "secret-left-out"
LATER: Final = "known-after-deployment"
"""Placeholders. Both may stand where Kubernetes wants a name, so that what reads the files goes on."""
CLUSTER: Final = "cluster"
"""Folder of the objects that stand in no namespace."""
SECRET_DATA: Final = ("data", "stringData")
KEYS_OF_TYPE: Final = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/basic-auth": ("password", "username"),
}
AUTONAMED: Final = "pulumi.com/autonamed"
ORDER: Final = ("apiVersion", "kind", "metadata", "type", "immutable", "spec", "data", "binaryData", "stringData")
FIRST: Final = ("name", "namespace")
"""Keys that stand first in any object; the others follow by the alphabet."""
_RANDOM: Final = re.compile(r"-[0-9a-f]{7,8}$")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One object and where its file stands."""

    path: str
    """Below the folder of the rendering: `<namespace>/<kind>-<name>.yaml`."""
    content: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The file."""
        return yaml.dump(self.content, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def left_out(marked: Any) -> Any:
    """A property tree with placeholders for what is secret and what is not known yet; keys of secret maps stay."""
    if isinstance(marked, Sensitive):
        value = marked.value
        return dict.fromkeys(value, HIDDEN) if isinstance(value, Mapping) else HIDDEN
    if isinstance(marked, Mapping):
        return {key: left_out(inner) for key, inner in marked.items() if not str(key).startswith("__")}
    if isinstance(marked, list):
        return [left_out(inner) for inner in marked]
    return LATER if marked is UNKNOWN else marked


def record(resource: Resource, settings: Settings) -> Iterable[str]:
    """Add an object to the file that `RECORDS` names, without its secrets; it is no finding."""
    del settings
    if resource.on_kubernetes:
        line = {"type": resource.type, "name": resource.name, "inputs": left_out(resource.marked)}
        with Path(os.environ[RECORDS]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    return ()


RECORDER: Final = Rule(
    name="render-object-record", description="Writes down an object.", check=record, level="advisory"
)
"""The one rule of the pack in `recorder/`."""


def manifests(records: Iterable[str]) -> list[Manifest]:
    """The objects of a plan, from what `record` wrote, sorted by path."""
    objects = [_object(json.loads(line)) for line in records]
    references = set(_references([made for _, made in objects]))
    for _, made in objects:
        if made["kind"] == "Secret":
            _hide(made, references)
    stable = dict(_stable_names(made for _, made in objects))
    found: dict[str, Manifest] = {}
    for name, made in sorted(objects, key=lambda one: (one[1]["kind"], one[0])):
        content = _ordered(_renamed(made, stable))
        path = _path(content, name)
        if path in found:
            path = path.replace(".yaml", f"-{name}.yaml")
        found[path] = Manifest(path=path, content=content)
    return [found[path] for path in sorted(found)]


def _object(entry: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Logical name and object."""
    _, group, kind = entry["type"].split(":")
    made: dict[str, Any] = {"apiVersion": group.removeprefix("core/"), "kind": kind, **entry["inputs"]}
    if kind in CLUSTER_WIDE and isinstance(made.get("metadata"), Mapping):
        # Without a cluster, a plugin may take every kind for one that stands in a namespace.
        made["metadata"] = {key: value for key, value in made["metadata"].items() if key != "namespace"}
    return entry["name"], made


def _hide(made: dict[str, Any], references: Collection[tuple[str, str]]) -> None:
    """Placeholders for what a Secret holds.

    One value that is not known yet hides the keys beside it from the engine: then they are those of the Secret's type,
    and those by which other objects refer to it.
    """
    name = str((made.get("metadata") or {}).get("name"))
    for place in SECRET_DATA:
        found = made.get(place)
        if found is None:
            continue
        keys = list(found) if isinstance(found, Mapping) else [*KEYS_OF_TYPE.get(str(made.get("type")), ())]
        if not isinstance(found, Mapping):
            keys = sorted({*keys, *(key for secret, key in references if secret == name)})
        hidden = base64.b64encode(HIDDEN.encode()).decode() if place == "data" else HIDDEN
        made[place] = dict.fromkeys(keys, hidden)


def _references(value: Any) -> Iterator[tuple[str, str]]:
    """Name and key wherever an entry of a Secret is referred to: `{name, key}`, or the items of a mounted one."""
    if isinstance(value, Mapping):
        name = value.get("name", value.get("secretName"))
        if isinstance(name, str):
            keys = [value.get("key"), *(item.get("key") for item in value.get("items") or () if isinstance(item, dict))]
            yield from ((name, key) for key in keys if isinstance(key, str))
        value = value.values()
    if not isinstance(value, str) and isinstance(value, Iterable):
        for inner in value:
            yield from _references(inner)


def _stable_names(objects: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Made-up names end differently in each preview: the end of each is replaced by zeros."""
    for made in objects:
        metadata = made.get("metadata") or {}
        annotations, name = metadata.get("annotations") or {}, metadata.get("name")
        if isinstance(name, str) and annotations.get(AUTONAMED):
            yield name, _RANDOM.sub(lambda match: f"-{'0' * (len(match[0]) - 1)}", name)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The same with other names of objects, wherever they are mentioned."""
    if isinstance(value, Mapping):
        return {key: _renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, names) for inner in value]
    if isinstance(value, str):
        for name, stable in names.items():
            value = value.replace(name, stable)
    return value


def _ordered(made: Mapping[str, Any]) -> dict[str, Any]:
    top = [*(key for key in ORDER if key in made), *sorted(key for key in made if key not in ORDER)]
    return {key: _sorted(made[key]) for key in top}


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        keys = [*(key for key in FIRST if key in value), *sorted(key for key in value if key not in FIRST)]
        return {key: _sorted(value[key]) for key in keys}
    return [_sorted(inner) for inner in value] if isinstance(value, list) else value


def _path(content: Mapping[str, Any], logical: str) -> str:
    metadata = content.get("metadata")
    inner: Mapping[str, Any] = metadata if isinstance(metadata, Mapping) else {}
    name = inner.get("name")
    folder = inner.get("namespace")
    if not folder:
        folder = CLUSTER if content["kind"] in CLUSTER_WIDE else "default"
    called = logical if name in (None, LATER) else name
    parts = (str(folder), f"{str(content['kind']).lower()}-{called}")
    return "/".join(_UNSAFE.sub("-", part).strip(".-") for part in parts) + ".yaml"


class _Dumper(yaml.SafeDumper):
    """Several lines as a block, so that configuration files in a ConfigMap can be read."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write what stands twice twice."""
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
