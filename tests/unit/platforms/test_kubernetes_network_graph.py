"""The network policies of the staging stack are its composition: nobody is let through but who was handed an endpoint.

Both sides are derived from their own: who may talk to whom by a platform that only writes down what it is handed, and
what is let through by judging every policy of the plan for every pair of pods and every port.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.composition import Arrow, Spy, composition
from tests.support.network_policies import AROUND, Pod, network_of, own_pods
from tests.support.programs import run, tracked
from tests.support.recording import Graph

SYSTEM, FOUNDATION = "ai-review-engine-staging", "ai-platform-staging"
STRANGERS = (
    Pod(name="stranger", namespace="default", labels={"ai-platform/service": "api"}, ports=frozenset({80})),
    Pod(name="stranger-inside", namespace=SYSTEM, labels={}, ports=frozenset({80})),
    Pod(name="stranger-beside", namespace=FOUNDATION, labels={}, ports=frozenset({80})),
    # It says of itself what a producer's clients are selected by, but stands in a namespace of its own.
    Pod(
        name="impostor",
        namespace="default",
        labels={"ai-platform/system": "ai-review-engine", "ai-platform/service": "worker"},
        ports=frozenset({80}),
    ),
)
OTHERS = (*AROUND, *STRANGERS)

# What is more than the composition, each with its reason.
INSTANCES = {
    # A standby follows its primary, and instances ask one another for their state.
    ("postgres", "postgres", 5432),
    ("postgres", "postgres", 8000),
    # The operator asks each instance for its state.
    ("cnpg-operator", "postgres", 8000),
    # KEDA asks the queue for its length.
    ("keda", "redis", 6379),
    # A replica follows its primary.
    ("redis", "redis", 6379),
}
TO_API_SERVER = {"postgres", "prometheus"}
"""Instances keep their state there; Prometheus finds its targets there."""
API_SERVER = (("10.96.0.1", 443), ("10.245.0.1", 6443))
"""Its address is not known to a plan: the rule names ports, and leads to every private address on these."""
OUTSIDE = (
    ("203.0.113.7", 80),
    ("203.0.113.7", 443),
    ("203.0.113.7", 6443),
    ("169.254.169.254", 443),
    ("203.0.113.7", 5432),
    ("169.254.169.254", 80),
    ("10.245.0.1", 10250),
)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The tracked staging stack."""
    return run(tracked("staging"), tmp_path_factory.mktemp("staging"), stack="staging", grafana=True)


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Spy:
    """Who was handed what."""
    return composition("staging", tmp_path_factory.mktemp("composition"))


def allowed(graph: Graph, protocol: str = "TCP") -> set[Arrow]:
    """Every connection between two pods, of which at least one is the stack's, that the policies let through."""
    network = network_of(graph, OTHERS)
    mine = {SYSTEM, FOUNDATION}
    ports = {port for pod in network.pods for port in pod.ports} | {22, 12345}
    return {
        (client.name, server.name, port)
        for client, server in itertools.product(network.pods, repeat=2)
        if {client.namespace, server.namespace} & mine
        for port in ports
        if network.allows(client, server, port, protocol)
    }


def names(graph: Graph) -> set[str]:
    return {pod.name for pod in own_pods(graph)}


def dns(graph: Graph) -> set[Arrow]:
    everybody = names(graph) | {"stranger-inside", "stranger-beside"}
    return {(name, "dns", port) for name in everybody for port in (53, 1053)}


def test_the_composition_knows_every_pod_of_the_plan(graph: Graph, composed: Spy) -> None:
    assert composed.services - {"edge"} == names(graph)
    assert len(names(graph)) == len(own_pods(graph)), "two workloads share a name"


def test_the_policies_let_through_what_was_handed_over_and_nothing_else(graph: Graph, composed: Spy) -> None:
    expected = composed.arrows | INSTANCES | dns(graph)
    assert len(composed.arrows) > 30
    found = allowed(graph)
    assert found - expected == set(), "more than was handed over"
    assert expected - found == set(), "less than was handed over"


