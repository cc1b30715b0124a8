"""Property trees as the rules see them: plain Python, with what is secret and what is not known yet marked.

The policy library hands out proxies that raise on unknown values and hide which values are secrets. The rules need
neither: an unknown value is `UNKNOWN` and a Pulumi secret is `Sensitive`, each just where it stands in the tree, so one
unknown property never silences the rest of a rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final


class Unknown:
    """A value that the engine will know only while it deploys."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Sensitive:
    """A Pulumi secret. Its text form never shows the value."""

    value: Any

    def __repr__(self) -> str:
        return "Sensitive(…)"


@dataclass(frozen=True)
class Leaf:
    """A scalar of a property tree."""

    path: tuple[str, ...]
    value: Any
    sensitive: bool
    """The value, or something that holds it, is a Pulumi secret."""

    def __repr__(self) -> str:
        return f"Leaf({'.'.join(self.path)})"


def reveal(value: Any) -> Any:
    """The same tree without the secret marks, for rules that look at shape only."""
    if isinstance(value, Sensitive):
        return reveal(value.value)
    if isinstance(value, Mapping):
        return {key: reveal(child) for key, child in value.items()}
    if isinstance(value, list):
        return [reveal(child) for child in value]
    return value


def leaves(value: Any, path: tuple[str, ...] = (), *, sensitive: bool = False) -> Iterator[Leaf]:
    """Every scalar below `value`, in the order of the tree; unknown ones included."""
    if isinstance(value, Sensitive):
        yield from leaves(value.value, path, sensitive=True)
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from leaves(child, (*path, str(key)), sensitive=sensitive)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, child in enumerate(value):
            yield from leaves(child, (*path, str(index)), sensitive=sensitive)
    elif value is not None:
        yield Leaf(path, value, sensitive)


def dig(tree: Any, *path: str | int) -> Any:
    """What stands at a path: None when nothing does, `UNKNOWN` when it, or something that holds it, is not known yet.

    Secret marks are kept: what stands below a `Sensitive` comes back as one.
    """
    value, sensitive = tree, False
    for part in path:
        if isinstance(value, Sensitive):
            value, sensitive = value.value, True
        if value is UNKNOWN:
            break
        if isinstance(value, Mapping):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return Sensitive(value) if sensitive and value is not None and not isinstance(value, Sensitive) else value


def known(value: Any) -> Any:
    """The value; None when it is not known yet."""
    return None if value is UNKNOWN else value


def entries(value: Any) -> list[Any]:
    """The known entries of a list; empty when it is not set, not a list, or not known yet."""
    return [entry for entry in value if entry is not UNKNOWN] if isinstance(value, list) else []


def blocks(value: Any) -> list[Mapping[str, Any]]:
    """The known objects of a list."""
    return [entry for entry in entries(value) if isinstance(entry, Mapping)]


def has_unknown(value: Any) -> bool:
    """The value, or an entry of it, is not known yet."""
    return value is UNKNOWN or (isinstance(value, list) and any(entry is UNKNOWN for entry in value))


def port_text(port: Any) -> str:
    """A port, by number or by name, as it is written: the engine hands every number over as a float."""
    return f"{port:g}" if isinstance(port, int | float) else str(port)
