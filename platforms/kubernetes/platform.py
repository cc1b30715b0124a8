"""The Kubernetes platform: one cluster, one Gateway, a namespace for each system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi_kubernetes as kubernetes
from pulumi import Output, ProviderResource, Resource, ResourceOptions

from platforms.kubernetes import network
from platforms.kubernetes.context import LABEL, MANAGED_BY, PART_OF, ClusterSettings, Context
from platforms.kubernetes.data import KubernetesData
from platforms.kubernetes.edge import EdgeSettings, Gateway, KubernetesEdge
from platforms.kubernetes.telemetry import KubernetesTelemetry
from platforms.kubernetes.workloads import KubernetesWorkloads
from platforms.secrets import HeldSecrets
from platforms.specs import BIND_ADDRESS, MIB, Endpoint, Health, HttpProbe, Resources, ServiceSpec

FOUNDATION = "foundation"
"""Value of the system label of what no system owns."""
POD_SECURITY = "pod-security.kubernetes.io"


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Credentials of an image registry."""

    address: str
    username: str
    password: Output[str]


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What one system may request."""

    cpu: float
    """Cores."""
    memory: int
    """Bytes."""
    pods: int


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
        self._settings = settings
        self._name = name
        context = self._open(FOUNDATION, f"ai-platform-{settings.stack}", name, parent)
        self._gateway = Gateway(context, settings.edge)
        workloads = KubernetesWorkloads(context)
        self._host_metrics = workloads.on_each_node(f"{name}-node-exporter", _node_exporter(context), parent=parent)

    @property
    def host_metrics(self) -> Endpoint:
        """CPU, memory and disk of the nodes (ARE-062)."""
        return self._host_metrics

    @property
    def edge_metrics(self) -> Endpoint:
        """Requests and connections of the proxy."""
        return self._gateway.metrics

    @property
    def authority(self) -> Output[str] | None:
        """PEM certificate for clients to trust; None when another authority signs."""
        return self._gateway.authority

    def scope(self, system: str, *, parent: Resource) -> KubernetesScope:
        """Open the namespace of a system; everything in it is labelled with the system's name."""
        context = self._open(system, f"{system}-{self._settings.stack}", system, parent)
        return KubernetesScope(context, self._gateway)

    def open_edge(self, *, parent: Resource) -> None:
        """Start to answer: called once, when every system has published its routes."""
        self._gateway.open(f"{self._name}-edge", parent=parent)

    def _open(self, system: str, namespace: str, name: str, parent: Resource) -> Context:
        """A namespace with its Pod Security, quota, limits and closed network."""
        labels = {
            PART_OF: system,
            MANAGED_BY: "pulumi",
            f"{LABEL}/stack": self._settings.stack,
            f"{LABEL}/system": system,
            f"{LABEL}/service": "namespace",
            f"{LABEL}/role": "proxy",
            f"{POD_SECURITY}/enforce": "restricted",
            f"{POD_SECURITY}/warn": "restricted",
        }
        made = kubernetes.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": namespace, "labels": labels},
            opts=ResourceOptions(parent=parent),
        )
        context = Context(
            stack=self._settings.stack,
            system=system,
            namespace=namespace,
            namespace_name=made.metadata["name"],
            local=system != FOUNDATION,
            pull_secret=self._pull_secret(name, system, made.metadata["name"], parent),
            cluster=self._settings.cluster,
        )
        network.close(context, name, parent=parent)
        _bound(context, name, self._settings.quota, parent)
        return context

    def _pull_secret(self, name: str, system: str, namespace: Output[str], parent: Resource) -> Output[str] | None:
        """Logins of the image registries, for the pods' service accounts."""
        if not self._settings.registries:
            return None
        logins = {
            registry.address: {"username": registry.username, "password": registry.password}
            for registry in self._settings.registries
        }
        labels = {PART_OF: system, f"{LABEL}/stack": self._settings.stack, f"{LABEL}/system": system}
        secret = kubernetes.core.v1.Secret(
            f"{name}-registries",
            type="kubernetes.io/dockerconfigjson",
            metadata={"namespace": namespace, "labels": labels},
            # The passwords make the whole text secret.
            string_data={".dockerconfigjson": Output.json_dumps({"auths": logins})},
            opts=ResourceOptions(parent=parent),
        )
        name_of: Output[str] = secret.metadata["name"]
        return name_of


class KubernetesScope:
    """Implements `platforms.protocols.Scope`."""

    def __init__(self, context: Context, gateway: Gateway) -> None:
        self.workloads = KubernetesWorkloads(context)
        self.secrets = HeldSecrets()
        self.data = KubernetesData(self.workloads, self.secrets)
        self.edge = KubernetesEdge(context, gateway)
        self.telemetry = KubernetesTelemetry(self.workloads, self.secrets)

    def image(self, engine: str) -> str:
        """The image of a supporting engine. Raises `config.ConfigError` when it cannot be had."""
        return self.workloads.context.cluster.engine_image(engine)


def _bound(context: Context, name: str, quota: Quota, parent: Resource) -> None:
    """What the system may ask for, and what a container gets that asks for nothing."""
    opts = ResourceOptions(parent=parent)
    kubernetes.core.v1.ResourceQuota(
        f"{name}-quota",
        metadata=context.metadata(f"{name}-quota", "quota", "proxy", name="quota"),
        spec={
            "hard": {
                "requests.cpu": f"{quota.cpu:g}",
                "requests.memory": f"{quota.memory // MIB}Mi",
                "limits.memory": f"{quota.memory // MIB}Mi",
                "pods": str(quota.pods),
            }
        },
        opts=opts,
    )
    kubernetes.core.v1.LimitRange(
        f"{name}-limits",
        metadata=context.metadata(f"{name}-limits", "limits", "proxy", name="limits"),
        spec={
            "limits": [
                {
                    "type": "Container",
                    "default": {"cpu": "500m", "memory": "256Mi", "ephemeral-storage": "512Mi"},
                    "defaultRequest": {"cpu": "50m", "memory": "256Mi", "ephemeral-storage": "64Mi"},
                }
            ]
        },
        opts=opts,
    )


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