def test_by_udp_there_is_nothing_but_questions_of_names(graph: Graph) -> None:
    assert allowed(graph, "UDP") == dns(graph)


def test_a_pod_without_labels_is_refused_both_ways_in_every_namespace(graph: Graph) -> None:
    network = network_of(graph, OTHERS)
    assert set(network.namespaces) >= {SYSTEM, FOUNDATION}
    for pod in STRANGERS[1:3]:
        for other, port in itertools.product(network.pods, (80, 443, 5432, 8000)):
            assert not network.allows(other, pod, port), f"{other.name} reaches {pod.name}"
            assert not network.allows(pod, other, port), f"{pod.name} reaches {other.name}"


def test_the_api_server_is_reached_by_those_alone_who_need_it(graph: Graph) -> None:
    network = network_of(graph, OTHERS)
    mine = [pod for pod in network.pods if pod.namespace in {SYSTEM, FOUNDATION}]
    for address, port in API_SERVER:
        assert {pod.name for pod in mine if network.lets_out(pod, address, port)} == TO_API_SERVER


@pytest.mark.parametrize(("address", "port"), OUTSIDE)
def test_no_pod_gets_anywhere_else(graph: Graph, address: str, port: int) -> None:
    network = network_of(graph, OTHERS)
    mine = [pod for pod in network.pods if pod.namespace in {SYSTEM, FOUNDATION}]
    assert [pod.name for pod in mine if network.lets_out(pod, address, port)] == []


def without(name: str) -> Callable[[Graph], Graph]:
    return lambda graph: Graph([one for one in graph.resources if one.name != name], graph.outputs, graph.exports)


def changed(name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Graph], Graph]:
    def apply(graph: Graph) -> Graph:
        resources = [
            replace(one, inputs={**one.inputs, "spec": change(dict(one.inputs["spec"]))}) if one.name == name else one
            for one in graph.resources
        ]
        return Graph(resources, graph.outputs, graph.exports)

    return apply


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (without("ai-review-engine-web-to-api"), {("web", "api", 8000)}),
        (without("ai-review-engine-web-egress"), {("web", "api", 8000)}),
        (without("ai-review-engine-data-postgres-operator"), {("cnpg-operator", "postgres", 8000)}),
        (
            without("foundation-allow-dns"),
            {(name, "dns", port) for name in ("node-exporter", "stranger-beside") for port in (53, 1053)},
        ),
    ],
    ids=["no ingress", "no egress", "no operator", "no names"],
)
def test_a_policy_that_is_gone_closes_exactly_its_way(
    graph: Graph, change: Callable[[Graph], Graph], difference: set[Arrow]
) -> None:
    assert allowed(graph) - allowed(change(graph)) == difference


def test_a_side_that_opens_alone_lets_nobody_in_to_what_is_closed(graph: Graph) -> None:
    opened = changed("ai-review-engine-web-egress", lambda spec: {**spec, "egress": [{}]})(graph)
    more = allowed(opened) - allowed(graph)
    closed = names(graph) | {"stranger-inside", "stranger-beside"}
    assert {server for _, server, _ in more} & closed == set()
    assert {client for client, _, _ in more} == {"web"}


def test_opening_both_sides_is_noticed(graph: Graph) -> None:
    opened = changed("ai-review-engine-web-egress", lambda spec: {**spec, "egress": [{}]})(graph)
    opened = changed("ai-review-engine-api-to-postgres", lambda spec: {**spec, "ingress": [{}]})(opened)
    more = allowed(opened) - allowed(graph)
    assert ("web", "postgres", 5432) in more
    assert ("stranger", "postgres", 22) in more


def test_without_the_default_everything_that_no_policy_selects_is_open(graph: Graph) -> None:
    more = allowed(without("foundation-default-deny")(graph)) - allowed(graph)
    assert ("stranger", "node-exporter", 12345) not in more, "another policy selects it for what comes in"
    assert ("stranger", "stranger-beside", 80) in more
