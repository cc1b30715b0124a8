"""Data engines as containers from their official images, each with a volume, a password file, an exporter and backups.

One host offers neither a standby nor a pooler that would survive the host: `replica` and `pooled` are None here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pulumi import Resource

from platforms import engines
from platforms.docker.workloads import DockerWorkloads
from platforms.secrets import HeldSecret, HeldSecrets
from platforms.specs import (
    BackupPolicy,
    Database,
    Endpoint,
    ExecProbe,
    Health,
    PostgresSpec,
    RedisSpec,
    Served,
    ServiceSpec,
    Volume,
)

POSTGRES_PROCESSES, REDIS_PROCESSES = 1024, 512
"""The engines' images insist on one user, whose processes count on the whole host: PostgreSQL can still start some when
Redis may not any more."""


@dataclass(frozen=True)
class DockerData:
    """Implements `platforms.protocols.Data`."""

    workloads: DockerWorkloads
    secrets: HeldSecrets

    def postgres(self, name: str, spec: PostgresSpec, *, parent: Resource) -> Database:
        """PostgreSQL 15 (ARE-039) on port 5432 (ARE-040)."""
        password = self.secrets.generate(f"{name}-password", parent=parent)
        served = self.workloads.serve(
            name,
            ServiceSpec(
                service="postgres",
                role="data",
                image=self.workloads.context.images.engine("postgres"),
                user="999:999",
                port=5432,
                scheme="postgresql",
                resources=replace(spec.resources, processes=POSTGRES_PROCESSES),
                rollout="exclusive",
                env={
                    "POSTGRES_USER": spec.user,
                    "POSTGRES_DB": spec.database,
                    "POSTGRES_PASSWORD_FILE": engines.POSTGRES_PASSWORD,
                    "POSTGRES_INITDB_ARGS": "--auth-host=scram-sha-256 --data-checksums",
                },
                secret_files={engines.POSTGRES_PASSWORD: password},
                volumes={
                    "/var/lib/postgresql/data": Volume(
                        name="postgresql", size=spec.storage, keeps_data=True, retain=spec.retain
                    ),
                },
                scratch=("/tmp", "/var/run/postgresql"),  # noqa: S108 - inside the container
                health=Health(
                    # Over TCP: while the first start initialises, only the Unix socket answers.
                    probe=ExecProbe(
                        command=("pg_isready", "-q", "-h", "127.0.0.1", "-U", spec.user, "-d", spec.database)
                    ),
                ),
                after=spec.after,
                stop_signal="SIGINT",
                stop_grace=60,
            ),
            parent=parent,
        )
        primary = _with_login(served, password, user=spec.user, database=spec.database)
        engine = self.workloads.context.images.engine
        exporter = engines.postgres_exporter(engine("postgres-exporter"), primary, password, served)
        metrics = self.workloads.serve(f"{name}-exporter", exporter, parent=parent).reached_at
        backups = self._backups(name, primary, served, spec.backups, parent=parent)
        return Database(
            primary=primary, replica=None, pooled=None, metrics=metrics, backups=backups, ready=served.ready
        )

    def redis(self, name: str, spec: RedisSpec, *, parent: Resource) -> Database:
        """Redis 7, persisted by append-only file and snapshot (ARE-050, ARE-087)."""
        password = self.secrets.generate(f"{name}-password", parent=parent)
        served = self.workloads.serve(
            name,
            ServiceSpec(
                service="redis",
                role="data",
                image=self.workloads.context.images.engine("redis"),
                user="999:999",
                command=("redis-server", engines.REDIS_CONFIG),
                port=6379,
                scheme="redis",
                resources=replace(spec.resources, processes=REDIS_PROCESSES),
                rollout="exclusive",
                secret_files={
                    engines.REDIS_CONFIG: engines.redis_config(password.value, spec.resources.memory),
                    engines.REDIS_PASSWORD: password,
                },
                volumes={"/data": Volume(name="redis", size=spec.storage, keeps_data=True, retain=spec.retain)},
                after=spec.after,
                health=engines.REDIS_HEALTH,
                stop_grace=60,
            ),
            parent=parent,
        )
        primary = _with_login(served, password, user=None, database="0")
        engine = self.workloads.context.images.engine
        exporter = engines.redis_exporter(engine("redis-exporter"), primary, password, served)
        metrics = self.workloads.serve(f"{name}-exporter", exporter, parent=parent).reached_at
        backups = self._backups(name, primary, served, spec.backups, parent=parent)
        return Database(
            primary=primary, replica=None, pooled=None, metrics=metrics, backups=backups, ready=served.ready
        )

    def _backups(
        self, name: str, target: Endpoint, served: Served, policy: BackupPolicy | None, *, parent: Resource
    ) -> Endpoint | None:
        if policy is None or target.password is None:
            return None
        context = self.workloads.context
        image = context.images.engine("backup")
        spec = engines.backups(target.host, image, context.system, target, target.password, policy, served)
        return self.workloads.serve(f"{name}-backup", spec, parent=parent).reached_at


def _with_login(served: Served, password: HeldSecret, *, user: str | None, database: str) -> Endpoint:
    return replace(served.reached_at, user=user, password=password, database=database)
