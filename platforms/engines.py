"""What stands beside a data engine wherever its image runs: configuration, exporter, backups."""

from __future__ import annotations

from collections.abc import Mapping

from pulumi import Output

from platforms.secrets import HeldSecret
from platforms.specs import (
    BIND_ADDRESS,
    MIB,
    BackupPolicy,
    Endpoint,
    ExecProbe,
    Health,
    HttpProbe,
    Resources,
    SecretRef,
    ServiceSpec,
    Started,
)

EXPORTER = Resources(cpu=0.25, memory=64 * MIB, processes=128)
EXPORTER_GRACE = 5
"""Seconds: an exporter has nothing to bring to an end."""
BACKUP = Resources(cpu=0.5, memory=256 * MIB)
BACKUP_USER = "10001:10001"
"""Owns the archives, and the folder `/backups` of the image."""
BACKUPS = "/backups"
"""ARE-083."""
POSTGRES_PASSWORD = "/run/secrets/postgres-password"  # noqa: S105 - a path
REDIS_PASSWORD = "/run/secrets/redis-password"  # noqa: S105 - a path
REDIS_CONFIG = "/etc/redis/redis.conf"
REDIS_HEALTH = Health(
    probe=ExecProbe(
        command=("sh", "-c", f'REDISCLI_AUTH="$(cat {REDIS_PASSWORD})" redis-cli ping | grep -q PONG'),
    ),
)
REDIS_MEMORY_SHARE = 0.6
"""Share of the memory limit for the data set: rewriting the append-only file needs the rest."""


def redis_config(password: Output[str], memory: int, *, replicated: bool = False) -> Output[str]:
    """The whole configuration file of Redis; secret, since the password stands in it. `memory` is in bytes."""
    # Any server may become a replica of another one, which asks for the password too.
    master = Output.concat("masterauth ", password, "\n") if replicated else ""
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
        master,
    )


def postgres_exporter(image: str, target: Endpoint, password: SecretRef, after: Started) -> ServiceSpec:
    """PostgreSQL's exporter (ARE-061)."""
    return _exporter(
        "postgres-exporter",
        image,
        9187,
        target,
        after,
        env={
            "DATA_SOURCE_URI": f"{target.address}/{target.database}?sslmode=disable",
            "DATA_SOURCE_USER": target.user or "",
            "DATA_SOURCE_PASS_FILE": POSTGRES_PASSWORD,
        },
        secret_files={POSTGRES_PASSWORD: password},
    )


def redis_exporter(image: str, target: Endpoint, password: HeldSecret, after: Started) -> ServiceSpec:
    """Redis' exporter (ARE-061)."""
    return _exporter(
        "redis-exporter",
        image,
        9121,
        target,
        after,
        env={"REDIS_ADDR": target.url, "REDIS_PASSWORD_FILE": REDIS_PASSWORD},
        # The exporter takes a map from address to password, as JSON.
        secret_files={REDIS_PASSWORD: Output.json_dumps({target.url: password.value})},
    )


def _exporter(  # noqa: PLR0913 - what differs between the exporters
    service: str,
    image: str,
    port: int,
    target: Endpoint,
    after: Started,
    *,
    env: Mapping[str, str],
    secret_files: Mapping[str, SecretRef | Output[str]],
) -> ServiceSpec:
    return ServiceSpec(
        service=service,
        role="telemetry",
        image=image,
        command=(f"--web.listen-address={BIND_ADDRESS}:{port}",),
        port=port,
        resources=EXPORTER,
        # Two at once would share a name; a scrape that is missed meanwhile harms nobody.
        rollout="exclusive",
        env=env,
        secret_files=secret_files,
        uses=[target],
        after=[after],
        health=Health(probe=HttpProbe(path="/metrics", port=port), interval=15),
        stop_grace=EXPORTER_GRACE,
    )


def backups(  # noqa: PLR0913, PLR0917 - what is archived, by whom, where
    engine: str, image: str, system: str, target: Endpoint, password: SecretRef, policy: BackupPolicy, after: Started
) -> ServiceSpec:
    """Takes the archives, on time and when it is asked to; nothing else of the system reads or writes them."""
    file = f"/run/secrets/{engine}-password"
    return ServiceSpec(
        service=f"{engine}-backup",
        role="data",
        image=image,
        user=BACKUP_USER,
        port=9180,
        resources=BACKUP,
        # Two of them would take each backup twice.
        rollout="exclusive",
        env={
            "BACKUP_ENGINE": engine,
            "BACKUP_SYSTEM": system,
            "BACKUP_HOST": target.host,
            "BACKUP_PORT": str(target.port),
            "BACKUP_USER": target.user or "",
            "BACKUP_DATABASE": target.database or "",
            "BACKUP_PASSWORD_FILE": file,
            "BACKUP_SCHEDULE": policy.schedule,
            "BACKUP_KEEP_DAYS": str(policy.keep_days),
            "BACKUP_LISTEN": BIND_ADDRESS,
        },
        secret_files={file: password},
        volumes={BACKUPS: policy.volume},
        uses=[target],
        after=[after],
        health=Health(probe=HttpProbe(path="/healthy", port=9180), interval=10),
    )
