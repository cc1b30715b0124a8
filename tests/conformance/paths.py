r"""Reads and changes one property of a resource's document, by path.

A path is a chain of steps, parted by ` | `, each a dotted name or the name of a format that a text is parsed as:

    healthcheck.tests[-1]
    envs[POSTGRES_DB]
    uploads[/etc/prometheus/prometheus.yml] | yaml | scrape_configs[job_name=web].metrics_path
    networksAdvanced[*].name

Lists that are keyed by a field (Docker's `labels`, `envs`, `uploads`, `mounts`, Kubernetes' `env` and `volumeMounts`)
are read by that key, and mappings of the same name as what they are; `[name=value]` picks the one member of a list,
`[*]` all of them. Each step can put a value back, which is how the tests of the tables change a
recorded graph and see the rows fail.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import yaml

KEYED: Final = {
    "labels": ("label", "value"),
    "uploads": ("file", "content"),
    "mounts": ("target", None),
    "env": ("name", "value"),
    "volumeMounts": ("mountPath", None),
}
"""Lists of inputs: field that is the key, field that is the value (None: the whole member)."""
SECRET: Final = "[secret] "  # noqa: S105 - a marker
"""Stands before the value of a recorded secret."""
GONE: Final = object()
"""Put in place of a value, takes the property away."""
_STEP = re.compile(r"([^.\[\]]+)|\[((?:[^\[\]])+)\]|\.")


class Missing(LookupError):
    """The document has no such property."""


class Step(Protocol):
    """One step of a path, in both directions."""

    def read(self, value: Any) -> Any:
        """The inner value. Raises Missing."""

    def put(self, value: Any, inner: Any) -> Any:
        """`value` with another inner value; `GONE` removes it."""


@dataclass(frozen=True)
class Key:
    """A member of a mapping, or of a list by its index."""

    name: str

    def read(self, value: Any) -> Any:
        try:
            return value[int(self.name)] if isinstance(value, list) else value[self.name]
        except (LookupError, TypeError, ValueError):
            raise Missing(f"there is no {self.name!r}") from None

    def put(self, value: Any, inner: Any) -> Any:
        copy = value.copy()
        index = int(self.name) if isinstance(value, list) else self.name
        if inner is GONE:
            del copy[index]
        else:
            copy[index] = inner
        return copy


@dataclass(frozen=True)
class Pick:
    """The one member of a list whose field has a value; its `inner` field, or the whole of it."""

    field: str
    wanted: str
    inner: str | None = None

    def read(self, value: Any) -> Any:
        if isinstance(value, dict) and self.inner is not None:
            return Key(self.wanted).read(value)
        found = value[self._index(value)]
        return found if self.inner is None else Key(self.inner).read(found)

    def put(self, value: Any, inner: Any) -> Any:
        if isinstance(value, dict) and self.inner is not None:
            return Key(self.wanted).put(value, inner)
        index = self._index(value)
        if inner is GONE:
            return value[:index] + value[index + 1 :]
        changed = inner if self.inner is None else {**value[index], self.inner: inner}
        return [*value[:index], changed, *value[index + 1 :]]

    def _index(self, value: Any) -> int:
        found = [
            index
            for index, one in enumerate(value if isinstance(value, list) else ())
            if isinstance(one, dict) and str(one.get(self.field)) == self.wanted
        ]
        if len(found) != 1:
            raise Missing(f"{len(found) or 'none'} of the list has {self.field} {self.wanted!r}")
        return found[0]


@dataclass(frozen=True)
class Variable:
    """One of `NAME=value`; a secret keeps its mark in front of the value."""

    name: str

    def read(self, value: Any) -> Any:
        entry = value[self._index(value)]
        mark = SECRET if entry.startswith(SECRET) else ""
        return mark + entry.removeprefix(SECRET).partition("=")[2]

    def put(self, value: Any, inner: Any) -> Any:
        index = self._index(value)
        if inner is GONE:
            return value[:index] + value[index + 1 :]
        mark = SECRET if inner.startswith(SECRET) else ""
        return [*value[:index], f"{mark}{self.name}={inner.removeprefix(SECRET)}", *value[index + 1 :]]

    def _index(self, value: Any) -> int:
        entries = value if isinstance(value, list) else []
        for index, entry in enumerate(entries):
            if entry.removeprefix(SECRET).startswith(f"{self.name}="):
                return index
        raise Missing(f"there is no variable {self.name}")


@dataclass(frozen=True)
class Parsed:
    """A text, read as YAML or JSON."""

    language: str

    def read(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise Missing(f"no text to read as {self.language}")
        try:
            return json.loads(value) if self.language == "json" else yaml.safe_load(value)
        except (ValueError, yaml.YAMLError) as error:
            raise Missing(f"the text is not {self.language}: {error}") from None

    def put(self, value: Any, inner: Any) -> Any:
        del value
        if inner is GONE:
            return ""
        return json.dumps(inner) if self.language == "json" else yaml.safe_dump(inner)


@dataclass(frozen=True)
class Each:
    """All members of a list; what follows is read from each of them."""

    rest: tuple[Step, ...]

    def read(self, value: Any) -> Any:
        if not isinstance(value, list):
            raise Missing("there is no list")
        return [read(one, self.rest) for one in value]

    def put(self, value: Any, inner: Any) -> Any:
        """Members beyond the new list go; members beyond the old one are made like the last."""
        inner = [] if inner is GONE else inner
        old = [*value, *[value[-1]] * max(0, len(inner) - len(value))]
        return [put(one, self.rest, new) for one, new in zip(old, inner, strict=False)]


def parse(path: str) -> tuple[Step, ...]:
    """The steps of a path. Raises ValueError for one that cannot be read."""
    steps: list[Step] = []
    for part in path.split(" | "):
        if part in {"yaml", "json"}:
            steps.append(Parsed(part))
            continue
        matched = list(_STEP.finditer(part))
        if "".join(match[0] for match in matched) != part:
            raise ValueError(f"{path!r} is no path: {part!r}")
        keys = [match[0] for match in matched if match[0] != "."]
        steps += _steps(keys)
    return _nest(steps)


def _steps(keys: Sequence[str]) -> list[Step]:
    steps: list[Step] = []
    previous = ""
    for key in keys:
        bare = key[1:-1] if key.startswith("[") else key
        if not key.startswith("[") or bare.lstrip("-").isdigit():
            steps.append(Key(bare))
        elif bare == "*":
            steps.append(Each(()))
        elif previous == "envs":
            steps.append(Variable(bare))
        elif "=" in bare:
            field, _, wanted = bare.partition("=")
            steps.append(Pick(field, wanted))
        elif previous in KEYED:
            field, inner = KEYED[previous]
            steps.append(Pick(field, bare, inner))
        else:
            steps.append(Key(bare))
        previous = bare
    return steps


def _nest(steps: Sequence[Step]) -> tuple[Step, ...]:
    for index, step in enumerate(steps):
        if isinstance(step, Each):
            return (*steps[:index], Each(_nest(steps[index + 1 :])))
    return tuple(steps)


def read(document: Any, steps: Sequence[Step]) -> Any:
    """The value at the end of the path. Raises Missing."""
    for step in steps:
        document = step.read(document)
    return document


def put(document: Any, steps: Sequence[Step], new: Any) -> Any:
    """A copy of the document with `new` at the end of the path. Raises Missing."""
    if not steps:
        return new
    step, *rest = steps
    if not rest:
        return step.put(document, new)
    return step.put(document, put(step.read(document), rest, new))
