"""The architecture picture as SVG text: the same composition always gives the same bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Final

from report.composition import Composition, Key, Link
from report.layout import HEIGHT, LEFT, MARGIN, WIDTH, Box, Frame, Layout, arrange

INK: Final = "#1f2937"
SOFT: Final = "#6b7280"
PALETTE: Final = {
    # role: (fill, border, network)
    "proxy": ("#eef2ff", "#4f46e5", "#c7d2fe"),
    "app": ("#eff6ff", "#2563eb", "#bfdbfe"),
    "worker": ("#fff7ed", "#ea580c", "#fed7aa"),
    "scheduler": ("#fff7ed", "#ea580c", "#fed7aa"),
    "data": ("#ecfdf5", "#059669", "#a7f3d0"),
    "telemetry": ("#f8fafc", "#64748b", "#cbd5e1"),
}
OPTIONAL: Final = {"grafana": "if its image can be had"}
"""Services that a machine may lack, and what the picture says of them."""
STYLE: Final = (
    "text{font-family:Inter,'Segoe UI',system-ui,Helvetica,Arial,sans-serif}"
    ".mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}"
)


def draw(composition: Composition) -> str:
    """The picture of a composition."""
    layout = arrange(composition)
    body = [
        *_heading(),
        *(_frame(frame, "#fbfcfe", "#d5dbe5", bold=True) for frame in layout.frames),
        *(_frame(band, "#f4f6f9", "#e3e8ef", bold=False) for band in layout.bands),
        *_halos(layout),
        *_links(layout),
        *_clients(layout),
        *(_box(box, layout) for _, box in sorted(layout.boxes.items())),
        *_legend(layout),
    ]
    width, height = f"{layout.width:g}", f"{layout.height:g}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            ' role="img" aria-labelledby="title">',
            '<title id="title">Services of the development stack, and who may reach whom</title>',
            f"<style>{STYLE}</style>",
            *_arrowheads(),
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            *body,
            "</svg>",
            "",
        ]
    )


def _heading() -> Iterator[str]:
    yield _text(MARGIN, 44, "One stack on one Docker host", size=22, weight=700)
    yield _text(
        MARGIN,
        68,
        "Every service that others call has an internal network of its own; whoever may call it joins that network. "
        "Services that share no network cannot reach each other.",
        size=13,
        colour=SOFT,
    )


def _frame(frame: Frame, fill: str, border: str, *, bold: bool) -> str:
    rect = (
        f'<rect x="{frame.x:g}" y="{frame.y:g}" width="{frame.width:g}" height="{frame.height:g}" rx="14" '
        f'fill="{fill}" stroke="{border}"/>'
    )
    size, weight = (14, 700) if bold else (12, 600)
    return rect + _text(frame.x + 16, frame.y + 25, frame.title, size=size, weight=weight, colour=INK if bold else SOFT)


def _halos(layout: Layout) -> Iterator[str]:
    """The network of a service lies around it."""
    for _, box in sorted(layout.boxes.items()):
        if box.networked:
            colour = PALETTE[_role(box)][2]
            yield (
                f'<rect x="{box.x - 7:g}" y="{box.y - 7:g}" width="{WIDTH + 14}" height="{HEIGHT + 14}" rx="15" '
                f'fill="none" stroke="{colour}" stroke-width="6"/>'
            )


def _box(box: Box, layout: Layout) -> str:
    fill, border, _ = PALETTE[_role(box)]
    key, replicas = box.service.key, box.service.replicas
    dashed = ' stroke-dasharray="5 4"' if key.service in OPTIONAL else ""
    cards = "".join(
        f'<rect x="{box.x + shift:g}" y="{box.y + shift:g}" width="{WIDTH - 8}" height="{HEIGHT - 8}" rx="9" '
        f'fill="{fill}" stroke="{border}" stroke-width="1.4"{dashed}/>'
        for shift in ((8, 4, 0) if replicas > 2 else (6, 0) if replicas > 1 else (4,))  # noqa: PLR2004
    )
    parts = [cards, _text(box.x + 16, box.y + 29, key.service, size=14.5, weight=700)]
    parts.append(_text(box.x + 16, box.y + 48, _caption(box), size=11.5, colour=SOFT))
    if key in layout.watched:
        parts.append(f'<circle cx="{box.x + WIDTH - 20:g}" cy="{box.y + 2:g}" r="5" fill="#f59e0b" stroke="#ffffff"/>')
    return "".join(parts)


def _caption(box: Box) -> str:
    service = box.service
    if service.key.service in OPTIONAL:
        return OPTIONAL[service.key.service]
    if service.ports:
        return "host ports " + ", ".join(str(port) for port in service.ports)
    if service.role == "scheduler":
        return "exactly one"
    if service.role == "data":
        return "primary, named volume"
    return f"{service.replicas} replicas" if service.replicas > 1 else service.role


def _role(box: Box) -> str:
    return box.service.role if box.service.role in PALETTE else "telemetry"


# ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _links(layout: Layout) -> Iterator[str]:
    leaving, arriving = _docks(layout.links, layout, outgoing=True), _docks(layout.links, layout, outgoing=False)
    for link in layout.links:
        source, target = layout.boxes[link.source], layout.boxes[link.target]
        quiet = "telemetry" in (_role(source), _role(target))
        colour = PALETTE[_role(target)][1] if not quiet else "#94a3b8"
        dashes = ' stroke-dasharray="5 4"' if quiet else ""
        marker = "quiet" if quiet else _role(target)
        path = _path(source, target, leaving[link], arriving[link])
        yield (
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-opacity="0.8"{dashes} '
            f'marker-end="url(#to-{marker})"/>'
        )


def _docks(links: Sequence[Link], layout: Layout, *, outgoing: bool) -> dict[Link, float]:
    """Each link's place along the side of its box, from -1 to 1, ordered by where the other end is."""
    sides: dict[tuple[Key, str], list[Link]] = defaultdict(list)
    for link in links:
        sides[
            link.source if outgoing else link.target, _way(layout.boxes[link.source], layout.boxes[link.target])
        ].append(link)
    places = {}
    for group in sides.values():
        ordered = sorted(group, key=lambda one: layout.boxes[one.target if outgoing else one.source].y)
        for index, link in enumerate(ordered):
            places[link] = (2 * index + 1) / len(ordered) - 1
    return places


