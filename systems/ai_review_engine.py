"""AI Review Engine: FastAPI, Flask and Streamlit tiers, Celery workers and beat, PostgreSQL and Redis, an ingress.

Fact numbers (ARE-nnn) refer to the system's acceptance table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pulumi import ResourceOptions

from components import alerts, dashboards
from components.app_tier import AppTier, AppTierArgs
from components.data_layer import DataLayer, DataLayerArgs
from components.foundation import Foundation
from components.ingress import Ingress, IngressArgs
from components.observability_stack import ObservabilityStack, ObservabilityStackArgs
from components.system import System, SystemArgs
from components.worker_pool import Scheduler, WorkerPool, WorkerPoolArgs
from config import EngineImages, ServiceConfig, StackConfig, SystemConfig
from platforms.specs import (
    MIB,
    BackupPolicy,
    Endpoint,
    JobSpec,
    PostgresSpec,
    PublishedPort,
    RedisSpec,
    Resources,
    Route,
    Scale,
    ScrapeTarget,
    SecretRef,
    Started,
    UrlTemplate,
    Volume,
)
from systems.ai_review_engine_facts import DATABASES, NAME, ROOT, configuration

EVERYWHERE = "0.0.0.0"  # noqa: S104 - inside a network of its own
JOB = "ai_review_engine"

WORKER_HEALTH = (
    "sh",
    "-c",
    # ARE-037. An image may bring a cheaper check of its own than a Celery start every few seconds.
    "if [ -f alive.py ]; then exec python alive.py worker; fi; "
    'exec celery -A tasks inspect ping -d "celery@$(hostname)"',
)
BEAT_HEALTH = ("sh", "-c", "if [ -f alive.py ]; then exec python alive.py beat; fi; kill -0 1")


def deploy(system: SystemConfig, stack: StackConfig, foundation: Foundation) -> str:
    """Compose the system; returns its URL."""
    root = System(NAME, SystemArgs(host=system.host), foundation)
    data = _data(stack, root)
    common = _Common.of(system, stack, root, data)
    schema = common.job("schema", ("python", "-m", "schema.migrate"), after=[data.started])
    # ARE-024, ARE-048, ARE-111: PostgreSQL, Redis, API, workers, web, dashboard.
    api = common.tier(
        "api",
        "/health",
        (
            *("python", "-m", "uvicorn", "api.main:app", "--host", EVERYWHERE, "--port", "8000"),
            *common.reload("--reload"),
        ),
        8000,
        env={"UVICORN_ROOT_PATH": "/api"},
        stores=True,
        after=[schema],
    )
    workers = _workers(system, common, after=[api.started])
    callers = {"API_URL": api.endpoint.url}
    web = common.tier(
        "web",
        "/health",
        ("python", "web/app.py"),
        5000,
        env=callers
        | {
            "DASHBOARD_URL": "http://localhost:8501/dashboard/" if common.inner_loop else "/dashboard/",
            # ARE-097: Flask's own server, which reloads; gunicorn elsewhere.
            "FLASK_DEBUG": "1" if common.inner_loop else "0",
        },
        uses=[api.endpoint],
        after=[workers.started],
    )
    dashboard = common.tier(
        "dashboard",
        "/dashboard/_stcore/health",
        (
            *("streamlit", "run", "dashboard.py", "--server.address", EVERYWHERE, "--server.port", "8501"),
            *common.reload("--server.runOnSave", "true"),
        ),
        8501,
        env=callers | {"STREAMLIT_SERVER_BASE_URL_PATH": "dashboard"},
        uses=[api.endpoint],
        after=[web.started],
    )
    routes = [
        Route(path="/", endpoint=web.endpoint),
        Route(path="/api/", endpoint=api.endpoint, strip_prefix=True),
        # Streamlit keeps a session in one process and talks to it over a websocket (ARE-055).
        Route(
            path="/dashboard/",
            endpoint=dashboard.endpoint,
            websocket=True,
            sticky=True,
            timeout=3600,
            private=("_stcore/metrics",),
        ),
    ]
    if common.inner_loop:
        return f"http://{root.host}:{web.endpoint.port}"
    if stack.observability.enabled:
        tiers = {"api": api.endpoint, "web": web.endpoint, "dashboard": dashboard.endpoint}
        routes += _observability(stack, root, data, workers, tiers, foundation).routes
    Ingress(f"{NAME}-ingress", IngressArgs(host=root.host, routes=routes), root.scope, ResourceOptions(parent=root))
    return root.url


@dataclass(frozen=True, kw_only=True)
class _Common:
    """What all processes of the system share."""

    system: SystemConfig
    root: System
    uses: tuple[Endpoint, ...]
    owner: Endpoint
    """PostgreSQL without a pool in between, for what changes its tables."""
    env: Mapping[str, str]
    stores: Mapping[str, UrlTemplate]
    """Credentials of the data engines: for the API and the workers only (ARE-027, ARE-072)."""
    secrets: Mapping[str, SecretRef]
    """Given by the stack file, such as API keys."""
    files: Mapping[str, str]
    volumes: Mapping[str, Volume]

    @classmethod
    def of(cls, system: SystemConfig, stack: StackConfig, root: System, data: DataLayer) -> _Common:
        """From the configuration and the data engines."""
        primary, cache = data.postgres.pooled or data.postgres.primary, data.redis.primary
        return cls(
            system=system,
            root=root,
            uses=(primary, cache),
            owner=data.postgres.primary,
            env={"APP_ENVIRONMENT": stack.environment, "LOG_DIR": f"{ROOT}/logs"},
            stores={
                # ARE-035, ARE-036, ARE-047: the primaries.
                "DATABASE_URL": UrlTemplate(endpoint=primary),
                "REDIS_URL": UrlTemplate(endpoint=cache, database="2"),
                "CELERY_BROKER_URL": UrlTemplate(endpoint=cache, database="0"),
                "CELERY_RESULT_BACKEND": UrlTemplate(endpoint=cache, database="1"),
            },
            secrets={key: root.scope.secrets.hold(value.get_secret_value()) for key, value in system.secrets.items()},
            files=configuration(stack.environment, DATABASES[stack.environment], primary.host, primary.port),
            volumes={f"{ROOT}/logs": Volume(name="logs")},
        )

    @property
    def inner_loop(self) -> bool:
        """The developer's own loop: one replica each, the checkout mounted, no edge (ARE-030, 052, 096, 097)."""
        return self.system.profile == "inner-loop"

    def reload(self, *arguments: str) -> tuple[str, ...]:
        """Arguments that make a process follow changes of its source; none outside the inner loop."""
        return arguments if self.inner_loop else ()

    @property
    def sources(self) -> Mapping[str, str]:
        """The developer's checkout, where it is mounted."""
        return {f"{ROOT}/apps": f"{self.system.source}/apps"} if self.inner_loop else {}

    @property
    def labels(self) -> Mapping[str, str]:
        """The profile, for the policies that differ by it."""
        return {"ai-platform.profile": self.system.profile}

    def job(self, service: str, command: tuple[str, ...], *, after: Sequence[Started]) -> Started:
        """A step that runs once before the tiers, in the API's image (ARE-049, ARE-110)."""
        api = self.system.services["api"]
        return self.root.scope.workloads.run_once(
            f"{NAME}-{service}",
            JobSpec(
                service=service,
                image=api.image or self.root.scope.image("app"),
                command=command,
                working_dir=f"{ROOT}/apps/api",
                resources=Resources(cpu=0.5, memory=256 * MIB),
                env=self.env,
                secrets={**self.stores, "DATABASE_URL": UrlTemplate(endpoint=self.owner)},
                files=self.files,
                uses=[self.owner, self.stores["REDIS_URL"].endpoint],
                after=after,
            ),
            parent=self.root,
        )

    def tier(  # noqa: PLR0913 - what differs between the tiers
        self,
        service: str,
        health_path: str,
        command: tuple[str, ...],
        port: int,
        *,
        env: Mapping[str, str],
        after: Sequence[Started],
        uses: Sequence[Endpoint] = (),
        stores: bool = False,
    ) -> AppTier:
        """One of the tiers; only one with `stores` may reach the data engines."""
        settings = self.system.services[service]
        return AppTier(
            f"{NAME}-{service}",
            AppTierArgs(
                service=service,
                image=settings.image or self.root.scope.image("app"),
                command=command,
                working_dir=f"{ROOT}/apps/{service}",
                port=port,
                health_path=health_path,
                resources=Resources(cpu=settings.cpu, memory=settings.memory),
                replicas=settings.replicas,
                scale=_scale(settings),
                env={**self.env, **env, **settings.env},
                secrets={**self.secrets, **(self.stores if stores else {})},
                files=self.files,
                volumes=self.volumes,
                sources=self.sources,
                uses=[*uses, *(self.uses if stores else ())],
                after=after,
                publish=[PublishedPort(internal=port, external=port)] if self.inner_loop else (),
                labels=self.labels,
            ),
            self.root.scope,
            ResourceOptions(parent=self.root),
        )


