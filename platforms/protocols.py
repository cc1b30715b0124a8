"""The seam between what is deployed (components, systems) and how (platforms).

A component fills in a spec of `platforms.specs` and hands it to a capability of its scope; the platform behind the
scope turns it into resources. No Pulumi resource is created in this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pulumi import Input, Output, ProviderResource, Resource

from platforms.specs import (
    Completed,
    Database,
    Endpoint,
    JobSpec,
    PostgresSpec,
    RedisSpec,
    Route,
    SecretRef,
    Served,
    ServiceSpec,
    TelemetryParts,
    TelemetrySpec,
)


class Secrets(Protocol):
    """Makes and holds secrets where the platform keeps them."""

    def generate(self, name: str, *, length: int = 32, parent: Resource) -> SecretRef:
        """A random password of letters and digits, so that it can stand in a URL as it is."""

    def hold(self, value: Input[str]) -> SecretRef:
        """A secret that was given by the configuration."""


class Workloads(Protocol):
    """Runs services and jobs."""

    def serve(self, name: str, spec: ServiceSpec, *, parent: Resource) -> Served:
        """Run a service for good; `name` prefixes the logical name of everything that it is made of."""

    def run_once(self, name: str, spec: JobSpec, *, parent: Resource) -> Completed:
        """Run a job to its end; dependents wait for its success, and its failure stops them."""


class Data(Protocol):
    """Runs data engines, with their exporters."""

    def postgres(self, name: str, spec: PostgresSpec, *, parent: Resource) -> Database:
        """PostgreSQL 15 (ARE-039)."""

    def redis(self, name: str, spec: RedisSpec, *, parent: Resource) -> Database:
        """Redis 7, one writable primary (ARE-045, ARE-046)."""


class Edge(Protocol):
    """Publishes services of one system to the outside, over TLS."""

    def url(self, host: str) -> str:
        """Where `host` is reached, without a slash at the end."""

    def route(self, name: str, host: str, routes: Sequence[Route], *, parent: Resource) -> None:
        """Publish `routes` under `host`."""


class Telemetry(Protocol):
    """Collects metrics."""

    def collect(self, name: str, spec: TelemetrySpec, *, parent: Resource) -> TelemetryParts:
        """Scrape the targets, evaluate the rules, show the dashboards."""


class Scope(Protocol):
    """One per system: its namespace or networks, and what can be done in it."""

    @property
    def workloads(self) -> Workloads: ...
    @property
    def data(self) -> Data: ...
    @property
    def edge(self) -> Edge: ...
    @property
    def telemetry(self) -> Telemetry: ...
    @property
    def secrets(self) -> Secrets: ...

    def image(self, engine: str) -> str:
        """The image of a supporting engine (`celery-exporter`, `nginx`, …) on this platform.

        Raises `config.ConfigError` when the image cannot be had.
        """


class Ground(Protocol):
    """What a stack has once: the edge, and the exporters of the host or the nodes."""

    @property
    def host_metrics(self) -> Endpoint:
        """CPU, memory and disk of the host or the nodes (ARE-062)."""

    @property
    def edge_metrics(self) -> Endpoint:
        """Connections of the edge."""

    @property
    def authority(self) -> Output[str] | None:
        """PEM certificate for clients to trust, where the edge's certificate is not publicly trusted."""

    def scope(self, system: str, *, parent: Resource) -> Scope:
        """Open the scope of a system; everything in it is labelled with the system's name."""

    def open_edge(self, *, parent: Resource) -> None:
        """Start to answer: called once, when every system has published its routes."""


class Platform(Protocol):
    """A kind of place that systems can be deployed to."""

    def ground(self, name: str, *, parent: Resource) -> Ground:
        """Create what the stack has once."""

    def providers(self) -> Mapping[str, ProviderResource]:
        """The explicit providers, by package name, that top-level components hand down."""
