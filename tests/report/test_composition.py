"""Who may reach whom, read from a plan."""

from __future__ import annotations

from report.composition import CONTAINER, NETWORK, Capacity, Key, Link, capacity, compose
from report.events import Planned
from tests.report.plans import container, network, recorded

API, DATABASE, EDGE, OLD = Key("shop", "api"), Key("shop", "postgres"), Key("foundation", "edge"), Key("shop", "old")
JOB = Key("shop", "schema")


def test_links_lead_from_whoever_joined_a_network_to_its_owner() -> None:
    assert compose(recorded("create").planned).links == (
        Link(EDGE, API),
        Link(API, DATABASE),
        Link(OLD, API),
        Link(JOB, DATABASE),
    )


def test_services_are_counted_by_their_containers() -> None:
    services = {service.key: service for service in compose(recorded("change").planned).services}
    assert services[API].replicas == 3
    assert services[EDGE].ports == (28917,)
    assert services[DATABASE].volumes
    assert not services[API].volumes
    assert OLD not in services


def test_the_network_with_a_way_out_grants_nothing() -> None:
    planned = [
        network("edge-net", "foundation", "edge", internal=False),
        container("edge", "foundation", "proxy", ["edge-net"]),
        container("fetcher", "shop", "worker", ["edge-net"]),
    ]
    composition = compose(planned)
    assert composition.links == ()
    assert composition.complete


def test_a_network_without_a_name_yet_is_said() -> None:
    planned = [network("db", "shop", "db"), container("api", "shop", "app", ["04da6b54-80e4-46f7-96ec-b56ff0331ba9"])]
    assert not compose(planned).complete


def test_equal_names_of_two_systems_are_two_services() -> None:
    planned = [container("api", "shop", "app", []), container("api", "bank", "app", [])]
    assert [service.key for service in compose(planned).services] == [Key("bank", "api"), Key("shop", "api")]


def test_resources_of_others_are_passed_over() -> None:
    stranger = Planned(type=CONTAINER, name="x", inputs={"labels": [{"label": "other.service", "value": "y"}]})
    assert compose([stranger, Planned(type=NETWORK, name="n", inputs={})]).services == ()


def test_capacity_adds_up_limits_and_leaves_jobs_out() -> None:
    planned = [
        container("api", "shop", "app", [], cpus="0.5", memory=512),
        container("db", "shop", "data", [], cpus="1", memory=1024),
        container("schema", "shop", "job", [], cpus="2", memory=4096),
        container("odd", "shop", "app", [], cpus="04da6b54-80e4-46f7-96ec-b56ff0331ba9"),
    ]
    assert capacity(planned) == Capacity(containers=3, cpus=1.5, memory=1536)
