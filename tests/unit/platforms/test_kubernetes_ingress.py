"""The same routes as plain Ingresses: every typed setting has its annotation, and what is private stays inside."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.programs import run, tracked
from tests.support.recording import Graph, Registration

HOST = "staging.localhost"
NGINX = "nginx.ingress.kubernetes.io/"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The tracked staging stack behind ingress-nginx."""
    config = tracked("staging")
    platform = config["platform"] | {"gateway": {"kind": "ingress"}}
    return run(config | {"platform": platform}, tmp_path_factory.mktemp("plain"), stack="staging")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return run(tracked("staging"), tmp_path_factory.mktemp("gateway"), stack="staging")


def ingresses(graph: Graph) -> dict[str, Registration]:
    return {
        one.name.removeprefix("ai-review-engine-ingress-"): one for one in graph.of_type("networking.k8s.io/v1:Ingress")
    }


def note(graph: Graph, ingress: str, key: str) -> Any:
    return ingresses(graph)[ingress].inputs["metadata"]["annotations"].get(f"{NGINX}{key}")


def paths(one: Registration) -> list[Any]:
    return [path for rule in one.inputs["spec"]["rules"] for path in rule["http"]["paths"]]


def rank(graph: Graph, request: str) -> str:
    """The Ingress whose location the controller tries first for a request: the longest path that matches."""
    found = [
        (len(path["path"]), name)
        for name, one in ingresses(graph).items()
        for path in paths(one)
        if re.match(f"^{path['path']}", request, re.IGNORECASE)
    ]
    return max(found)[1]


def test_both_kinds_publish_the_same_services_under_the_same_host(plain: Graph, gateway: Graph) -> None:
    services = {
        path["backend"]["service"]["name"]
        for name, one in ingresses(plain).items()
        if not name.endswith("-private")
        for path in paths(one)
    }
    rules = gateway.named("ai-review-engine-ingress").inputs["spec"]["rules"]
    routed = {backend["name"].removesuffix("-sticky") for rule in rules for backend in rule["backendRefs"]}
    assert services == routed
    assert {rule["host"] for one in ingresses(plain).values() for rule in one.inputs["spec"]["rules"]} == {HOST}


def test_every_ingress_has_the_certificate_beside_it(plain: Graph) -> None:
    (certificate,) = plain.of_type(":Certificate")
    for one in ingresses(plain).values():
        (tls,) = one.inputs["spec"]["tls"]
        assert tls == {"hosts": [HOST], "secretName": certificate.inputs["spec"]["secretName"]}
        assert one.inputs["metadata"]["namespace"] == certificate.inputs["metadata"]["namespace"]
    (issuer,) = plain.of_type(":Issuer")
    assert issuer.inputs["metadata"]["namespace"] == certificate.inputs["metadata"]["namespace"]


def test_plain_requests_are_sent_to_tls(plain: Graph) -> None:
    for name in ("root", "api", "dashboard"):
        assert note(plain, name, "ssl-redirect") == "true"


def test_bodies_and_waits_are_bounded_as_the_route_says(plain: Graph) -> None:
    assert note(plain, "api", "proxy-body-size") == str(10 * 1024**2)
    assert note(plain, "api", "proxy-read-timeout") == "60"
    assert note(plain, "dashboard", "proxy-read-timeout") == "3600"
    assert note(plain, "dashboard", "proxy-send-timeout") == "3600"


def test_a_sticky_route_keeps_a_client_on_one_pod_by_a_cookie(plain: Graph) -> None:
    """ARE-055."""
    assert note(plain, "dashboard", "affinity") == "cookie"
    assert note(plain, "dashboard", "session-cookie-secure") == "true"
    assert note(plain, "api", "affinity") is None


def test_a_stripped_prefix_leaves_the_rest_of_the_path(plain: Graph) -> None:
    (path,) = paths(ingresses(plain)["api"])
    assert (
        re.sub(f"^{path['path']}", note(plain, "api", "rewrite-target").replace("$", "\\"), "/api/jobs/7") == "/jobs/7"
    )
    assert not re.match(f"^{path['path']}", "/apiary")


@pytest.mark.parametrize(
    ("request_path", "ingress"),
    [
        ("/", "root"),
        ("/anything", "root"),
        ("/api/jobs", "api"),
        ("/dashboard/", "dashboard"),
        ("/metrics", "root-private"),
        ("/api/metrics", "api-private"),
        ("/api/metrics/", "api-private"),
        ("/dashboard/_stcore/metrics", "dashboard-private"),
    ],
)
def test_the_longest_path_wins_and_what_is_private_wins_over_its_route(
    plain: Graph, request_path: str, ingress: str
) -> None:
    assert rank(plain, request_path) == ingress


def test_nobody_is_let_in_to_private_paths(plain: Graph) -> None:
    hidden = [name for name in ingresses(plain) if name.endswith("-private")]
    assert hidden
    for name in hidden:
        assert note(plain, name, "whitelist-source-range") == "255.255.255.255/32"


def test_the_controllers_namespace_is_let_in_to_what_is_published(plain: Graph) -> None:
    doors = [one.inputs["spec"] for one in plain.of_type(":NetworkPolicy") if "'ingress-nginx'" in str(one.inputs)]
    let_in = {
        door["podSelector"]["matchLabels"]["ai-platform/service"]
        for door in doors
        if door["policyTypes"] == ["Ingress"]
    }
    assert {"api", "web", "dashboard"} <= let_in
    assert not let_in & {"postgres", "redis", "worker"}


def test_nothing_of_the_gateway_api_or_traefik_is_left(plain: Graph) -> None:
    assert [one.type for one in plain.resources if "gateway.networking" in one.type or "traefik" in one.type] == []
