"""Validation, and its errors in plain words.

`examine` finds everything that is wrong with the shape of a configuration and hands back what is left when the broken
parts are taken out, so that the checks across keys run at once and not only after the first correction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import ValidationError

from config.fields import REFUSED
from config.model import StackFile
from config.report import Finding, Path, suggestion
from config.shape import Place, locate

MAX_DEPTH: Final = 32
"""Nesting beyond this is no configuration; the JSON parser would give up without naming a key."""

_PLACEHOLDERS: Final[Mapping[str, Any]] = {
    "environment": "development",
    "platform": {"kind": "docker"},
    "systems": [{"name": "unknown"}],
}
"""Stand in for required keys that are missing or broken, so that the others can be judged."""
_LISTS: Final = frozenset({"systems", "registries", "images", "policies", "secrets"})
"""Keys whose parts are judged one by one: a broken part leaves the others known."""
_TYPES: Final = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number of a reasonable size",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping: keys with values, indented below it",
    "model_type": "must be a mapping: keys with values, indented below it",
    "model_attributes_type": "must be a mapping: keys with values, indented below it",
    "tuple_type": "must be a list: lines that begin with a hyphen",
}


@dataclass(frozen=True)
class Draft:
    """A configuration whose broken parts are taken out."""

    stack: StackFile
    known: frozenset[str]
    """Top-level keys whose values are the stack file's own, or its defaults."""
    origin: Mapping[Path, tuple[int, ...]]
    """For each list, the index in the stack file of each element that stayed."""
    torn: frozenset[str]
    """Top-level lists that lost elements."""

    def place(self, path: Path) -> Path:
        """A path of the draft as the stack file counts it."""
        return _place(path, self.origin)

    def is_whole(self, key: str) -> bool:
        """No element of the list under this top-level key had to be taken out."""
        return key in self.known and key not in self.torn


def examine(raw: Mapping[str, Any]) -> tuple[Draft, list[Finding]]:
    """What is wrong with the shape of `raw`, and what is left without it."""
    findings: list[Finding] = []
    broken: set[Path] = set()
    for key, value in raw.items():
        if _too_deep(value):
            broken.add((key,))
            findings.append(Finding((key,), "is nested too deeply", "Compare it with the example in the guide."))
    while True:
        origin: dict[Path, tuple[int, ...]] = {}
        data = {key: _prune(value, (key,), broken, origin) for key, value in raw.items() if (key,) not in broken}
        absent = _PLACEHOLDERS.keys() - data.keys()
        try:
            # JSON mode: a list is what a strict tuple takes there. Placeholders come last: they are never judged.
            stack = StackFile.model_validate_json(json.dumps(data | {key: _PLACEHOLDERS[key] for key in absent}))
        except ValidationError as failure:
            before = frozenset(broken)
            for entry in failure.errors(include_url=False, include_input=False):
                place = locate(entry["loc"])
                place = replace(place, path=_place(place.path, origin))
                add(findings, _finding(entry["type"], place, raw, entry.get("ctx", {})))
                broken.add(_culprit(entry["type"], place.path, before))
        else:
            break
    for path in _nulls(data, ()):  # What the model takes for a key that is left out.
        add(findings, Finding(_place(path, origin), "has no value", "Give it one, or remove the key."))
    for key in sorted(_PLACEHOLDERS.keys() - raw.keys()):
        add(findings, _finding("missing", locate((key,)), raw, {}))
    lost = {str(path[0]) for path in broken if len(path) == 1 or path[0] not in _LISTS} | absent
    aliases = {info.alias or name for name, info in StackFile.model_fields.items()}
    torn = {str(path[0]) for path in broken if len(path) == 2 and isinstance(path[1], int)}  # noqa: PLR2004 - key, index
    return Draft(stack, frozenset(aliases - lost), origin, frozenset(torn)), findings


def _place(path: Path, origin: Mapping[Path, tuple[int, ...]]) -> Path:
    placed: list[str | int] = []
    for step in path:
        kept = origin.get(tuple(placed), ())
        placed.append(kept[step] if isinstance(step, int) and step < len(kept) else step)
    return tuple(placed)


def _culprit(kind: str, path: Path, broken: Iterable[Path]) -> Path:
    """The smallest part that must go for the rest to be valid."""
    part = path[:-1] if kind == "missing" and len(path) > 1 else path
    while part in broken and len(part) > 1:
        part = part[:-1]
    return part


