"""Network policies of single services; the whole stack's are judged in test_kubernetes_network_graph.py."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from platforms.kubernetes import network
from platforms.kubernetes.context import grant_of
from platforms.specs import Endpoint, Grant
from tests.support.kubernetes import NAMESPACE, context, endpoint, made
from tests.support.network_policies import DNS, Pod, network_of
from tests.support.recording import Graph


def connected(*uses: Endpoint, egress: bool = False) -> Graph:
    def make(parent: pulumi.Resource) -> None:
        network.close(context(), "shop", parent=parent)
        network.connect(context(), "shop-web", "web", uses, egress=egress, parent=parent)

    return made(make)


def pod(service: str, *ports: int, namespace: str = NAMESPACE) -> Pod:
    labels = {"ai-platform/system": "shop", "ai-platform/service": service}
    return Pod(name=service, namespace=namespace, labels=labels, ports=frozenset(ports))


def policies(graph: Graph) -> dict[str, Any]:
    return {one.name: one.inputs for one in graph.of_type(":NetworkPolicy")}


WEB, API, OTHER = pod("web", 5000), pod("api", 8000), pod("other", 80)


def test_an_empty_namespace_lets_nothing_through_but_questions_of_names() -> None:
    closed = network_of(connected(), [WEB, API, DNS])
    assert not closed.allows(WEB, API, 8000)
    assert not closed.allows(API, WEB, 5000)
    assert not closed.lets_out(WEB, "203.0.113.7", 443)
    for protocol in ("TCP", "UDP"):
        assert closed.allows(WEB, DNS, 53, protocol)
        assert closed.allows(WEB, DNS, 1053, protocol)
    assert not closed.allows(WEB, DNS, 9153)
    assert not closed.allows(DNS, WEB, 5000)


def test_who_is_handed_an_endpoint_reaches_its_port_and_nothing_else() -> None:
    judged = network_of(connected(endpoint("api", 8000)), [WEB, API, OTHER])
    assert judged.allows(WEB, API, 8000)
    assert not judged.allows(WEB, API, 8001)
    assert not judged.allows(WEB, API, 8000, "UDP")
    assert not judged.allows(API, WEB, 5000), "a connection has a direction"
    assert not judged.allows(OTHER, API, 8000)
    assert not judged.allows(WEB, OTHER, 80)


def test_the_same_endpoint_twice_is_one_permission() -> None:
    found = policies(connected(endpoint("api", 8000), endpoint("api", 8000)))
    assert sorted(found) == ["shop-allow-dns", "shop-default-deny", "shop-web-egress", "shop-web-to-api"]


def test_a_producer_in_another_namespace_is_opened_there() -> None:
    graph = connected(endpoint("node", 9100, namespace="ai-platform-staging"))
    assert policies(graph)["shop-web-to-node"]["metadata"]["namespace"] == "ai-platform-staging"
    assert policies(graph)["shop-web-egress"]["metadata"]["namespace"] == NAMESPACE
    node = pod("node", 9100, namespace="ai-platform-staging")
    impostor = pod("web", namespace="default")
    judged = network_of(graph, [WEB, node, impostor])
    assert judged.allows(WEB, node, 9100)
    assert not judged.allows(impostor, node, 9100), "the same labels in a namespace of somebody else's"


def test_a_namespace_that_is_not_the_stack_s_gets_no_policy() -> None:
    found = policies(connected(endpoint("edge", 9100, namespace="traefik", fenced=False)))
    assert "shop-web-to-edge" not in found
    assert found["shop-web-egress"]["spec"]["egress"][0]["ports"] == [{"protocol": "TCP", "port": 9100}]


def test_the_internet_is_open_where_it_is_asked_for_and_private_addresses_are_not() -> None:
    judged = network_of(connected(egress=True), [WEB, API])
    assert judged.lets_out(WEB, "203.0.113.7", 443)
    assert not judged.lets_out(WEB, "203.0.113.7", 80)
    for address in ("10.96.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1"):
        assert not judged.lets_out(WEB, address, 443), address
    assert not judged.lets_out(API, "203.0.113.7", 443)


def test_a_whole_namespace_is_let_in_to_one_port() -> None:
    def make(parent: pulumi.Resource) -> None:
        network.close(context(), "shop", parent=parent)
        network.admit_namespace(
            context(), "shop-edge-to-api", grant_of(endpoint("api", 8000)), "traefik", parent=parent
        )

    proxy, elsewhere = pod("proxy", namespace="traefik"), pod("proxy", namespace="default")
    judged = network_of(made(make), [API, proxy, elsewhere])
    assert judged.allows(proxy, API, 8000)
    assert not judged.allows(proxy, API, 8001)
    assert not judged.allows(elsewhere, API, 8000)


def test_an_endpoint_of_another_platform_is_refused() -> None:
    foreign = Endpoint(scheme="http", host="api", port=8000, grant=Grant())
    with pytest.raises(TypeError, match="http://api:8000 belongs to another platform"):
        grant_of(foreign)