def _scale(settings: ServiceConfig, memory: int | None = 80) -> Scale | None:
    """The bounds that the stack file sets (ARE-012, ARE-032); None for a fixed number."""
    return Scale(min=settings.scale.min, max=settings.scale.max, memory=memory) if settings.scale else None


def _data(stack: StackConfig, root: System) -> DataLayer:
    volume = Volume(name="backups", keeps_data=True, retain=stack.data.retain_on_destroy)
    policy = BackupPolicy(volume=volume, schedule=stack.backups.schedule, keep_days=stack.backups.keep_days)
    backups = policy if stack.backups.volume else None
    return DataLayer(
        f"{NAME}-data",
        DataLayerArgs(
            postgres=PostgresSpec(
                database=DATABASES[stack.environment],
                user="ai_review",
                resources=Resources(cpu=1.0, memory=stack.data.postgres.memory),
                storage=stack.data.postgres.storage,
                retain=stack.data.retain_on_destroy,
                pooled=stack.data.postgres.pooler,
                backups=backups,
            ),
            redis=RedisSpec(
                resources=Resources(cpu=0.5, memory=stack.data.redis.memory),
                storage=stack.data.redis.storage,
                retain=stack.data.retain_on_destroy,
                backups=backups,
            ),
        ),
        root.scope,
        ResourceOptions(parent=root),
    )


