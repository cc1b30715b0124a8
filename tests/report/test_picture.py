"""The architecture picture: complete, without overlaps, and the same every time."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree

import pytest

from report.composition import Composition, Key, compose
from report.events import Planned
from report.layout import HEIGHT, WIDTH, Layout, arrange
from report.picture import draw
from tests.report.plans import container, network, recorded

SVG = "{http://www.w3.org/2000/svg}"


def system(name: str) -> list[Planned]:
    """A system in the shape of the real ones: tiers, workers, data, telemetry, a job."""
    owned = ("web", "api", "postgres", "redis", "postgres-exporter", "redis-exporter", "queue-exporter", "prometheus")
    everyone = [
        f"{name}-{service}" for service in ("web", "api", "postgres-exporter", "redis-exporter", "queue-exporter")
    ]
    data = [f"{name}-postgres", f"{name}-redis"]
    return [
        *(network(f"{name}-{service}", name, service) for service in owned),
        container("web", name, "app", [f"{name}-web", f"{name}-api"]),
        container("api", name, "app", [f"{name}-api", *data]),
        container("worker", name, "worker", data),
        container("beat", name, "scheduler", data),
        container("schema", name, "job", data),
        container("postgres", name, "data", [f"{name}-postgres"]),
        container("redis", name, "data", [f"{name}-redis"]),
        container("postgres-exporter", name, "telemetry", [f"{name}-postgres", f"{name}-postgres-exporter"]),
        container("redis-exporter", name, "telemetry", [f"{name}-redis", f"{name}-redis-exporter"]),
        container("queue-exporter", name, "telemetry", [f"{name}-redis", f"{name}-queue-exporter"]),
        container("prometheus", name, "telemetry", [f"{name}-prometheus", "edge-metrics", *everyone]),
        container("grafana", name, "telemetry", [f"{name}-prometheus"]),
    ]


def stack(*names: str) -> Composition:
    routed = [f"{name}-{service}" for name in names for service in ("web", "api", "prometheus")]
    ports = [{"internal": 8443, "external": 443}]
    return compose(
        [
            network("edge-metrics", "foundation", "edge"),
            container("edge", "foundation", "proxy", ["edge-metrics", *routed], ports=ports),
            container("node-exporter", "foundation", "telemetry", []),
            *(one for name in names for one in system(name)),
        ]
    )


ONE, TWO = stack("shop"), stack("bank", "shop")


def overlapping(layout: Layout) -> list[tuple[str, str]]:
    return [
        (a.service.key.service, b.service.key.service)
        for a, b in combinations(layout.boxes.values(), 2)
        if abs(a.x - b.x) < WIDTH and abs(a.y - b.y) < HEIGHT
    ]


@pytest.mark.parametrize("composition", [ONE, TWO, compose(recorded("create").planned), compose([])])
def test_boxes_do_not_overlap_and_stand_inside_the_picture(composition: Composition) -> None:
    layout = arrange(composition)
    assert overlapping(layout) == []
    for box in layout.boxes.values():
        assert 0 <= box.x <= box.right <= layout.width
        assert 0 <= box.y <= box.bottom <= layout.height


@pytest.mark.parametrize("composition", [ONE, TWO])
def test_each_service_stands_in_the_frame_of_its_system(composition: Composition) -> None:
    layout = arrange(composition)
    frames = {frame.title: frame for frame in layout.frames}
    for key, box in layout.boxes.items():
        frame = frames[key.system]
        assert frame.x <= box.x <= box.right <= frame.x + frame.width
        assert frame.y <= box.y <= box.bottom <= frame.y + frame.height


def test_requests_run_from_left_to_right() -> None:
    boxes = arrange(ONE).boxes
    order = ["edge", "web", "api", "postgres"]
    places = [boxes[Key("foundation" if service == "edge" else "shop", service)].x for service in order]
    assert places == sorted(set(places))


def test_every_service_but_jobs_is_in_the_picture() -> None:
    texts = {element.text for element in ElementTree.fromstring(draw(TWO)).iter(f"{SVG}text")}  # noqa: S314
    assert {service.key.service for service in TWO.services} - texts == {"schema"}


def test_every_link_is_drawn_or_marked() -> None:
    layout = arrange(ONE)
    collector = Key("shop", "prometheus")
    assert layout.collector == collector
    expected = {link for link in ONE.links if link.source.service != "schema"}
    assert set(layout.links) == {link for link in expected if link.source != collector}
    assert layout.watched == {link.target for link in expected if link.source == collector}


def test_the_picture_is_well_formed_and_the_same_every_time() -> None:
    assert draw(ONE) == draw(ONE)
    root = ElementTree.fromstring(draw(ONE))  # noqa: S314
    assert root.find(f"{SVG}title") is not None
    assert root.get("viewBox", "").startswith("0 0 ")


def test_names_are_escaped() -> None:
    drawn = draw(compose([container("a<b>&c", "shop", "app", [])]))
    assert "a&lt;b&gt;&amp;c" in drawn
    ElementTree.fromstring(drawn)  # noqa: S314
