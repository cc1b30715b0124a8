"""The stack file as text: on which line a key stands, what kind of scalar it is, what is stored encrypted.

The engine hands over values without their places, and every value as text. This module reads the same file again for
what got lost. It judges nothing; line numbers, scalar types and the search for plain secrets depend on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from config.report import Path

NAMESPACE: Final = "ai-platform"
_SECURE: Final = "secure"
_MERGE: Final = "<<"
_TYPED: Final = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool")
_UNREADABLE: Final = (OSError, UnicodeError, ValueError, RecursionError, yaml.YAMLError)


@dataclass(frozen=True)
class StackText:
    """A composed stack file; one that cannot be read knows no places."""

    name: str
    """File name for the report."""
    config: MappingNode | None = None
    top: int | None = None
    """Line of the key `config`."""

    @classmethod
    def read(cls, folder: FilePath, stack: str) -> StackText:
        """`Pulumi.<stack>.yaml` in `folder`. Syntax errors are the engine's to report: it reads the file first."""
        name = f"Pulumi.{stack}.yaml"
        try:
            top = yaml.compose((folder / name).read_bytes(), Loader=yaml.SafeLoader)
        except _UNREADABLE:
            return cls(name)
        config = _child(top, "config")
        if config is None or not isinstance(config[1], MappingNode):
            return cls(name)
        return cls(name, config[1], config[0].start_mark.line + 1)

    def holds(self, values: Mapping[str, str]) -> bool:
        """The values can have come from this file, as they do unless `--config-file` named another one."""
        if self.config is None:
            return False
        mine = [pair for pair in self.config.value if str(pair[0].value).startswith(f"{NAMESPACE}:")]
        try:
            return all(key.value in values and _agrees(node, _handed(node, values[key.value])) for key, node in mine)
        except (ValueError, RecursionError):
            return False

    def without_places(self) -> StackText:
        """The same stack, its values having come from elsewhere."""
        return StackText(f"The configuration in place of {self.name}")

    def line(self, path: Path) -> int | None:
        """Line of the key, or of what is there of the way to it; None where the file has nothing of it."""
        found = list(self._walk(path))
        return found[-1][0].start_mark.line + 1 if found else None

    def has(self, key: str) -> bool:
        """The file has this top-level key."""
        return next(self._walk((key,)), None) is not None

    def is_typed(self, key: str) -> bool:
        """The top-level value is a number or a truth value in YAML, not text."""
        found = list(self._walk((key,)))
        return bool(found) and isinstance(found[0][1], ScalarNode) and found[0][1].tag in _TYPED

    def is_text(self, key: str) -> bool:
        """The top-level value is a plain scalar, not a mapping or a list."""
        found = list(self._walk((key,)))
        return bool(found) and isinstance(found[0][1], ScalarNode)

    def leaves(self, key: str) -> Iterator[tuple[Path, bool]]:
        """Every leaf under a top-level key, with whether it is stored encrypted."""
        found = list(self._walk((key,)))
        if found:
            yield from _leaves((key,), found[0][1], ())

    def _walk(self, path: Path) -> Iterator[tuple[Node, Node]]:
        """Marker and value at each step of the way that the file has."""
        node: Node | None = self.config
        for depth, step in enumerate(path):
            # A key of another namespace comes with it.
            name = f"{NAMESPACE}:{step}" if depth == 0 and ":" not in str(step) else step
            pair = _child(node, name)
            if pair is None:
                return
            yield pair
            node = pair[1]


def _child(node: Node | None, step: str | int) -> tuple[Node, Node] | None:
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    if not isinstance(node, MappingNode):
        return None
    for key, value in node.value:
        if isinstance(key, ScalarNode) and key.value == str(step):
            return key, value
    for key, value in node.value:
        if isinstance(key, ScalarNode) and key.value == _MERGE:
            merged = value.value if isinstance(value, SequenceNode) else [value]
            for source in merged:
                found = _child(source, step)
                if found is not None:
                    return found
    return None


def _is_secure(node: Node) -> bool:
    return (
        isinstance(node, MappingNode)
        and len(node.value) == 1
        and node.value[0][0].value == _SECURE
        and isinstance(node.value[0][1], ScalarNode)
    )


def _leaves(path: Path, node: Node, above: tuple[Node, ...]) -> Iterator[tuple[Path, bool]]:
    if node in above:  # An anchor may hold itself.
        return
    if _is_secure(node):
        yield path, True
    elif isinstance(node, MappingNode):
        for key, value in node.value:
            inside = path if key.value == _MERGE else (*path, str(key.value))
            yield from _leaves(inside, value, (*above, node))
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            yield from _leaves((*path, index), value, (*above, node))
    else:
        yield path, False


def _agrees(node: Node, value: Any) -> bool:
    """The engine's value has the shape of the node; of scalars only texts are compared."""
    if _is_secure(node):
        return isinstance(value, str)
    if isinstance(node, SequenceNode):
        return (
            isinstance(value, list)
            and len(value) == len(node.value)
            and all(_agrees(child, one) for child, one in zip(node.value, value, strict=True))
        )
    if isinstance(node, MappingNode):
        return isinstance(value, dict) and all(
            key.value == _MERGE or (key.value in value and _agrees(child, value[key.value]))
            for key, child in node.value
        )
    if node.tag == "tag:yaml.org,2002:str" and isinstance(value, str):
        return bool(value == node.value)
    return not isinstance(value, dict | list)


def _handed(node: Node, text: str) -> Any:
    """The value behind the engine's text, as far as the node says what it is."""
    if isinstance(node, ScalarNode) or _is_secure(node):
        return text
    return json.loads(text)
