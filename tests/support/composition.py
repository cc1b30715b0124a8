"""A platform that makes nothing and writes down who was handed which endpoint: the composition of the systems itself.

What an engine brings along on every platform (its exporter, what takes its backups) is said here once more, so that
nothing is taken from the platform under test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from pulumi import Input, Resource

from platforms.specs import (
    Completed,
    Database,
    Endpoint,
    Grant,
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
from tests.support.programs import run, tracked

Arrow = tuple[str, str, int]
"""Client, server, port: each a service's name."""
EXPORTERS = {"postgres": 9187, "redis": 9121}
BACKUP_PORT = 9180


@dataclass(frozen=True, kw_only=True)
class Handed(Grant):
    """Whose endpoint it is."""

    service: str


@dataclass
class Spy:
    """Implements `platforms.protocols.Platform`, and everything behind it."""

    arrows: set[Arrow] = field(default_factory=set)
    services: set[str] = field(default_factory=set)

    # Platform and Ground.

    def ground(self, name: str, *, parent: Resource) -> Spy:
        del name, parent
        self.services.add("node-exporter")
        return self

    def providers(self) -> dict[str, Any]:
        return {}

    def scope(self, system: str, *, parent: Resource) -> Spy:
        del system, parent
        return self

    def open_edge(self, *, parent: Resource) -> None:
        del parent

    host_metrics = property(lambda self: self.endpoint("node-exporter", 9100))
    edge_metrics = property(lambda self: self.endpoint("edge", 9100))
    authority = None

    # Scope.

    workloads = data = edge = telemetry = secrets = property(lambda self: self)

    def image(self, engine: str) -> str:
        return f"{engine}:1"

    # Secrets.

    def generate(self, name: str, *, length: int = 32, parent: Resource) -> SecretRef:
        del name, length, parent
        return SecretRef()

    def hold(self, value: Input[str]) -> SecretRef:
        del value
        return SecretRef()

    # Workloads.

    def serve(self, name: str, spec: ServiceSpec, *, parent: Resource) -> Served:
        del name, parent
        self._uses(spec.service, spec.uses)
        return Served(endpoint=self.endpoint(spec.service, spec.port) if spec.port else None, ready=[])

    def run_once(self, name: str, spec: JobSpec, *, parent: Resource) -> Completed:
        del name, parent
        self._uses(spec.service, spec.uses)
        return Completed(ready=[])

    # Data.

    def postgres(self, name: str, spec: PostgresSpec, *, parent: Resource) -> Database:
        del name, parent
        return self._engine("postgres", 5432, database=spec.database, backups=spec.backups is not None)

    def redis(self, name: str, spec: RedisSpec, *, parent: Resource) -> Database:
        del name, parent
        return self._engine("redis", 6379, database="0", backups=spec.backups is not None)

    # Edge.

    def url(self, host: str) -> str:
        return f"https://{host}"

    def route(self, name: str, host: str, routes: Sequence[Route], *, parent: Resource) -> None:
        del name, host, parent
        self._uses("edge", [route.endpoint for route in routes])

    # Telemetry.

    def collect(self, name: str, spec: TelemetrySpec, *, parent: Resource) -> TelemetryParts:
        del name, parent
        metrics = self.endpoint("prometheus", 9090)
        self._uses("prometheus", [target.endpoint for target in spec.targets])
        if spec.grafana:
            self._uses("grafana", [metrics])
        return TelemetryParts(
            metrics=metrics,
            metrics_path="/prometheus/",
            dashboards=self.endpoint("grafana", 3000) if spec.grafana else None,
            dashboards_path="/grafana/",
        )

    def endpoint(self, service: str, port: int) -> Endpoint:
        """An endpoint that tells whose it is."""
        return Endpoint(scheme="http", host=service, port=port, grant=Handed(service=service))

    def _engine(self, service: str, port: int, *, database: str, backups: bool) -> Database:
        self.services.add(service)
        primary = replace(self.endpoint(service, port), database=database, user="user", password=SecretRef())
        exporter, keeper = f"{service}-exporter", f"{service}-backup"
        self._uses(exporter, [primary])
        if backups:
            self._uses(keeper, [primary])
        return Database(
            primary=primary,
            replica=None,
            pooled=None,
            metrics=self.endpoint(exporter, EXPORTERS[service]),
            backups=self.endpoint(keeper, BACKUP_PORT) if backups else None,
            ready=[],
        )

    def _uses(self, service: str, endpoints: Sequence[Endpoint]) -> None:
        self.services.add(service)
        for endpoint in endpoints:
            assert isinstance(endpoint.grant, Handed)
            self.arrows.add((service, endpoint.grant.service, endpoint.port))


def composition(stack: str, folder: Path) -> Spy:
    """What the systems of a tracked stack compose."""
    spy = Spy()
    with mock.patch("platforms.registry.make_platform", return_value=spy):
        run(tracked(stack), folder, stack=stack, grafana=True)
    return spy
