"""The model as a map: what stands at the place that a validation error names, and how to write it."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from config.model import StackFile
from config.report import Path
from config.strict import Model

_KEY: Final = "[key]"
"""Last step of an error about a key of a mapping, not about its value."""


@dataclass(frozen=True)
class Place:
    """A place of the stack file as the model knows it."""

    path: Path
    field: FieldInfo | None
    """The model's field there, or that holds the place; None for a key that no model knows."""
    owner: type[Model] | None
    """The model that the last key was looked up in."""
    on_key: bool = False
    """It is about the key itself."""
    tags: tuple[str, ...] = ()
    """Where the value is one of several variants: their names."""

    @property
    def siblings(self) -> list[str]:
        """Keys that are known beside this one."""
        return sorted(_fields(self.owner)) if self.owner else []

    @property
    def example(self) -> str:
        """The field as a line of YAML."""
        if self.field is None or not self.field.examples:
            return f"{self.path[-1]}: …"
        return f"{self.field.alias}: {_yaml(self.field.examples[0])}"

    @property
    def description(self) -> str:
        """What the field's documentation says."""
        return (self.field.description or "") if self.field else ""


def locate(loc: tuple[str | int, ...]) -> Place:
    """The place that a pydantic error of `StackFile` is about."""
    path: list[str | int] = []
    node: Any = StackFile
    place = Place((), None, None)
    for step in loc:
        node = _bare(node)
        variants = _variants(node)
        if variants:  # The step is the variant's name, which is not a key of the stack file.
            node = variants.get(str(step))
            continue
        if isinstance(node, type) and issubclass(node, Model):
            info = _fields(node).get(str(step))
            place = replace(place, field=info, owner=node)
            node = info.annotation if info else None
        elif get_origin(node) is tuple or _is_mapping(node):
            node = get_args(node)[0 if get_origin(node) is tuple else 1]
        elif step == _KEY:
            place = replace(place, on_key=True)
            continue
        path.append(step)
    return replace(place, path=tuple(path), tags=tuple(_variants(_bare(node))))


def _fields(model: type[Model]) -> dict[str, FieldInfo]:
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _bare(annotation: Any) -> Any:
    """Without `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return _bare(members[0]) if len(members) == 1 else annotation
    return annotation


def _is_mapping(annotation: Any) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _variants(annotation: Any) -> dict[str, Any]:
    """The members of a discriminated union by the names that select them."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return {}
    found: dict[str, Any] = {}
    for member in get_args(annotation):
        for info in getattr(member, "model_fields", {}).values():
            if get_origin(info.annotation) is Literal:
                found[get_args(info.annotation)[0]] = member
                break  # The selecting field is a model's first.
    return found


def _yaml(value: Any) -> str:
    """Flow style on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_yaml(child) for child in value) + "]"
    if isinstance(value, str) and (not value or value[0].isdigit() or value[0] in "*&!%@`{["):
        return json.dumps(value)
    return value if isinstance(value, str) else json.dumps(value)