def _workers(system: SystemConfig, common: _Common, *, after: Sequence[Started]) -> WorkerPool:
    settings, beat, scope = system.services["worker"], system.services["beat"], common.root.scope
    return WorkerPool(
        f"{NAME}-jobs",
        WorkerPoolArgs(
            image=settings.image or scope.image("app"),
            working_dir=f"{ROOT}/apps/worker",
            # ARE-028, ARE-034, ARE-069.
            worker_command=("celery", "-A", "tasks", "worker", "--loglevel=info", "-P", "eventlet"),
            worker_health=WORKER_HEALTH,
            scheduler=Scheduler(
                image=beat.image or scope.image("app"),
                command=("celery", "-A", "tasks", "beat"),
                health=BEAT_HEALTH,
                resources=Resources(cpu=beat.cpu, memory=beat.memory),
                env={**common.env, **beat.env},
            ),
            broker=common.stores["CELERY_BROKER_URL"],
            broker_exporter="celery-exporter",
            resources=Resources(cpu=settings.cpu, memory=settings.memory),
            workers=settings.replicas,
            # Memory says nothing about a queue (ARE-033).
            scale=_scale(settings, memory=None),
            # Eventlet's own resolver keeps an address for the DNS' 600 s: a broker that was replaced has another one.
            env={**common.env, "EVENTLET_NO_GREENDNS": "yes", **settings.env},
            secrets={**common.secrets, **common.stores},
            files=common.files,
            volumes=common.volumes,
            sources=common.sources,
            uses=common.uses,
            after=after,
            labels=common.labels,
        ),
        scope,
        ResourceOptions(parent=common.root),
    )


def _observability(  # noqa: PLR0913, PLR0917 - everything is watched
    stack: StackConfig,
    root: System,
    data: DataLayer,
    workers: WorkerPool,
    tiers: Mapping[str, Endpoint],
    foundation: Foundation,
) -> ObservabilityStack:
    paths = {"dashboard": "/dashboard/_stcore/metrics"}  # ARE-060
    exporters = {  # ARE-061, ARE-062.
        "worker": workers.metrics,
        "postgres": data.postgres.metrics,
        "redis": data.redis.metrics,
        "postgres-backup": data.postgres.backups,
        "redis-backup": data.redis.backups,
        "host": foundation.host_metrics,
        "edge": foundation.edge_metrics,
    }
    return ObservabilityStack(
        f"{NAME}-observability",
        ObservabilityStackArgs(
            targets=[
                *(
                    # ARE-059: one job for the three tiers.
                    ScrapeTarget(job=JOB, endpoint=endpoint, path=paths.get(name, "/metrics"), service=name)
                    for name, endpoint in tiers.items()
                ),
                *(
                    ScrapeTarget(job=name, endpoint=endpoint, service=name)
                    for name, endpoint in exporters.items()
                    if endpoint is not None
                ),
            ],
            rules=[*alerts.HTTP, *alerts.CELERY, *alerts.DATA],
            dashboards={
                f"{NAME}.json": dashboards.render(
                    "AI Review Engine", [*dashboards.HTTP, *dashboards.CELERY, *dashboards.DATA]
                )
            },
            scrape_interval=stack.observability.scrape_interval,
            retention=stack.observability.retention,
            external_url=root.url,
            grafana=EngineImages(stack).with_grafana,
            # ARE-065 … ARE-068.
            logs_kept=stack.observability.logs.retention if stack.observability.logs.store != "none" else None,
            after=[workers.started],
        ),
        root.scope,
        ResourceOptions(parent=root),
    )
