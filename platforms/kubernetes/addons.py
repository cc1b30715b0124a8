"""The operators that a stack needs, by their own pinned charts, where the cluster does not have them already.

Versions are those that the local cluster runs from source, as far as it runs them. A chart belongs to the stack that
installed it: on a cluster that several stacks share, one of them installs, or the cluster's owner does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi_kubernetes as kubernetes
from pulumi import Resource, ResourceOptions

from platforms.kubernetes import data, logs, scaling
from platforms.kubernetes.certificates import Given
from platforms.kubernetes.context import ClusterSettings
from platforms.kubernetes.edge import EdgeSettings

TIMEOUT = 600
"""Seconds that a chart's pods have to become ready."""
PROXIES = 2


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart of a repository, for good at one version."""

    name: str
    repository: str
    version: str
    namespace: str
    """Where its operator is expected: network policies name it."""
    values: Mapping[str, Any] = field(default_factory=dict)
    after: Sequence[str] = ()
    """Charts whose objects it needs."""


def charts(cluster: ClusterSettings, edge: EdgeSettings) -> Iterator[Chart]:
    """What a stack with these settings needs. The controller of plain Ingresses is always the cluster's own."""
    if not isinstance(edge.tls, Given) or cluster.object_store is not None:
        yield Chart(
            name="cert-manager",
            repository="https://charts.jetstack.io",
            version="v1.19.0",
            namespace="cert-manager",
            values={"crds": {"enabled": True}},
        )
    if edge.kind == "gateway":
        yield _traefik(edge)
    yield Chart(
        name="cloudnative-pg",
        repository="https://cloudnative-pg.github.io/charts",
        version="0.26.0",
        namespace=data.OPERATOR_NAMESPACE,
    )
    if cluster.object_store is not None:
        yield Chart(
            name="plugin-barman-cloud",
            repository="https://cloudnative-pg.github.io/charts",
            version="0.3.0",
            # It finds the operator in its own namespace, and takes its certificates from cert-manager.
            namespace=data.OPERATOR_NAMESPACE,
            after=("cert-manager", "cloudnative-pg"),
        )
    yield _prometheus_operator()
    if cluster.keda:
        yield Chart(
            name="keda",
            repository="https://kedacore.github.io/charts",
            version="2.18.0",
            namespace=scaling.OPERATOR_NAMESPACE,
        )
    if cluster.logs is not None:
        yield Chart(
            name="eck-operator",
            repository="https://helm.elastic.co",
            version="3.1.0",
            namespace=logs.OPERATOR_NAMESPACE,
        )


def install(name: str, needed: Iterator[Chart], *, parent: Resource) -> list[Resource]:
    """Install the charts; what is in the stack's namespaces comes after all of them."""
    installed: dict[str, Resource] = {}
    for chart in needed:
        installed[chart.name] = kubernetes.helm.v3.Release(
            f"{name}-{chart.name}",
            name=chart.name,
            chart=chart.name,
            version=chart.version,
            repository_opts={"repo": chart.repository},
            namespace=chart.namespace,
            create_namespace=True,
            values=dict(chart.values),
            # A chart that does not come up leaves nothing behind.
            atomic=True,
            cleanup_on_fail=True,
            timeout=TIMEOUT,
            opts=ResourceOptions(parent=parent, depends_on=[installed[other] for other in chart.after]),
        )
    return list(installed.values())


def _traefik(edge: EdgeSettings) -> Chart:
    """The entry points that listeners name, and the providers that routes and Middlewares need."""
    return Chart(
        name="traefik",
        repository="https://traefik.github.io/charts",
        version="39.0.7",
        namespace=edge.gateway_namespace,
        values={
            "deployment": {"replicas": PROXIES},
            "podDisruptionBudget": {"enabled": True, "maxUnavailable": 1},
            "providers": {
                "kubernetesGateway": {"enabled": True},
                "kubernetesCRD": {"enabled": True},
                "kubernetesIngress": {"enabled": False},
            },
            # The program makes the Gateway itself.
            "gateway": {"enabled": False},
            "gatewayClass": {"enabled": True, "name": edge.gateway_class},
            "ports": {
                "web": {"port": edge.http_listener, "exposedPort": edge.http_port},
                "websecure": {"port": edge.https_listener, "exposedPort": edge.https_port},
            },
        },
    )


def _prometheus_operator() -> Chart:
    """The operator alone: each system brings its own Prometheus, rules and dashboards."""
    left_out = (
        *("prometheus", "alertmanager", "grafana", "nodeExporter", "kubeStateMetrics", "kubelet", "kubeApiServer"),
        *("kubeControllerManager", "kubeScheduler", "kubeProxy", "kubeEtcd", "coreDns"),
    )
    return Chart(
        name="kube-prometheus-stack",
        repository="https://prometheus-community.github.io/helm-charts",
        version="77.14.0",
        namespace="monitoring",
        values={**{part: {"enabled": False} for part in left_out}, "defaultRules": {"create": False}},
    )
