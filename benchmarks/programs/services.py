"""A system of N services, composed as the project's own systems are: the load of the previews that are measured.

Each service has one replica, a network, a route through the edge, metrics, a configuration file, logs and the
credentials of a shared database. It is made to be previewed: no single host would run a thousand of them.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi import ResourceOptions

from components import alerts, dashboards
from components.app_tier import AppTier, AppTierArgs
from components.data_layer import DataLayer, DataLayerArgs
from components.foundation import Foundation, FoundationArgs
from components.ingress import Ingress, IngressArgs
from components.observability_stack import ObservabilityStack, ObservabilityStackArgs
from components.system import System, SystemArgs
from config import ServiceFacts, StackConfig, SystemConfig, SystemFacts, load
from platforms.outputs import settle_in_bulk
from platforms.registry import make_platform
from platforms.specs import (
    MIB,
    PostgresSpec,
    RedisSpec,
    Resources,
    Route,
    ScrapeTarget,
    UrlTemplate,
    Volume,
)
from policies.names import POLICY_NAMES

NAME = "bench"
"""Of the system, in the stack file and in the names of its resources."""
PORT = 8000
EVERYWHERE = "0.0.0.0"  # noqa: S104 - inside a network of its own


def config(services: int) -> dict[str, Any]:
    """What the stack file of a system of that many services says beyond its platform."""
    return {"benchmark:services": str(services), "ai-platform:policies": {"minReplicas": 1}}


def facts(services: int) -> SystemFacts:
    """Sizes of a system of that many services."""
    one = ServiceFacts(min_replicas=1, max_replicas=1, default_replicas=1, cpu=0.5, memory=256 * MIB)
    return SystemFacts(services={f"service-{index:04d}": one for index in range(services)}, reserved_env=frozenset())


def data_layer(stack: StackConfig, root: System) -> DataLayer:
    """One PostgreSQL and one Redis."""
    postgres = PostgresSpec(
        database="bench",
        user="bench",
        resources=Resources(cpu=1.0, memory=stack.data.postgres.memory),
        storage=stack.data.postgres.storage,
        retain=False,
    )
    redis = RedisSpec(
        resources=Resources(cpu=0.5, memory=stack.data.redis.memory), storage=stack.data.redis.storage, retain=False
    )
    return DataLayer(
        f"{NAME}-data", DataLayerArgs(postgres=postgres, redis=redis), root.scope, ResourceOptions(parent=root)
    )


def tier(name: str, system: SystemConfig, root: System, data: DataLayer, after: AppTier | None) -> AppTier:
    """One service; it may call the one before it."""
    settings = system.services[name]
    return AppTier(
        f"{NAME}-{name}",
        AppTierArgs(
            service=name,
            image=settings.image or root.scope.image("app"),
            command=("python", "-m", "uvicorn", "api.main:app", "--host", EVERYWHERE, "--port", str(PORT)),
            working_dir="/srv/bench/apps/api",
            port=PORT,
            health_path="/health",
            resources=Resources(cpu=settings.cpu, memory=settings.memory),
            replicas=settings.replicas,
            env={
                "APP_ENVIRONMENT": "development",
                "LOG_DIR": "/srv/bench/logs",
                **({"UPSTREAM_URL": after.endpoint.url} if after else {}),
            },
            secrets={"DATABASE_URL": UrlTemplate(endpoint=data.postgres.primary)},
            files={"/srv/bench/config/default.yml": f"service: {name}\nlog:\n  level: info\n"},
            volumes={"/srv/bench/logs": Volume(name="logs")},
            uses=[data.postgres.primary, *([after.endpoint] if after else [])],
            after=[data.started],
        ),
        root.scope,
        ResourceOptions(parent=root),
    )


def deploy(system: SystemConfig, stack: StackConfig, foundation: Foundation) -> str:
    """Compose the system; returns its URL."""
    root = System(NAME, SystemArgs(host=system.host), foundation)
    data = data_layer(stack, root)
    tiers: dict[str, AppTier] = {}
    last: AppTier | None = None
    for name in system.services:
        last = tiers[name] = tier(name, system, root, data, last)
    panels = [*dashboards.HTTP, *dashboards.DATA]
    watched = ObservabilityStack(
        f"{NAME}-observability",
        ObservabilityStackArgs(
            targets=[ScrapeTarget(job="services", endpoint=one.endpoint, service=name) for name, one in tiers.items()],
            rules=[*alerts.HTTP, *alerts.DATA],
            dashboards={"bench.json": dashboards.render("Bench", panels)},
            external_url=root.url,
            grafana=False,
            after=[data.started],
        ),
        root.scope,
        ResourceOptions(parent=root),
    )
    routes = [Route(path=f"/{name}/", endpoint=one.endpoint, strip_prefix=True) for name, one in tiers.items()]
    Ingress(
        f"{NAME}-ingress",
        IngressArgs(host=root.host, routes=[*routes, *watched.routes]),
        root.scope,
        ResourceOptions(parent=root),
    )
    return root.url


def main() -> None:
    """Deploy the current stack, as the project's `__main__.py` does; `benchmark:services` is the number of services."""
    services = pulumi.Config("benchmark").require_int("services")
    stack = load(catalogue={NAME: facts(services)}, policy_names=POLICY_NAMES)
    platform = make_platform(stack, pulumi.get_stack())
    foundation = Foundation("foundation", FoundationArgs(domain=stack.domain), platform)
    urls = {system.name: deploy(system, stack, foundation) for system in stack.systems}
    foundation.open()
    pulumi.export("urls", urls)
    pulumi.export("caCertificate", foundation.authority)
    settle_in_bulk()
