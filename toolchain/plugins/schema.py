"""Input schemas of the stand-in providers: what a resource type accepts, its defaults, and what a change leads to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from google.protobuf import struct_pb2

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Pulumi's wire value for an output that is not known yet."""
SIGNATURE = "4dabf18193072939515e22adb298388d"
"""Pulumi's wire key that marks a secret, an asset, an archive or a resource reference."""
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the marker, not a secret
Values = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One input. `kind`: text, whole, flag, list, set, map or object; `of`: the items' field or the object's keys."""

    kind: str
    of: Any = None
    new: bool = False
    """A change replaces the resource."""
    default: Any = None
    required: bool = False
    computed: bool = False
    """The place fills it when the program is silent: leaving it out later is no change."""
    pattern: str = ""
    least: int | None = None
    api: str = ""
    """Where the value goes in the request that makes the resource, as a dotted path."""
    convert: Callable[[Any], Any] | None = None
    """Makes the request's value of the input's."""

    @property
    def keys(self) -> Mapping[str, Field] | None:
        """The keys of a nested object, or of the nested objects in a list."""
        nested = self.of.of if isinstance(self.of, Field) else self.of
        return nested if isinstance(nested, Mapping) else None


text, whole, flag = partial(Field, "text"), partial(Field, "whole"), partial(Field, "flag")
texts, text_set, text_map = (partial(Field, kind, text()) for kind in ("list", "set", "map"))
group = partial(Field, "object")


def group_set(keys: Mapping[str, Field], **options: Any) -> Field:
    """Nested objects whose order does not matter."""
    return Field("set", group(keys), **options)


TYPES: dict[str, type] = {"text": str, "whole": int, "flag": bool, "list": list, "set": list}
WORDS = {"text": "a string", "whole": "a whole number", "flag": "true or false", "list": "a list", "set": "a list"}


def failures(keys: Mapping[str, Field], values: Values, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (property path, reason) for every unknown key, missing key and wrong value. Never shows a value."""
    for name in values.keys() - keys.keys():
        yield path + name, f"not an input that this stand-in supports; it has {', '.join(sorted(keys))}"
    for name, field in keys.items():
        if values.get(name) is not None:
            yield from mistakes(field, values[name], path + name)
        elif field.required:
            yield path + name, "is required"


def mistakes(field: Field, value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield (property path, reason) for a value that does not fit its field."""
    if value == UNKNOWN:
        return
    fits = isinstance(value, TYPES.get(field.kind, dict))
    if not fits or (field.kind == "whole" and isinstance(value, bool)):
        yield path, f"must be {WORDS.get(field.kind, 'an object')}"
    elif field.pattern and not re.fullmatch(field.pattern, value):
        yield path, f"must match {field.pattern}"
    elif field.least is not None and value < field.least:
        yield path, f"must be at least {field.least}"
    elif field.kind in ("list", "set"):
        for index, item in enumerate(value):
            yield from mistakes(field.of, item, f"{path}[{index}]")
    elif field.kind == "map":
        for key, item in value.items():
            yield from mistakes(field.of, item, f"{path}.{key}")
    elif field.kind == "object":
        yield from failures(field.of, value, f"{path}.")


def nested(field: Field, value: Any, function: Callable[[Mapping[str, Field], Values], Any]) -> Any:
    """Apply a function to the nested objects of a value; return other values as they are."""
    if field.keys is not None and isinstance(value, dict):
        return function(field.keys, value)
    if field.keys is not None and isinstance(value, list):
        return [function(field.keys, item) if isinstance(item, dict) else item for item in value]
    return value


def complete(keys: Mapping[str, Field], values: Values) -> Values:
    """The values with defaults filled in, at every depth, and nulls left out."""
    filled = {name: field.default for name, field in keys.items() if field.default is not None}
    filled.update({name: value for name, value in values.items() if value is not None})
    return {name: nested(keys[name], value, complete) for name, value in filled.items()}


def comparable(field: Field, value: Any) -> Any:
    """A form of the value in which equal meanings are equal: sets are ordered, at every depth."""
    if field.kind == "object" and isinstance(value, dict):
        return {name: comparable(field.of[name], item) for name, item in value.items() if name in field.of}
    if isinstance(value, list):
        items = [comparable(field.of, item) for item in value]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) if field.kind == "set" else items
    return value


def changed(keys: Mapping[str, Field], old: Values, new: Values) -> list[str]:
    """Names of the inputs that differ, or may differ because they are not known yet."""
    names = []
    for name, field in keys.items():
        before, after = comparable(field, old.get(name)), comparable(field, new.get(name))
        silent = field.computed and after is None
        if not silent and (before != after or UNKNOWN in json.dumps(after)):
            names.append(name)
    return names


def to_api(keys: Mapping[str, Field], values: Values) -> Values:
    """The request's body: each value that has a place there, at its place."""
    body: Values = {}
    for name, field in keys.items():
        if field.api and values.get(name) is not None:
            value = field.convert(values[name]) if field.convert else nested(field, values[name], to_api)
            *folders, last = field.api.split(".")
            place = body
            for folder in folders:
                place = place.setdefault(folder, {})
            place[last] = {**place.get(last, {}), **value} if isinstance(value, dict) else value
    return body


def plain(message: struct_pb2.Struct) -> Values:
    """A protobuf Struct as Python data: whole numbers as int, secrets unwrapped."""
    return {name: plain_value(value) for name, value in message.fields.items()}


def plain_value(value: struct_pb2.Value) -> Any:
    """One value of a Struct as Python data."""
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        return int(value.number_value) if value.number_value.is_integer() else value.number_value
    if kind == "list_value":
        return [plain_value(item) for item in value.list_value.values]
    if kind == "struct_value":
        fields = plain(value.struct_value)
        return fields["value"] if fields.get(SIGNATURE) == SECRET else fields
    return None if kind in (None, "null_value") else getattr(value, kind)
