"""What a conformance table is made of: facts, and for each place where one shows, how it is shown there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

PLACES: Final = {"D": "dev", "S": "staging", "P": "prod", "CI": "pipeline"}
"""Where a fact can show, as the acceptance tables abbreviate it, and the name of the stack."""
STANDARD: Final = "standard"
INNER_LOOP: Final = "inner-loop"
OFF_SITE: Final = "off-site"
"""With a bucket for backups, which the tracked stack files do not name."""
LOGGED: Final = "logged"
"""With a store for logs, whose images the tracked stack files do not name."""


class Expected:
    """What a property must be; a plain value in a row stands for `Equals`."""

    def holds(self, actual: Any) -> bool:
        """Whether the property has the value."""
        raise NotImplementedError

    def spoil(self, actual: Any) -> Iterator[Any]:
        """Values close to `actual` that must not pass."""
        raise NotImplementedError


@dataclass(frozen=True)
class Equals(Expected):
    """The property is exactly this."""

    value: Any

    def holds(self, actual: Any) -> bool:
        # True is not 1 here.
        return type(actual) is type(self.value) and bool(actual == self.value)

    def spoil(self, actual: Any) -> Iterator[Any]:
        yield other(actual)

    def __str__(self) -> str:
        return f"is {self.value!r}"


@dataclass(frozen=True)
class Contains(Expected):
    """The text has each of these parts, or the list each of these members."""

    parts: tuple[Any, ...]

    def holds(self, actual: Any) -> bool:
        return isinstance(actual, str | list) and all(part in actual for part in self.parts)

    def spoil(self, actual: Any) -> Iterator[Any]:
        for part in self.parts:
            if isinstance(actual, str):
                yield actual.replace(part, other(part)[::-1])
            else:
                yield [member for member in actual if member != part]

    def __str__(self) -> str:
        return "contains " + ", ".join(repr(part) for part in self.parts)


@dataclass(frozen=True)
class Lacks(Expected):
    """The list has none of these members, and is not empty."""

    members: tuple[Any, ...]

    def holds(self, actual: Any) -> bool:
        return isinstance(actual, list) and bool(actual) and not any(member in actual for member in self.members)

    def spoil(self, actual: Any) -> Iterator[Any]:
        yield []
        for member in self.members:
            yield [*actual, member]

    def __str__(self) -> str:
        return "lacks " + ", ".join(repr(member) for member in self.members)


def contains(*parts: Any) -> Contains:
    """The text has each part, or the list each member."""
    return Contains(parts)


def lacks(*members: Any) -> Lacks:
    """A list, not empty, without any of the members."""
    return Lacks(members)


def other(value: Any) -> Any:
    """A value of the same type that is not equal to `value`."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}~"
        case list():
            return value[:-1] or ["~"]
        case dict():
            return {key: other(child) for key, child in value.items()} or {"~": 1}
    raise TypeError(f"no other value is known for a {type(value).__name__}")


@dataclass(frozen=True)
class Row:
    """One property of the registered graph and its value. Every resource that matches must have it."""

    resource: str
    """Logical name, as a shell pattern."""
    path: str
    """See `tests.conformance.paths`."""
    expected: Expected
    profile: str = STANDARD

    def __str__(self) -> str:
        loop = "" if self.profile == STANDARD else f" (profile {self.profile})"
        return f"{self.resource}: {self.path} {self.expected}{loop}"


@dataclass(frozen=True)
class Behaviour:
    """Tests with the fact's mark, `@pytest.mark.fact("ARE-015", stack="D")`, in one file or folder."""

    where: str
    """Relative to the repository."""
    says: str
    """What the tests show."""


@dataclass(frozen=True)
class Decided:
    """Done differently, on purpose."""

    adr: str
    """The record's file name in docs/adr without number and suffix."""
    reason: str


@dataclass(frozen=True)
class NotInfrastructure:
    """Nothing that a deployment could show."""

    reason: str


@dataclass(frozen=True)
class Open:
    """Still to come."""

    stage: str


@dataclass(frozen=True)
class Evidence:
    """How a fact is shown in one place: all rows must hold and all behaviour must have been seen."""

    rows: tuple[Row, ...] = ()
    behaviour: tuple[Behaviour, ...] = ()
    adr: str | None = None
    """The record that says why it is shown this way, where that needs saying; like `Decided.adr`."""


Answer = Evidence | Decided | NotInfrastructure | Open


@dataclass(frozen=True)
class Fact:
    """One fact of an acceptance table."""

    number: int
    title: str
    asked: tuple[str, ...]
    """Places where the acceptance table asks for it."""
    answers: dict[str, Answer] = field(hash=False)
    """By place; places beyond `asked` may show it, too."""


@dataclass(frozen=True)
class Table:
    """One system's acceptance table."""

    system: str
    prefix: str
    count: int
    """Number of facts in the acceptance table."""
    facts: tuple[Fact, ...]

    def id_of(self, fact: Fact) -> str:
        """`ARE-012`."""
        return f"{self.prefix}-{fact.number:03}"


def row(resource: str, path: str, expected: Any, *, profile: str = STANDARD) -> Row:
    """A row; a plain `expected` means equality."""
    return Row(resource, path, expected if isinstance(expected, Expected) else Equals(expected), profile)


def shown(*evidence: Row | Behaviour | Sequence[Row], adr: str | None = None) -> Evidence:
    """Rows and behaviour that show a fact together."""
    flat = [one for each in evidence for one in (each if isinstance(each, Sequence) else [each])]
    return Evidence(
        rows=tuple(one for one in flat if isinstance(one, Row)),
        behaviour=tuple(one for one in flat if isinstance(one, Behaviour)),
        adr=adr,
    )
