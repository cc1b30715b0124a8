"""A composition as a Mermaid flow chart, which GitHub and GitLab draw inside comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from report.composition import Composition, Key, Service

CLIENTS: Final = "clients"
GROUPS: Final = (
    ("tiers", ("app",)),
    ("background work", ("worker", "scheduler")),
    ("data", ("data",)),
    ("telemetry", ("telemetry",)),
)
"""Title and roles of what is drawn together; jobs have ended when anybody looks."""
SHAPES: Final = {"proxy": '{{"%s"}}', "data": '[("%s")]', "worker": '[["%s"]]', "scheduler": '(["%s"])'}
UNSAFE: Final = re.compile(r"[^\w .:/×,-]", flags=re.ASCII)


def draw(composition: Composition) -> str:
    """The chart, without its code fence. Links of telemetry are dotted."""
    drawn = {service.key for service in composition.services if service.role != "job"}
    quiet = {service.key for service in composition.of("telemetry")}
    lines = ["flowchart LR", *_outside(composition)]
    for system in sorted({service.key.system for service in composition.services}):
        lines += _system(system, [one for one in composition.services if one.key.system == system])
    lines += [
        f"  {_id(link.source)} {'-.->' if link.source in quiet else '-->'} {_id(link.target)}"
        for link in composition.links
        if link.source in drawn and link.target in drawn
    ]
    return "\n".join(lines)


def _outside(composition: Composition) -> Iterator[str]:
    published = [service for service in composition.services if service.ports]
    if published:
        yield f'  {CLIENTS}(("clients"))'
    for service in published:
        yield f"  {CLIENTS} -->|{', '.join(str(port) for port in service.ports)}| {_id(service.key)}"


def _system(system: str, services: list[Service]) -> Iterator[str]:
    yield f'  subgraph {_word(system)}["{_text(system)}"]'
    grouped = {role for _, roles in GROUPS for role in roles}
    for service in services:
        if service.role not in grouped and service.role != "job":
            yield f"    {_node(service)}"
    for title, roles in GROUPS:
        members = [service for service in services if service.role in roles]
        if members:
            yield f'    subgraph {_word(f"{system} {title}")}["{title}"]'
            yield from (f"      {_node(service)}" for service in members)
            yield "    end"
    yield "  end"


def _node(service: Service) -> str:
    text = _text(service.key.service) + (f" ×{service.replicas}" if service.replicas > 1 else "")
    return _id(service.key) + SHAPES.get(service.role, '["%s"]') % text


def _id(key: Key) -> str:
    return _word(f"{key.system} {key.service}")


def _word(text: str) -> str:
    # `end` and a leading `o` or `x` have a meaning in Mermaid: no identifier begins or ends as one of them.
    return "n_" + re.sub(r"\W+", "_", text, flags=re.ASCII)


def _text(text: str) -> str:
    return UNSAFE.sub(" ", text)
