"""`addons: install`: pinned charts of what the stack needs, before everything that needs them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import run, tracked
from tests.support.recording import Graph
from toolchain.plugins.kubernetes_types import REFUSED_MODULES

ALWAYS = {"cert-manager", "traefik", "cloudnative-pg", "kube-prometheus-stack"}
ENGINES = ("elasticsearch", "kibana", "fluent-bit")


def installing(folder: Path, platform: Mapping[str, Any] | None = None, **changes: Any) -> Graph:
    """The tracked staging stack on a cluster of one's own, with images that it can pull."""
    config = tracked("staging")
    place = {"kind": "kubernetes", "context": "mine", "addons": "install", **(platform or {})}
    engines = {name: f"registry.example/{name}:1.2.3" for name in ("app", "postgres-cnpg", "celery-exporter", "backup")}
    images = {"engines": engines | {name: f"registry.example/{name}:8.19.4" for name in ENGINES}}
    return run(config | {"platform": place, "images": images} | changes, folder, stack="staging")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return installing(tmp_path_factory.mktemp("installed"))


def charts(graph: Graph) -> dict[str, Any]:
    return {one.inputs["chart"]: one.inputs for one in graph.of_type("helm.sh/v3:Release")}


def test_the_charts_that_every_stack_needs_are_installed(installed: Graph) -> None:
    assert set(charts(installed)) == ALWAYS


def test_charts_are_added_by_what_the_stack_file_asks_for(tmp_path: Path) -> None:
    keys = {"accessKeyId": {"secure": "an-id"}, "secretAccessKey": {"secure": "a-key"}}
    graph = installing(
        tmp_path,
        {"autoscaler": "keda"},
        backups={"objectStore": {"bucket": "acme-backups"}},
        secrets={"objectStore": keys},
        observability={"logs": {"store": "elasticsearch"}},
    )
    assert set(charts(graph)) == ALWAYS | {"keda", "plugin-barman-cloud", "eck-operator"}
    plugin = graph.named("foundation-plugin-barman-cloud")
    needed = {graph.named(f"foundation-{name}").urn for name in ("cert-manager", "cloudnative-pg")}
    assert needed <= plugin.depends_on


def test_behind_plain_ingresses_no_gateway_is_installed(tmp_path: Path) -> None:
    assert "traefik" not in charts(installing(tmp_path, {"gateway": {"kind": "ingress"}}))


def test_every_chart_is_pinned_and_leaves_nothing_behind_when_it_fails(installed: Graph) -> None:
    for chart, inputs in charts(installed).items():
        assert re.fullmatch(r"v?\d+\.\d+\.\d+", inputs["version"]), chart
        assert inputs["repositoryOpts"]["repo"].startswith("https://")
        assert inputs["atomic"] is True and inputs["createNamespace"] is True


def test_every_namespace_comes_after_every_chart(installed: Graph) -> None:
    """What is in a namespace waits for it, custom resources among the rest."""
    releases = {one.urn for one in installed.of_type("helm.sh/v3:Release")}
    for namespace in installed.of_type("core/v1:Namespace"):
        assert releases <= namespace.depends_on
    namespaces = {one.urn for one in installed.of_type("core/v1:Namespace")}
    for one in installed.resources:
        if one.type.startswith("kubernetes:") and one.urn not in releases | namespaces:
            assert namespaces & one.depends_on, one.name


def test_the_proxys_entry_points_are_those_that_the_gateway_names(installed: Graph) -> None:
    values = charts(installed)["traefik"]["values"]
    gateway = installed.named("foundation-edge").inputs["spec"]
    ports = {listener["protocol"]: listener["port"] for listener in gateway["listeners"]}
    assert values["ports"]["web"] == {"port": ports["HTTP"], "exposedPort": 80}
    assert values["ports"]["websecure"] == {"port": ports["HTTPS"], "exposedPort": 443}
    assert values["gatewayClass"]["name"] == gateway["gatewayClassName"]
    assert values["gateway"]["enabled"] is False


def test_operators_stand_where_the_network_policies_let_them_in_from(tmp_path: Path) -> None:
    graph = installing(tmp_path, {"autoscaler": "keda"})
    let_in = set(
        re.findall(r"'kubernetes.io/metadata.name': '([a-z-]+)'", str([one.inputs for one in graph.resources]))
    )
    homes = {chart: inputs["namespace"] for chart, inputs in charts(graph).items()}
    assert {homes["traefik"], homes["cloudnative-pg"], homes["keda"]} <= let_in


def test_a_cluster_that_has_the_operators_gets_no_chart(tmp_path: Path) -> None:
    assert charts(installing(tmp_path, {"addons": "existing"})) == {}


def test_the_stand_in_of_the_plugin_refuses_charts_by_name(installed: Graph) -> None:
    """Charts need the official plugin, which brings Helm."""
    (release, *_) = installed.of_type("helm.sh/v3:Release")
    assert release.type.removeprefix("kubernetes:").startswith(REFUSED_MODULES)