def _prune(value: Any, path: Path, broken: set[Path], origin: dict[Path, tuple[int, ...]]) -> Any:
    if isinstance(value, dict):
        return {
            key: _prune(child, (*path, key), broken, origin)
            for key, child in value.items()
            if (*path, key) not in broken
        }
    if isinstance(value, list):
        kept = [index for index in range(len(value)) if (*path, index) not in broken]
        origin[path] = tuple(kept)
        return [_prune(value[index], (*path, index), broken, origin) for index in kept]
    # Half a surrogate pair is no text in JSON.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _nulls(value: Any, path: Path) -> Iterator[Path]:
    if value is None:
        yield path
    elif isinstance(value, dict | list):
        for step, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _nulls(child, (*path, step))


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def add(findings: list[Finding], new: Finding) -> None:
    """Add it unless it follows from another: one problem for each key, the innermost first."""
    for done in findings:
        shared = min(len(done.path), len(new.path))
        if done.path[:shared] == new.path[:shared]:
            return
    findings.append(new)


def _value(raw: Any, path: Path) -> Any:
    try:
        for step in path:
            raw = raw[step]
    except (LookupError, TypeError):
        return None
    return raw


def _finding(kind: str, place: Place, raw: Mapping[str, Any], context: Mapping[str, Any]) -> Finding:
    given = _value(raw, place.path)
    explain = _EXPLAIN.get(kind)
    if given is None and not place.on_key and kind not in _ABSENT:
        problem, fix = "has no value", f"Give it one, for example `{place.example}`, or remove the key."
    elif explain is not None:
        problem, fix = explain(place, given, context)
    else:
        problem, fix = _TYPES.get(kind, "is not valid"), _retype(kind, given, place)
    if kind in _TAGS:  # It is about the key that selects the variant.
        key = context["discriminator"].strip("'")
        return Finding((*place.path, key), *_tag(kind, _value(raw, (*place.path, key)), place.tags))
    return Finding(place.path, problem, fix)


def _refused(place: Place, given: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    del place, given
    return context["problem"], context["fix"]


def _missing(place: Place, given: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    del given, context
    return "is missing", f"Add it, for example `{place.example}`."


def _unknown(place: Place, given: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    del given, context
    return "is not a known key", suggestion(place.path[-1], place.siblings)


def _name(place: Place, given: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    names = re.findall(r"'([^']*)'", context["expected"])
    return f"is none of {', '.join(names)}", suggestion(place.path[-1] if place.on_key else given, names)


def _short(place: Place, given: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    what = "characters" if isinstance(given, str) else "elements"
    problem = f"has fewer than {context['min_length']} {what}" if given else "is empty"
    return problem, f"Write it, for example, like `{place.example}`."


def _limit(place: Place, given: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    bound = context["ge"] if "ge" in context else context["le"]
    side, way = ("below the minimum", "more") if "ge" in context else ("above the maximum", "less")
    if isinstance(given, int | float):
        return f"{given} is {side} of {bound}", f"Set {bound} or {way}."
    # Amounts with a unit: the key's description gives the bound in that unit.
    return f"is {side}", f"Set {way}: {place.description[:1].lower()}{place.description[1:]}"


def _tag(kind: str, given: Any, names: Sequence[str]) -> tuple[str, str]:
    if kind == "union_tag_not_found":
        return "is missing", f"Add it, with one of {', '.join(names)}."
    return f"is none of {', '.join(names)}", suggestion(given, names)


def _retype(kind: str, given: Any, place: Place) -> str:
    if kind == "string_type" and isinstance(given, int | float):
        return "Put it in quotes."
    if kind in ("int_type", "float_type", "bool_type") and isinstance(given, str):
        return f"Write it without quotes, for example `{place.example}`."
    return f"Write it, for example, like `{place.example}`."


_EXPLAIN: Final[Mapping[str, Callable[[Place, Any, Mapping[str, Any]], tuple[str, str]]]] = {
    REFUSED: _refused,
    "missing": _missing,
    "extra_forbidden": _unknown,
    "literal_error": _name,
    "too_short": _short,
    "string_too_short": _short,
    "greater_than_equal": _limit,
    "less_than_equal": _limit,
}
_TAGS: Final = ("union_tag_invalid", "union_tag_not_found")
_ABSENT: Final = ("missing", "extra_forbidden", *_TAGS)
"""Errors that are not about a value."""
