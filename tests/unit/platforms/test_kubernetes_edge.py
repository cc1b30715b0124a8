"""The edge: listeners, certificates, routes and their rules, from the same typed settings as on Docker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pytest
from pulumi import Output

from platforms.kubernetes.certificates import Given, Issued, StackAuthority, listener
from platforms.kubernetes.edge import EdgeSettings, Gateway, KubernetesEdge
from platforms.specs import Route
from tests.support.kubernetes import context, endpoint, made
from tests.support.recording import SECRET, Graph

HOST = "shop.example.org"
WEB = Route(path="/", endpoint=endpoint("web", 5000))
API = Route(path="/api/", endpoint=endpoint("api", 8000), strip_prefix=True, max_body=1024)
BOARD = Route(path="/board/", endpoint=endpoint("board", 8501), websocket=True, sticky=True, private=("_core/metrics",))


def settings(tls: Any = None, **changes: Any) -> EdgeSettings:
    defaults: dict[str, Any] = {
        "kind": "gateway",
        "gateway_class": "traefik",
        "gateway_namespace": "traefik",
        "http_port": 80,
        "https_port": 443,
        "http_listener": 8000,
        "https_listener": 8443,
        "tls": tls or StackAuthority(rotation=1),
    }
    return EdgeSettings(**defaults | changes)


def opened(routes: Sequence[Route] = (WEB, API, BOARD), hosts: Sequence[str] = (HOST,), **changes: Any) -> Graph:
    def make(parent: pulumi.Resource) -> None:
        tls = changes.pop("tls", None)
        gateway = Gateway(
            context(system="foundation", namespace="ai-platform-staging", namespace_name="ai-platform-staging"),
            settings(tls() if tls else None, **changes),
        )
        edge = KubernetesEdge(context(), gateway)
        for index, host in enumerate(hosts):
            edge.route(f"shop-{index}", host, routes, parent=parent)
        gateway.open("foundation-edge", parent=parent)

    return made(make)


def rules(graph: Graph, name: str = "shop-0") -> list[Any]:
    found: list[Any] = graph.named(name).inputs["spec"]["rules"]
    return found


def rule(graph: Graph, path: str) -> Any:
    (found,) = [one for one in rules(graph) if one["matches"] == [{"path": {"type": "PathPrefix", "value": path}}]]
    return found


def extensions(found: Any) -> set[str]:
    return {one["extensionRef"]["name"] for one in found["filters"] if one["type"] == "ExtensionRef"}


def test_each_host_has_a_listener_that_ends_tls_for_the_stack_s_own_namespaces() -> None:
    graph = opened(hosts=[HOST, "other.example.org"])
    spec = graph.named("foundation-edge").inputs["spec"]
    assert [one["name"] for one in spec["listeners"]] == ["http", "https-other.example.org", f"https-{HOST}"]
    secure = spec["listeners"][2]
    assert (secure["port"], secure["hostname"], secure["tls"]["mode"]) == (8443, HOST, "Terminate")
    assert secure["allowedRoutes"]["namespaces"]["selector"]["matchLabels"] == {"ai-platform/stack": "staging"}
    assert spec["listeners"][0]["port"] == 8000


def test_plain_http_is_redirected_to_the_port_that_clients_use() -> None:
    graph = opened(https_port=8443)
    (found,) = rules(graph, "foundation-edge-redirect")
    redirect = found["filters"][0]["requestRedirect"]
    assert redirect == {"scheme": "https", "port": 8443, "statusCode": 301}
    assert "backendRefs" not in found


def test_without_a_host_nothing_is_opened() -> None:
    graph = opened(hosts=[])
    assert [one.name for one in graph.resources if one.custom] == []


def test_a_host_that_is_published_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'shop\.example\.org' is published twice"):
        opened(hosts=[HOST, HOST])


def test_the_longest_path_is_asked_first() -> None:
    paths = [one["matches"][0]["path"]["value"] for one in rules(opened())]
    assert paths == ["/board/_core/metrics", "/board", "/api/metrics", "/api", "/metrics", "/"]


def test_a_path_for_the_inside_is_not_found_from_outside() -> None:
    graph = opened()
    for path in ("/board/_core/metrics", "/api/metrics", "/metrics"):
        assert extensions(rule(graph, path)) == {"nobody"}
    nobody = graph.named("shop-0-nobody").inputs["spec"]["ipAllowList"]
    assert nobody == {"sourceRange": ["255.255.255.255/32"], "rejectStatusCode": 404}


def test_a_prefix_is_stripped_where_the_route_says_so() -> None:
    graph = opened()
    rewritten = [one for one in rules(graph) if any(each["type"] == "URLRewrite" for each in one["filters"])]
    assert rewritten == [rule(graph, "/api")]
    assert rule(graph, "/api")["backendRefs"] == [{"name": "api", "port": 8000}]


def test_a_sticky_route_keeps_a_client_by_a_cookie_that_no_script_reads() -> None:
    graph = opened()
    assert rule(graph, "/board")["backendRefs"] == [
        {"group": "traefik.io", "kind": "TraefikService", "name": "board-sticky"}
    ]
    (service,) = graph.named("shop-0-board-sticky").inputs["spec"]["weighted"]["services"]
    assert (service["name"], service["port"]) == ("board", 8501)
    cookie = service["sticky"]["cookie"]
    assert cookie["httpOnly"] is cookie["secure"] is True
    assert len(graph.of_type(":TraefikService")) == 1


def test_bodies_are_limited_as_the_route_says() -> None:
    graph = opened()
    assert "body-1024" in extensions(rule(graph, "/api"))
    assert graph.named("shop-0-body-1024").inputs["spec"]["buffering"]["maxRequestBodyBytes"] == 1024
    assert "body-10485760" in extensions(rule(graph, "/"))


def test_every_answer_carries_the_security_headers() -> None:
    graph = opened()
    for path in ("/", "/api", "/board"):
        (headers,) = [one for one in rule(graph, path)["filters"] if one["type"] == "ResponseHeaderModifier"]
        names = {one["name"] for one in headers["responseHeaderModifier"]["set"]}
        assert {"Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options"} <= names


def test_the_route_waits_for_what_its_rules_name() -> None:
    graph = opened()
    named = {f"shop-0-{name}" for name in ("retry", "nobody", "body-1024", "body-10485760", "board-sticky")}
    waits = {urn.rpartition("::")[2] for urn in graph.named("shop-0").depends_on}
    assert named <= waits
    assert {f"shop-0-edge-to-{service}" for service in ("api", "board", "web")} <= waits


def test_only_routed_services_let_the_proxy_in() -> None:
    graph = opened(routes=[WEB])
    (policy,) = graph.of_type(":NetworkPolicy")
    assert policy.inputs["spec"]["podSelector"]["matchLabels"]["ai-platform/service"] == "web"
    assert policy.inputs["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 5000}]


def test_the_stack_s_own_authority_signs_and_its_key_is_secret() -> None:
    graph = opened()
    keys = graph.named("foundation-edge-authority").inputs["stringData"]
    assert keys["tls.key"].startswith(f"{SECRET}-----BEGIN")
    certificate = graph.named(f"foundation-edge-https-{HOST}").inputs["spec"]
    assert certificate["issuerRef"] == {"group": "cert-manager.io", "kind": "Issuer", "name": "authority"}
    assert (certificate["dnsNames"], certificate["secretName"]) == ([HOST], f"tls-{HOST}")
    issuer = graph.named("foundation-edge-issuer").inputs["spec"]
    assert issuer == {"ca": {"secretName": "foundation-edge-authority-0000000"}}


def test_another_number_makes_another_authority() -> None:
    one, two = (
        opened(tls=lambda: StackAuthority(rotation=1)),
        opened(tls=lambda: StackAuthority(rotation=2)),
    )
    keepers = [graph.named("foundation-edge-tls-seed").inputs["keepers"]["rotation"] for graph in (one, two)]
    assert keepers == ["1", "2"]


def test_an_issuer_of_the_cluster_signs_where_one_is_named() -> None:
    graph = opened(tls=lambda: Issued(cluster_issuer="letsencrypt"))
    assert graph.of_type(":Issuer") == []
    reference = graph.named(f"foundation-edge-https-{HOST}").inputs["spec"]["issuerRef"]
    assert reference == {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "letsencrypt"}


def test_a_given_certificate_needs_no_cert_manager() -> None:
    graph = opened(tls=lambda: Given(certificate="the chain", key=Output.secret("the key")))
    assert graph.of_type(":Certificate") == []
    secret = graph.named(f"foundation-edge-https-{HOST}").inputs
    assert (secret["type"], secret["metadata"]["name"]) == ("kubernetes.io/tls", f"tls-{HOST}")
    assert secret["stringData"]["tls.key"] == f"{SECRET}the key"


def test_the_gateway_waits_for_its_certificates() -> None:
    graph = opened()
    assert graph.named(f"foundation-edge-https-{HOST}").urn in graph.named("foundation-edge").depends_on


@pytest.mark.parametrize(("port", "url"), [(443, f"https://{HOST}"), (8443, f"https://{HOST}:8443")])
def test_the_url_names_the_port_where_it_is_not_the_usual_one(port: int, url: str) -> None:
    assert KubernetesEdge(context(), Gateway(context(), settings(https_port=port))).url(HOST) == url


def test_a_wildcard_is_a_name_that_a_listener_may_have() -> None:
    assert listener("*.example.org") == "https-any.example.org"
    assert len(listener("h" * 300)) == 253
