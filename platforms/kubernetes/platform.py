"""The Kubernetes platform: one cluster, one Gateway, a namespace for each system."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pulumi_kubernetes as kubernetes
from pulumi import Output, ProviderResource, Resource

from platforms.kubernetes import addons
from platforms.kubernetes.context import ClusterSettings, Context
from platforms.kubernetes.data import KubernetesData
from platforms.kubernetes.edge import EdgeSettings, Gateway
from platforms.kubernetes.ingress import Ingresses
from platforms.kubernetes.namespaces import Namespaces, Quota, Registry
from platforms.kubernetes.telemetry import KubernetesTelemetry
from platforms.kubernetes.workloads import KubernetesWorkloads
from platforms.protocols import Edge
from platforms.secrets import HeldSecrets
from platforms.specs import BIND_ADDRESS, MIB, Endpoint, Health, HttpProbe, Resources, ServiceSpec

FRONTS: Mapping[str, Callable[[Context, EdgeSettings], Gateway | Ingresses]] = {
    "gateway": Gateway,
    "ingress": Ingresses,
}
"""By `EdgeSettings.kind`."""


@dataclass(frozen=True, kw_only=True)
class KubernetesSettings:
    """What the platform needs to know, all of it from the stack's configuration."""

    stack: str
    context: str
    """Context of the kubeconfig."""
    cluster: ClusterSettings
    edge: EdgeSettings
    quota: Quota
    registries: tuple[Registry, ...]
    install_addons: bool
    """Whether the stack brings the operators that it needs; else the cluster has them."""


class KubernetesPlatform:
    """Implements `platforms.protocols.Platform`."""

    def __init__(self, settings: KubernetesSettings) -> None:
        self._settings = settings
        self._provider = kubernetes.Provider(
            "kubernetes",
            context=settings.context,
            # The same cluster under another address or with other credentials is still the same cluster.
            cluster_identifier=settings.context,
            enable_server_side_apply=True,
        )

    def providers(self) -> Mapping[str, ProviderResource]:
        """The provider of the one cluster."""
        return {"kubernetes": self._provider}

    def ground(self, name: str, *, parent: Resource) -> KubernetesGround:
        """The stack's own namespace, the nodes' exporter, and the Gateway once it is opened."""
        return KubernetesGround(self._settings, name, parent)


class KubernetesGround:
    """Implements `platforms.protocols.Ground`."""

    def __init__(self, settings: KubernetesSettings, name: str, parent: Resource) -> None:
        self._name = name
        self._namespaces = Namespaces(
            stack=settings.stack,
            cluster=settings.cluster,
            quota=settings.quota,
            registries=settings.registries,
            after=_operators(settings, name, parent),
        )
        context = self._namespaces.ground(name, parent=parent)
        self._front = FRONTS[settings.edge.kind](context, settings.edge)
        workloads = KubernetesWorkloads(context)
        self._host_metrics = workloads.on_each_node(f"{name}-node-exporter", _node_exporter(context), parent=parent)

    @property
    def host_metrics(self) -> Endpoint:
        """CPU, memory and disk of the nodes (ARE-062)."""
        return self._host_metrics

    @property
    def edge_metrics(self) -> Endpoint:
        """Requests and connections of the proxy."""
        return self._front.metrics

    @property
    def authority(self) -> Output[str] | None:
        """PEM certificate for clients to trust; None when another authority signs."""
        return self._front.authority

    def scope(self, system: str, *, parent: Resource) -> KubernetesScope:
        """Open the namespace of a system; everything in it is labelled with the system's name."""
        context = self._namespaces.of(system, system, parent=parent)
        return KubernetesScope(context, self._front, self._namespaces)

    def open_edge(self, *, parent: Resource) -> None:
        """Start to answer: called once, when every system has published its routes."""
        self._front.open(f"{self._name}-edge", parent=parent)


class KubernetesScope:
    """Implements `platforms.protocols.Scope`."""

    def __init__(self, context: Context, front: Gateway | Ingresses, namespaces: Namespaces) -> None:
        self.workloads = KubernetesWorkloads(context)
        self.secrets = HeldSecrets()
        self.data = KubernetesData(self.workloads, self.secrets)
        self.edge: Edge = front.edge(context)
        self.telemetry = KubernetesTelemetry(self.workloads, self.secrets, namespaces)

    def image(self, engine: str) -> str:
        """The image of a supporting engine. Raises `config.ConfigError` when it cannot be had."""
        return self.workloads.context.cluster.engine_image(engine)


def _operators(settings: KubernetesSettings, name: str, parent: Resource) -> list[Resource]:
    if not settings.install_addons:
        return []
    return addons.install(name, addons.charts(settings.cluster, settings.edge), parent=parent)


def _node_exporter(context: Context) -> ServiceSpec:
    """CPU, memory, load and disk throughput show the node even from inside a pod; no folder of the node is mounted."""
    return ServiceSpec(
        service="node-exporter",
        role="telemetry",
        image=context.cluster.engine_image("node-exporter"),
        command=(
            f"--web.listen-address={BIND_ADDRESS}:9100",
            "--collector.disable-defaults",
            "--collector.cpu",
            "--collector.meminfo",
            "--collector.loadavg",
            "--collector.diskstats",
            "--collector.filesystem",
            "--collector.stat",
            "--collector.uname",
        ),
        port=9100,
        resources=Resources(cpu=0.25, memory=64 * MIB, processes=128),
        rollout="exclusive",
        health=Health(probe=HttpProbe(path="/metrics", port=9100), interval=15),
    )
