"""Rows against a recorded graph: what a row finds there, and the small changes that must make it fail.

Beside the inputs of a resource, its document holds what follows from the graph:

- `count` (of a row, not of a resource): how many resources match
- `options`: `deleteBeforeReplace`, `retainOnDelete`, `protect`
- `startsAfter`: the services whose containers or pods must be healthy, or done, before this one is created
- `members`: the services in a Docker network
- `reaches`, `reachedBy`: the services that a pod's network policies let it reach, and that they let in, on any port
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Final

from tests.conformance.model import Contains, Lacks, Row
from tests.conformance.paths import GONE, Missing, parse, put, read
from tests.support.network_policies import AROUND, Pod, network_of, pod_of
from tests.support.recording import Graph, Registration

SERVICE: Final = "ai-platform.service"
COUNT: Final = "count"
_SUFFIX = re.compile(r"-0000000\b")
"""Recorded physical names are the logical ones with this at the end."""


@dataclass(frozen=True)
class Finding:
    """What a row found."""

    row: Row
    problem: str | None
    """None: the row holds."""

    def __str__(self) -> str:
        return f"{self.row}: {self.problem}" if self.problem else str(self.row)


def normalised(graph: Graph) -> Graph:
    """The graph with logical names in place of physical ones."""
    return Graph(
        resources=[replace(one, inputs=_logical(one.inputs)) for one in graph.resources],
        outputs=graph.outputs,
        exports=graph.exports,
    )


def check(row: Row, graph: Graph) -> Finding:
    """Whether the row holds on a normalised graph."""
    matching = _matching(row, graph)
    if row.path == COUNT:
        count = len(matching)
        return Finding(row, None if row.expected.holds(count) else f"{count} of them are registered")
    if not matching:
        return Finding(row, "no such resource is registered")
    steps = parse(row.path)
    for one in matching:
        try:
            actual = read(_document(one, graph, _root(row)), steps)
        except Missing as missing:
            return Finding(row, f"{one.name} has no such property: {missing}")
        if not row.expected.holds(actual):
            return Finding(row, f"{one.name} has {_short(actual)}")
    return Finding(row, None)


def mutants(row: Row, graph: Graph) -> Iterator[tuple[str, Graph]]:
    """Graphs in which the row must fail, each with what was done to it. The row must hold on `graph`."""
    matching = _matching(row, graph)
    if row.path == COUNT:
        yield from _other_counts(row, graph, matching)
        return
    yield "no resource", _without(graph, matching)
    root = _root(row)
    derived = {
        "startsAfter": _early,
        "members": _rewired,
        "options": _flipped,
        "reaches": _refenced,
        "reachedBy": _refenced,
    }
    for one in matching:
        if root in derived:
            yield from derived[root](row, graph, one)
        else:
            yield from _changed(row, graph, one)


def _changed(row: Row, graph: Graph, one: Registration) -> Iterator[tuple[str, Graph]]:
    steps = parse(row.path)
    actual = read(one.inputs, steps)
    yield f"{one.name} without it", _with(graph, one, replace(one, inputs=put(one.inputs, steps, GONE)))
    for value in row.expected.spoil(actual):
        changed = replace(one, inputs=put(one.inputs, steps, value))
        yield f"{one.name} with {_short(value)}", _with(graph, one, changed)


def _early(row: Row, graph: Graph, one: Registration) -> Iterator[tuple[str, Graph]]:
    yield f"{one.name} starts at once", _with(graph, one, replace(one, depends_on=frozenset()))
    before = set(_starts_after(one, graph))
    for service, container in {_service(each): each for each in _workloads(graph)}.items():
        if service in before | {_service(one)} or isinstance(row.expected, Contains):
            continue
        if not isinstance(row.expected, Lacks) or service in row.expected.members:
            later = replace(one, depends_on=one.depends_on | {container.urn})
            yield f"{one.name} starts after {service}", _with(graph, one, later)


def _rewired(row: Row, graph: Graph, one: Registration) -> Iterator[tuple[str, Graph]]:
    members = _members(one, graph)
    wanted = row.expected.parts if isinstance(row.expected, Contains) else None
    for container in graph.of_type(":Container"):
        networks = container.inputs.get("networksAdvanced", [])
        service, inside = _service(container), any(network["name"] == one.name for network in networks)
        if wanted is None and not inside and service not in members:
            more = {**container.inputs, "networksAdvanced": [*networks, {"name": one.name}]}
            yield f"{container.name} joins", _with(graph, container, replace(container, inputs=more))
    for service in members if wanted is None else wanted:
        alone = graph
        for container in graph.of_type(":Container"):
            if _service(container) == service:
                rest = [n for n in container.inputs.get("networksAdvanced", []) if n["name"] != one.name]
                alone = _with(
                    alone, container, replace(container, inputs={**container.inputs, "networksAdvanced": rest})
                )
        yield f"{service} leaves", alone


def _refenced(row: Row, graph: Graph, one: Registration) -> Iterator[tuple[str, Graph]]:
    del row
    policies = graph.of_type(":NetworkPolicy")
    yield f"{one.name} without any fence", _without(graph, policies)
    # Those that refuse everything have no rules.
    yield (
        f"{one.name} behind closed doors",
        _without(graph, [policy for policy in policies if {"ingress", "egress"} & set(policy.inputs["spec"])]),
    )


def _flipped(row: Row, graph: Graph, one: Registration) -> Iterator[tuple[str, Graph]]:
    del row
    before, keep = one.delete_before_replace, one.retain_on_delete
    flipped = replace(one, delete_before_replace=not before, retain_on_delete=not keep, protect=not one.protect)
    yield f"{one.name} with other options", _with(graph, one, flipped)


def _other_counts(row: Row, graph: Graph, matching: list[Registration]) -> Iterator[tuple[str, Graph]]:
    name = row.resource.replace("[0-9]", "9").replace("*", "9").replace("?", "9")
    like = matching[0] if matching else _workloads(graph)[0]
    extra = Graph([*graph.resources, replace(like, name=name, urn=f"{like.urn}~")], graph.outputs, graph.exports)
    yield "one more", extra
    if matching:
        yield "one fewer", _without(graph, matching[:1])


def _document(one: Registration, graph: Graph, root: str) -> Mapping[str, Any]:
    """The inputs, and what follows from the graph where a path begins with it."""
    derived: Mapping[str, Callable[[Registration, Graph], Any]] = {
        "options": _options,
        "startsAfter": _starts_after,
        "members": _members,
        "reaches": _reaches,
        "reachedBy": _reached_by,
    }
    return {**one.inputs, root: derived[root](one, graph)} if root in derived else one.inputs


def _options(one: Registration, graph: Graph) -> dict[str, bool | None]:
    del graph
    return {
        "deleteBeforeReplace": one.delete_before_replace,
        "retainOnDelete": one.retain_on_delete,
        "protect": one.protect,
    }


def _members(one: Registration, graph: Graph) -> list[str]:
    return sorted(
        {
            _service(container)
            for container in graph.of_type(":Container")
            if any(network["name"] == one.name for network in container.inputs.get("networksAdvanced", []))
        }
    )


def _reaches(one: Registration, graph: Graph) -> list[str]:
    network, mine = network_of(graph, AROUND), _pod(one)
    return sorted({pod.name for pod in network.pods for port in pod.ports if network.allows(mine, pod, port)})


def _reached_by(one: Registration, graph: Graph) -> list[str]:
    network, mine = network_of(graph, AROUND), _pod(one)
    return sorted({pod.name for pod in network.pods for port in mine.ports if network.allows(pod, mine, port)})


def _pod(one: Registration) -> Pod:
    if (pod := pod_of(one)) is None:
        raise Missing("it makes no pod")
    return pod


def _workloads(graph: Graph) -> list[Registration]:
    """What runs: Docker's containers, and whatever makes pods."""
    return [one for one in graph.resources if one.type.endswith(":Container") or pod_of(one) is not None]


