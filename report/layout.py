"""Where each service stands in the architecture picture, and which way its links go: plain arithmetic over a grid.

The foundation is a column at the left; each system is a frame at its right, with the tiers in the order in which
requests pass them, background work below the last tier, data at the far right, and telemetry in a band below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from report.composition import Composition, Key, Link, Service

WIDTH, HEIGHT = 184, 66
"""Size of a box."""
COLUMN: Final = 276
ROW: Final = 104
MARGIN: Final = 28
LEFT: Final = 128
"""Left edge of the foundation's frame: room for the clients."""
TOP: Final = 96
HEAD: Final = 48
"""Room for a frame's title."""
COLLECTOR_LINKS: Final = 3
"""A telemetry service with more links than this is the collector: it watches all the others."""


Place = tuple[float, float]
"""Left and upper edge."""


@dataclass(frozen=True)
class Box:
    """A service in its place."""

    service: Service
    x: float
    y: float
    networked: bool
    """Whether it owns a network, which is drawn around it."""

    @property
    def right(self) -> float:
        """Distance of the right edge from the left."""
        return self.x + WIDTH

    @property
    def bottom(self) -> float:
        """Distance of the lower edge from the top."""
        return self.y + HEIGHT

    @property
    def middle(self) -> tuple[float, float]:
        """The centre."""
        return self.x + WIDTH / 2, self.y + HEIGHT / 2


@dataclass(frozen=True)
class Frame:
    """What belongs together."""

    title: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """The picture without its style."""

    frames: tuple[Frame, ...]
    bands: tuple[Frame, ...]
    """Parts of a frame."""
    boxes: Mapping[Key, Box]
    links: tuple[Link, ...]
    """Links to draw; those of the collector are marks at their targets instead."""
    watched: frozenset[Key]
    """What the collector scrapes."""
    collector: Key | None
    width: float
    height: float


def arrange(composition: Composition, foundation: str = "foundation") -> Layout:
    """The layout of a composition; jobs are left out."""
    shown = [service for service in composition.services if service.role != "job"]
    keys = {service.key for service in shown}
    links = [link for link in composition.links if link.source in keys and link.target in keys]
    collector = _collector(shown, links)
    places: dict[Key, Place] = {}
    frames: list[Frame] = []
    bands: list[Frame] = []
    top, left = float(TOP), LEFT + WIDTH + 3 * MARGIN
    for system, members in groupby(shown, key=lambda service: service.key.system):
        if system == foundation:
            continue
        frame, band, placed = _system(system, list(members), links, left, top)
        frames.append(frame)
        bands.append(band)
        places |= placed
        top += frame.height + MARGIN
    height = (max(frame.y + frame.height for frame in frames) if frames else top + 4 * ROW) - TOP
    frames.insert(0, Frame(foundation, LEFT, TOP, WIDTH + 2 * MARGIN, height))
    places |= _foundation([one for one in shown if one.key.system == foundation], height)
    return Layout(
        frames=tuple(frames),
        bands=tuple(bands),
        boxes={one.key: Box(one, *places[one.key], one.key in composition.subnets) for one in shown},
        links=tuple(link for link in links if link.source != collector),
        watched=frozenset(link.target for link in links if link.source == collector),
        collector=collector,
        width=max(frame.x + frame.width for frame in frames) + MARGIN,
        height=TOP + height + 76,
    )


def _foundation(services: Sequence[Service], height: float) -> dict[Key, Place]:
    x = LEFT + MARGIN
    proxies = [service for service in services if service.role == "proxy"]
    others = [service for service in services if service.role != "proxy"]
    # On a level with the last tier, which stands highest: the line between the two passes above the tiers before it.
    placed = {one.key: (x, TOP + HEAD + index * ROW) for index, one in enumerate(proxies)}
    bottom = TOP + height - MARGIN - HEIGHT
    return placed | {one.key: (x, bottom - index * ROW) for index, one in enumerate(reversed(others))}


def _system(
    title: str, services: Sequence[Service], links: Sequence[Link], left: float, top: float
) -> tuple[Frame, Frame, dict[Key, Place]]:
    columns = list(_columns(services, links))
    tallest = max((len(column) for column in columns), default=1)
    x, y = left + MARGIN, top + HEAD
    places = {
        service.key: (x + index * COLUMN, y + (tallest - len(column)) * ROW / 2 + row * ROW)
        for index, column in enumerate(columns)
        for row, service in enumerate(column)
    }
    watchers = [service for service in services if service.role == "telemetry"]
    band_top = y + tallest * ROW
    placed = _telemetry(watchers, links, places, (x, band_top + HEAD - 4))
    rows = max((below + HEIGHT for _, below in placed.values()), default=band_top) - band_top
    width = len(columns) * COLUMN - (COLUMN - WIDTH) + 2 * MARGIN + 12
    band = Frame("telemetry", left + MARGIN / 2, band_top, width - MARGIN, rows + MARGIN / 2 + 6)
    return Frame(title, left, top, width, band.y + band.height + MARGIN / 2 - top), band, places | placed


def _columns(services: Sequence[Service], links: Sequence[Link]) -> Iterator[list[Service]]:
    """Tiers by how many tiers a request has passed before, background work under the last, then the data engines."""
    tiers = {service.key: service for service in services if service.role == "app"}
    depth = dict.fromkeys(tiers, 0)
    for _ in tiers:
        for link in links:
            if link.source in tiers and link.target in tiers:
                depth[link.target] = min(max(depth[link.target], depth[link.source] + 1), len(tiers) - 1)
    columns = [[tiers[key] for key in sorted(tiers) if depth[key] == level] for level in range(len(tiers))]
    columns = [column for column in columns if column] or [[]]
    columns[-1] += [service for service in services if service.role in ("worker", "scheduler")]
    yield from columns
    data = [service for service in services if service.role == "data"]
    if data:
        yield data


def _telemetry(
    services: Sequence[Service], links: Sequence[Link], places: Mapping[Key, Place], origin: Place
) -> dict[Key, Place]:
    """Exporters stand under what they watch, the others at the left."""
    targets = {link.source: link.target for link in links if link.target in places}
    exporters = [one.key for one in services if one.key in targets and _collector([one], links) is None]
    others = [one.key for one in services if one.key not in exporters]
    # The collector on top: it is what the others look at.
    others.sort(key=lambda key: (-sum(link.source == key for link in links), key))
    x, y = origin
    placed = {key: (x, y + row * ROW) for row, key in enumerate(others)}
    right = max((place[0] for place in places.values()), default=x)
    # The target nearest to the band first, so that the line from below it crosses no box; a second exporter of one
    # target stands a column to the left.
    order = sorted(exporters, key=lambda key: (-places[targets[key]][1], not _named_after(key, targets[key]), key))
    seen: dict[Key, int] = {}
    rows: dict[int, int] = {}
    for key in order:
        column = seen[targets[key]] = seen.get(targets[key], -1) + 1
        row = rows[column] = rows.get(column, -1) + 1
        placed[key] = (right - column * COLUMN, y + row * ROW)
    return placed


def _named_after(exporter: Key, target: Key) -> bool:
    return exporter.service.startswith(target.service)


def _collector(services: Sequence[Service], links: Sequence[Link]) -> Key | None:
    watchers = {service.key for service in services if service.role == "telemetry"}
    counts = {key: sum(link.source == key for link in links) for key in sorted(watchers)}
    most = max(counts, key=lambda key: counts[key], default=None)
    return most if most is not None and counts[most] > COLLECTOR_LINKS else None
