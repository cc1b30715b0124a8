"""Data engines as containers from their official images, each with a volume, a password file, an exporter and backups.

One host offers neither a standby nor a pooler that would survive the host: `replica` and `pooled` are None here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pulumi import Output, Resource

from platforms.docker.context import HeldSecret
from platforms.docker.secrets import DockerSecrets
from platforms.docker.workloads import DockerWorkloads
from platforms.specs import (
    BIND_ADDRESS,
    MIB,
    BackupPolicy,
    Database,
    Endpoint,
    ExecProbe,
    Health,
    HttpProbe,
    PostgresSpec,
    RedisSpec,
    Resources,
    Served,
    ServiceSpec,
    Volume,
)

EXPORTER = Resources(cpu=0.25, memory=64 * MIB, processes=128)
BACKUP = Resources(cpu=0.5, memory=256 * MIB)
BACKUP_USER = "10001:10001"
"""Owns the archives, and the folder `/backups` of the image."""
POSTGRES_PROCESSES, REDIS_PROCESSES = 1024, 512
"""The engines' images insist on one user, whose processes count on the whole host: PostgreSQL can still start some when
Redis may not any more."""
POSTGRES_PASSWORD = "/run/secrets/postgres-password"  # noqa: S105 - a path
REDIS_PASSWORD = "/run/secrets/redis-password"  # noqa: S105 - a path
BACKUPS = "/backups"
"""ARE-083."""
REDIS_CONFIG = "/etc/redis/redis.conf"
REDIS_MEMORY_SHARE = 0.6
"""Share of the memory limit for the data set: rewriting the append-only file needs the rest."""


@dataclass(frozen=True)
class DockerData:
    """Implements `platforms.protocols.Data`."""

    workloads: DockerWorkloads
    secrets: DockerSecrets

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
                    "POSTGRES_PASSWORD_FILE": POSTGRES_PASSWORD,
                    "POSTGRES_INITDB_ARGS": "--auth-host=scram-sha-256 --data-checksums",
                },
                secret_files={POSTGRES_PASSWORD: password},
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
        metrics = self._exporter(
            f"{name}-exporter",
            "postgres-exporter",
            9187,
            primary,
            served,
            env={
                "DATA_SOURCE_URI": f"{primary.address}/{spec.database}?sslmode=disable",
                "DATA_SOURCE_USER": spec.user,
                "DATA_SOURCE_PASS_FILE": POSTGRES_PASSWORD,
            },
            secret_files={POSTGRES_PASSWORD: password},
            parent=parent,
        )
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
                command=("redis-server", REDIS_CONFIG),
                port=6379,
                scheme="redis",
                resources=replace(spec.resources, processes=REDIS_PROCESSES),
                rollout="exclusive",
                secret_files={
                    REDIS_CONFIG: redis_config(password.value, spec.resources.memory),
                    REDIS_PASSWORD: password,
                },
                volumes={"/data": Volume(name="redis", size=spec.storage, keeps_data=True, retain=spec.retain)},
                after=spec.after,
                health=Health(
                    probe=ExecProbe(
                        command=(
                            "sh",
                            "-c",
                            f'REDISCLI_AUTH="$(cat {REDIS_PASSWORD})" redis-cli ping | grep -q PONG',
                        )
                    ),
                ),
                stop_grace=60,
            ),
            parent=parent,
        )
        primary = _with_login(served, password, user=None, database="0")
        metrics = self._exporter(
            f"{name}-exporter",
            "redis-exporter",
            9121,
            primary,
            served,
            env={"REDIS_ADDR": primary.url, "REDIS_PASSWORD_FILE": REDIS_PASSWORD},
            secret_files={
                # The exporter takes a map from address to password, as JSON.
                REDIS_PASSWORD: Output.json_dumps({primary.url: password.value}),
            },
            parent=parent,
        )
        backups = self._backups(name, primary, served, spec.backups, parent=parent)
        return Database(
            primary=primary, replica=None, pooled=None, metrics=metrics, backups=backups, ready=served.ready
        )

    def _exporter(
        self,
        name: str,
        engine: str,
        port: int,
        target: Endpoint,
        target_served: Served,
        *,
        env: dict[str, str],
        secret_files: dict[str, HeldSecret | Output[str]],
        parent: Resource,
    ) -> Endpoint:
        served = self.workloads.serve(
            name,
            ServiceSpec(
                service=engine,
                role="telemetry",
                image=self.workloads.context.images.engine(engine),
                command=(f"--web.listen-address={BIND_ADDRESS}:{port}",),
                port=port,
                resources=EXPORTER,
                # Two at once would share a name; a scrape that is missed meanwhile harms nobody.
                rollout="exclusive",
                env=env,
                secret_files=secret_files,
                uses=[target],
                after=[target_served],
                health=Health(probe=HttpProbe(path="/metrics", port=port), interval=15),
            ),
            parent=parent,
        )
        return served.reached_at

    def _backups(
        self, name: str, target: Endpoint, target_served: Served, policy: BackupPolicy | None, *, parent: Resource
    ) -> Endpoint | None:
        """Takes the archives, on time and when it is asked to; nothing else of the system reads or writes them."""
        if policy is None or target.password is None:
            return None
        password = f"/run/secrets/{target.host}-password"
        served = self.workloads.serve(
            f"{name}-backup",
            ServiceSpec(
                service=f"{target.host}-backup",
                role="data",
                image=self.workloads.context.images.engine("backup"),
                user=BACKUP_USER,
                port=9180,
                resources=BACKUP,
                # Two of them would take each backup twice.
                rollout="exclusive",
                env={
                    "BACKUP_ENGINE": target.host,
                    "BACKUP_SYSTEM": self.workloads.context.system,
                    "BACKUP_HOST": target.host,
                    "BACKUP_PORT": str(target.port),
                    "BACKUP_USER": target.user or "",
                    "BACKUP_DATABASE": target.database or "",
                    "BACKUP_PASSWORD_FILE": password,
                    "BACKUP_SCHEDULE": policy.schedule,
                    "BACKUP_KEEP_DAYS": str(policy.keep_days),
                    "BACKUP_LISTEN": BIND_ADDRESS,
                },
                secret_files={password: target.password},
                volumes={BACKUPS: policy.volume},
                uses=[target],
                after=[target_served],
                health=Health(probe=HttpProbe(path="/healthy", port=9180), interval=10),
            ),
            parent=parent,
        )
        return served.reached_at


def redis_config(password: Output[str], memory: int) -> Output[str]:
    """The whole configuration file of Redis; secret, since the password stands in it."""
    return Output.concat(
        "port 6379\nbind 0.0.0.0\nprotected-mode yes\ndir /data\n",
        # Sooner than the default of 300 s: a message goes to a worker that is gone as long as its connection stands.
        "tcp-keepalive 15\n",
        "appendonly yes\nappendfsync everysec\n",
        # The daily dump that a restore starts from (ARE-086, ARE-087).
        "save 86400 1\ndbfilename dump.rdb\n",
        f"maxmemory {int(memory * REDIS_MEMORY_SHARE)}\n",
        # A broker must refuse new messages rather than drop waiting ones.
        "maxmemory-policy noeviction\n",
        "requirepass ",
        password,
        "\n",
    )


def _with_login(served: Served, password: HeldSecret, *, user: str | None, database: str) -> Endpoint:
    return replace(served.reached_at, user=user, password=password, database=database)