def _starts_after(one: Registration, graph: Graph) -> list[str]:
    by_urn = {each.urn: each for each in graph.resources}
    seen: set[str] = set()
    ahead = set(one.depends_on)
    while ahead:
        urn = ahead.pop()
        if urn in seen or urn not in by_urn:
            continue
        seen.add(urn)
        ahead |= by_urn[urn].depends_on
    runs = {each.urn for each in _workloads(graph)}
    return sorted({_service(by_urn[urn]) for urn in seen & runs})


def _service(one: Registration) -> str:
    if (pod := pod_of(one)) is not None:
        return pod.name
    labels = {label["label"]: label["value"] for label in one.inputs.get("labels", [])}
    return str(labels.get(SERVICE, one.name))


def _root(row: Row) -> str:
    return re.split(r"[.\[ ]", row.path, maxsplit=1)[0]


def _matching(row: Row, graph: Graph) -> list[Registration]:
    return [one for one in graph.resources if one.custom and fnmatchcase(one.name, row.resource)]


def _with(graph: Graph, old: Registration, new: Registration) -> Graph:
    return Graph([new if one.urn == old.urn else one for one in graph.resources], graph.outputs, graph.exports)


def _without(graph: Graph, gone: list[Registration]) -> Graph:
    urns = {one.urn for one in gone}
    return Graph([one for one in graph.resources if one.urn not in urns], graph.outputs, graph.exports)


def _logical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _logical(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_logical(child) for child in value]
    return _SUFFIX.sub("", value) if isinstance(value, str) else value


def _short(value: Any, limit: int = 160) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"
