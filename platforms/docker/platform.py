"""The Docker platform: one engine, one edge, a scope for each system."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi_docker as docker
from pulumi import Input, Output, ProviderResource, Resource

from platforms.docker.context import Context, open_network
from platforms.docker.data import DockerData
from platforms.docker.edge import DockerEdge, EdgeProxy, EdgeSettings, proxy
from platforms.docker.images import Images
from platforms.docker.subnets import Subnets
from platforms.docker.telemetry import DockerTelemetry
from platforms.docker.workloads import DockerWorkloads
from platforms.secrets import HeldSecrets
from platforms.specs import BIND_ADDRESS, MIB, Endpoint, Health, HttpProbe, Resources, ServiceSpec

FOUNDATION = "foundation"
"""Value of the system label of what no system owns."""


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Credentials of an image registry."""

    address: str
    username: str
    password: Input[str]


@dataclass(frozen=True, kw_only=True)
class DockerSettings:
    """What the platform needs to know, all of it from the stack's configuration."""

    stack: str
    host: str
    """Address of the engine: `unix://…`, `tcp://…` or `ssh://…`."""
    network_pool: IPv4Network
    bind_address: str
    """Host address of published ports."""
    edge: EdgeSettings
    engine_image: Callable[[str], str]
    """Engine name → image reference or id; raises `config.ConfigError` when there is none."""
    registries: tuple[Registry, ...]
    log_max_size: str
    log_max_files: int


class DockerPlatform:
    """Implements `platforms.protocols.Platform`."""

    def __init__(self, settings: DockerSettings) -> None:
        self._settings = settings
        self._provider = docker.Provider(
            "docker",
            host=settings.host,
            registry_auth=[
                docker.ProviderRegistryAuthArgs(
                    address=registry.address, username=registry.username, password=registry.password
                )
                for registry in settings.registries
            ]
            or None,
        )

    def providers(self) -> Mapping[str, ProviderResource]:
        """The provider of the one engine."""
        return {"docker": self._provider}

    def ground(self, name: str, *, parent: Resource) -> DockerGround:
        """The edge's network, the host's exporter, and the edge itself once it is opened."""
        return DockerGround(self._settings, name, parent)


class DockerGround:
    """Implements `platforms.protocols.Ground`."""

    def __init__(self, settings: DockerSettings, name: str, parent: Resource) -> None:
        self._settings = settings
        self._name = name
        self._images = Images(settings.engine_image, parent)
        self._subnets = Subnets(settings.network_pool)
        context = self._context(FOUNDATION)
        network, _ = open_network(context, f"{name}-edge-net", "edge", "proxy", parent=parent, internal=False)
        self._network = network.name
        workloads = DockerWorkloads(context, self._network)
        self._proxy = EdgeProxy(
            workloads,
            settings.edge,
            metrics=workloads.reserve(f"{name}-edge-metrics", proxy(self._images.engine("nginx")), parent=parent),
        )
        self._host_metrics = _host_exporter(workloads, f"{name}-node-exporter", parent)

    @property
    def host_metrics(self) -> Endpoint:
        """CPU, memory and disk of the host (ARE-062)."""
        return self._host_metrics

    @property
    def edge_metrics(self) -> Endpoint:
        """Connections of the edge."""
        return self._proxy.metrics

    @property
    def authority(self) -> Output[str] | None:
        """PEM certificate for clients to trust; None when the certificate was given."""
        return self._proxy.authority

    def scope(self, system: str, *, parent: Resource) -> DockerScope:
        """Open the scope of a system; everything in it is labelled with the system's name."""
        del parent  # A system's networks and volumes belong to the components that need them.
        workloads = DockerWorkloads(self._context(system), self._network)
        return DockerScope(workloads, self._proxy)

    def open_edge(self, *, parent: Resource) -> None:
        """Start to answer: called once, when every system has published its routes."""
        self._proxy.open(f"{self._name}-edge", parent=parent)

    def _context(self, system: str) -> Context:
        return Context(
            stack=self._settings.stack,
            system=system,
            subnets=self._subnets,
            images=self._images,
            bind_address=self._settings.bind_address,
            log_opts={"max-size": self._settings.log_max_size, "max-file": str(self._settings.log_max_files)},
        )


class DockerScope:
    """Implements `platforms.protocols.Scope`."""

    def __init__(self, workloads: DockerWorkloads, edge: EdgeProxy) -> None:
        self.workloads = workloads
        self.secrets = HeldSecrets()
        self.data = DockerData(workloads, self.secrets)
        self.edge = DockerEdge(edge)
        self.telemetry = DockerTelemetry(workloads, self.secrets)

    def image(self, engine: str) -> str:
        """The image of a supporting engine. Raises `config.ConfigError` when it cannot be had."""
        return self.workloads.context.images.engine(engine)


def _host_exporter(workloads: DockerWorkloads, name: str, parent: Resource) -> Endpoint:
    """CPU, memory, load and disk throughput show the host even from inside a container; no host folder is mounted."""
    served = workloads.serve(
        name,
        ServiceSpec(
            service="node-exporter",
            role="telemetry",
            image=workloads.context.images.engine("node-exporter"),
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
        ),
        parent=parent,
    )
    return served.reached_at