def _way(source: Box, target: Box) -> str:
    """Which way a link takes: to the `right`, `below` beside the frames, straight `up`, or `around` the right side."""
    if target.x > source.right:
        return "below" if target.y > source.bottom + HEIGHT and _role(target) == "telemetry" else "right"
    return "around" if source.y - target.bottom > HEIGHT * 2.6 else "up"


def _path(source: Box, target: Box, leave: float, arrive: float) -> str:
    reach = HEIGHT * 0.32
    start, end = source.right + (10 if source.networked else -2), 12
    way = _way(source, target)
    if way == "right":
        y1, x2, y2 = source.middle[1] + leave * reach, target.x - end, target.middle[1] + arrive * reach
        bend = max(40.0, (x2 - start) * 0.45)
        return f"M{start:g} {y1:.1f}C{start + bend:g} {y1:.1f} {x2 - bend:g} {y2:.1f} {x2:g} {y2:.1f}"
    if way == "below":
        x1, y1, x2, y2 = (
            source.middle[0] + (0.6 + 0.2 * leave) * WIDTH / 2,
            source.bottom + 10,
            target.x - end,
            target.middle[1],
        )
        lane, level = source.right + MARGIN + (0.5 - 0.4 * leave) * MARGIN, source.bottom + 30 - 8 * leave
        return f"M{x1:.1f} {y1:g}{_turns([(x1, level), (lane, level), (lane, y2), (x2, y2)], start=(x1, y1))}"
    if way == "around":
        y1, x2, y2 = source.middle[1], target.right + end, target.middle[1] + arrive * reach
        lane = max(start, x2) + 14
        return f"M{start:g} {y1:g}{_turns([(lane, y1), (lane, y2), (x2, y2)], start=(start, y1))}"
    x = target.middle[0] + arrive * WIDTH * 0.3
    return f"M{x:.1f} {source.y - 10:g}V{target.bottom + end:g}"


def _turns(points: Sequence[tuple[float, float]], *, start: tuple[float, float]) -> str:
    """Straight stretches through the points, with rounded corners."""
    radius, path, here = 10.0, "", start
    for corner, following in pairwise(points):
        before, after = _toward(corner, here, radius), _toward(corner, following, radius)
        path += f"L{before[0]:.1f} {before[1]:.1f}Q{corner[0]:.1f} {corner[1]:.1f} {after[0]:.1f} {after[1]:.1f}"
        here = corner
    return path + f"L{points[-1][0]:.1f} {points[-1][1]:.1f}"


def _toward(corner: tuple[float, float], other: tuple[float, float], distance: float) -> tuple[float, float]:
    length = abs(other[0] - corner[0]) + abs(other[1] - corner[1]) or 1.0
    share = min(distance / length, 0.5)
    return corner[0] + (other[0] - corner[0]) * share, corner[1] + (other[1] - corner[1]) * share


def _clients(layout: Layout) -> Iterator[str]:
    for _, box in sorted(layout.boxes.items()):
        if box.service.ports:
            y, colour = box.middle[1], PALETTE["proxy"][1]
            yield f'<circle cx="{MARGIN + 32}" cy="{y:g}" r="30" fill="#ffffff" stroke="{colour}" stroke-width="1.4"/>'
            yield _text(MARGIN + 32, y + 4, "clients", size=12.5, weight=600, anchor="middle")
            yield (
                f'<path d="M{MARGIN + 64} {y:g}H{box.x - 5:g}" stroke="{colour}" stroke-width="1.8" '
                'marker-end="url(#to-proxy)"/>'
            )
            yield _text((MARGIN + 64 + LEFT) / 2 + 4, y - 8, "TLS", size=11, colour=SOFT, anchor="middle")


# ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _legend(layout: Layout) -> Iterator[str]:
    y, x = layout.height - 34, float(MARGIN)
    yield (
        f'<rect x="{x:g}" y="{y - 11:g}" width="26" height="15" rx="5" fill="none" stroke="#bfdbfe" stroke-width="5"/>'
    )
    yield _text(x + 38, y + 1, "network of that service", size=12, colour=SOFT)
    x += 206
    yield f'<path d="M{x:g} {y - 4:g}h32" stroke="#2563eb" stroke-width="1.6" marker-end="url(#to-app)"/>'
    yield _text(x + 46, y + 1, "may open connections", size=12, colour=SOFT)
    x += 200
    yield (
        f'<path d="M{x:g} {y - 4:g}h32" stroke="#94a3b8" stroke-width="1.6" stroke-dasharray="5 4" '
        'marker-end="url(#to-quiet)"/>'
    )
    yield _text(x + 46, y + 1, "the same, for telemetry", size=12, colour=SOFT)
    if layout.collector is not None:
        x += 212
        yield f'<circle cx="{x:g}" cy="{y - 4:g}" r="4.5" fill="#f59e0b"/>'
        yield _text(x + 12, y + 1, f"scraped by {layout.collector.service}", size=12, colour=SOFT)


def _arrowheads() -> Iterator[str]:
    yield "<defs>"
    colours = {role: border for role, (_, border, _) in PALETTE.items()} | {"quiet": "#94a3b8"}
    for name, colour in colours.items():
        yield (
            f'<marker id="to-{name}" viewBox="0 0 8 8" refX="6.5" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto-start-reverse"><path d="M0 0.6L7.4 4L0 7.4z" fill="{colour}"/></marker>'
        )
    yield "</defs>"


def _text(  # noqa: PLR0913 - a text has that many sides
    x: float, y: float, text: str, *, size: float, weight: int = 400, colour: str = INK, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" font-weight="{weight}" fill="{colour}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
