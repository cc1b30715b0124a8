"""Data engines, their secrets and backups on staging: ARE-039 … ARE-051, ARE-071 … ARE-074, ARE-077 … ARE-088."""

from __future__ import annotations

from typing import Final

from tests.conformance.ai_review_engine.staging.names import (
    API,
    BEAT,
    BEFORE,
    CONTAINER,
    DASHBOARD,
    DATABASE_URL,
    DEFAULT_YML,
    DIFFERENTIAL,
    POD,
    POSTGRES,
    REDIS,
    REDIS_CONF,
    SCHEMA,
    STAGING_YML,
    WEB,
    WORKER,
    cluster,
    every,
)
from tests.conformance.model import OFF_SITE, Answer, contains, row, shown

CLIENTS = ["api", "beat", "schema", "worker"]
POSTGRES_CLIENTS = sorted([*CLIENTS, "cnpg-operator", "postgres", "postgres-backup", "postgres-exporter"])
REDIS_CLIENTS = sorted([*CLIENTS, "celery-exporter", "keda", "redis", "redis-backup", "redis-exporter"])
BACKUPS = (f"{POSTGRES}-backup", f"{REDIS}-backup")
BUCKET = "s3://acme-backups/staging/ai-review-engine"
STORE = f"{POSTGRES}-store"

ANSWERS: Final[dict[int, Answer]] = {
    39: shown(
        row(f"{POSTGRES}-images", "spec.images", [{"major": 15, "image": "postgres-cnpg:1"}]),
        row(POSTGRES, "spec.imageCatalogRef.major", 15),
        cluster("the running server says that it is version 15"),
    ),
    40: shown(
        row(API, f"{CONTAINER}.env[DATABASE_URL]", contains("@postgres-rw:5432/")),
        row(f"{API}-config", f"{STAGING_YML} | database.port", 5432),
        row(f"{POSTGRES}-exporter", f"{CONTAINER}.env[DATA_SOURCE_URI]", contains(":5432/ai_review_staging")),
    ),
    41: shown(
        row(POSTGRES, "spec.bootstrap.initdb.database", "ai_review_staging"),
        row(f"{API}-config", f"{STAGING_YML} | database.name", "ai_review_staging"),
    ),
    43: shown(
        row(POSTGRES, "spec.instances", 2),
        row(
            POSTGRES,
            "spec.postgresql.synchronous",
            {"method": "any", "number": 1, "dataDurability": "preferred"},
        ),
        cluster("a primary streams to a standby"),
    ),
    44: shown(
        row(POSTGRES, "kind", "Cluster"),
        row(POSTGRES, "apiVersion", "postgresql.cnpg.io/v1"),
        row(POSTGRES, "spec.enablePDB", True),
        row(POSTGRES, "spec.affinity.enablePodAntiAffinity", True),
        cluster("when the primary's pod goes the standby takes over, and no acknowledged row is lost"),
    ),
    45: shown(
        row(REDIS, "kind", "StatefulSet"),
        row(REDIS, "spec.replicas", 2),
        row(REDIS, f"{CONTAINER}.args[0]", contains("--replicaof redis-0.redis-pods 6379")),
        row(f"{REDIS}-service-redis-replica", "spec.selector[apps.kubernetes.io/pod-index]", "1"),
        cluster("the replica follows the primary"),
    ),
    47: shown(
        every((API, WORKER, BEAT, SCHEMA), f"{CONTAINER}.env[DATABASE_URL]", DATABASE_URL),
        every((API, WORKER), f"{CONTAINER}.env[REDIS_URL]", "redis://:$(REDIS_URL_PASSWORD)@redis:6379/2"),
        row(f"{REDIS}-service-redis", "metadata.name", "redis"),
        row(f"{REDIS}-service-redis", "spec.selector[apps.kubernetes.io/pod-index]", "0"),
    ),
    48: shown(
        row(REDIS, "startsAfter", ["postgres"]),
        row(API, "startsAfter", ["postgres", "redis", "schema"]),
    ),
    49: shown(
        row(SCHEMA, "kind", "Job"),
        row(SCHEMA, f"{CONTAINER}.args", ["python", "-m", "schema.migrate"]),
        row(SCHEMA, f"{POD}.restartPolicy", "Never"),
        row(SCHEMA, "spec.activeDeadlineSeconds", 600),
        row(SCHEMA, "startsAfter", ["postgres", "redis"]),
        row(API, "startsAfter", contains("schema")),
        cluster("a failing migration stops the roll-out with its last log lines"),
    ),
    50: shown(
        row(POSTGRES, "spec.storage.size", "2048Mi"),
        row(REDIS, "spec.volumeClaimTemplates[0].spec.resources.requests.storage", "1024Mi"),
        row(REDIS, f"{CONTAINER}.volumeMounts[/data].name", "data"),
        row(f"{REDIS}-secret", REDIS_CONF, contains("\nappendonly yes\n", "\ndir /data\n")),
        row(
            REDIS,
            "spec.persistentVolumeClaimRetentionPolicy",
            {"whenDeleted": "Delete", "whenScaled": "Retain"},
        ),
    ),
    71: shown(
        every(
            (API, WORKER, BEAT, SCHEMA),
            f"{CONTAINER}.env[name=DATABASE_URL_PASSWORD].valueFrom.secretKeyRef",
            {"name": "postgres-app", "key": "password"},
        ),
        *(
            row(
                one,
                f"{CONTAINER}.env[name={variable}_PASSWORD].valueFrom.secretKeyRef",
                {"name": f"{one}-secret", "key": f"{variable}_PASSWORD"},
            )
            for one in (API, WORKER, BEAT)
            for variable in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "REDIS_URL")
        ),
        row(
            f"{API}-secret",
            "stringData",
            {
                f"{variable}_PASSWORD": "[secret] generated-ai-review-engine-data-redis-password"
                for variable in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "REDIS_URL")
            },
        ),
        row(f"{REDIS}-secret", REDIS_CONF, contains("[secret] ", "requirepass generated-")),
        row(
            f"{API}-config",
            f"{STAGING_YML} | database",
            {"host": "postgres-rw", "port": 5432, "name": "ai_review_staging"},
        ),
        row(f"{API}-config", f"{DEFAULT_YML} | database.host", "postgres-rw"),
        cluster("no generated password is in output, logs, manifests or the exported state"),
    ),
    72: shown(
        row(POSTGRES, "reachedBy", POSTGRES_CLIENTS),
        row(REDIS, "reachedBy", REDIS_CLIENTS),
        row(WEB, "reaches", ["api", "dns"]),
        row(DASHBOARD, "reaches", ["api", "dns"]),
        cluster("from the edge and the web tier both engines are unreachable"),
    ),
    77: shown(
        row(f"{POSTGRES}-backup", f"{CONTAINER}.env[BACKUP_SCHEDULE]", "0 2 * * *"),
        row(f"{POSTGRES}-base-backups", "spec.schedule", "0 0 2 * * *", profile=OFF_SITE),
        row(f"{POSTGRES}-base-backups", "spec.cluster.name", "postgres", profile=OFF_SITE),
    ),
    78: DIFFERENTIAL,
    79: shown(
        row(POSTGRES, "spec.postgresql.parameters.archive_timeout", "300s"),
        row(POSTGRES, "spec.plugins[0].isWALArchiver", True, profile=OFF_SITE),
    ),
    80: shown(
        # Archives of pg_dump on a claim of the cluster, base backups in a bucket.
        row(
            f"{POSTGRES}-backup",
            f"{POD}.volumes[name=backups].persistentVolumeClaim.claimName",
            "postgres-backup-backups",
        ),
        row(STORE, "spec.configuration.destinationPath", BUCKET, profile=OFF_SITE),
        row(f"{POSTGRES}-base-backups", "spec.method", "plugin", profile=OFF_SITE),
    ),
    81: DIFFERENTIAL,
    82: shown(
        row(POSTGRES, "spec.plugins[0].isWALArchiver", True, profile=OFF_SITE),
        row(POSTGRES, "spec.plugins[0].parameters.barmanObjectName", "postgres", profile=OFF_SITE),
        row(STORE, "metadata.name", "postgres", profile=OFF_SITE),
        row(STORE, "spec.configuration.destinationPath", BUCKET, profile=OFF_SITE),
    ),
    83: shown(
        *(row(one, f"{CONTAINER}.volumeMounts[/backups].name", "backups") for one in BACKUPS),
        *(row(f"{one}-backups", "kind", "PersistentVolumeClaim") for one in BACKUPS),
        row(f"{POSTGRES}-backup-backups", "metadata.name", "postgres-backup-backups"),
        row(f"{REDIS}-backup-backups", "metadata.name", "redis-backup-backups"),
    ),
    84: shown(
        every(BACKUPS, f"{CONTAINER}.env[BACKUP_KEEP_DAYS]", "14"),
        row(STORE, "spec.retentionPolicy", "14d", profile=OFF_SITE),
    ),
    85: shown(
        row(f"{POSTGRES}-backup", f"{CONTAINER}.env[BACKUP_DATABASE]", "ai_review_staging"),
        cluster("a table that was dropped is back from an archive of `pg_dump`, on the primary and for the API"),
    ),
    86: shown(
        row(REDIS, f"{CONTAINER}.args[0]", contains("--replicaof redis-0.redis-pods 6379")),
        cluster("keys that were flushed are back from a dump, in the append-only file and in the replica"),
    ),
    87: shown(
        row(f"{REDIS}-secret", REDIS_CONF, contains("\nsave 86400 1\n", "\ndbfilename dump.rdb\n")),
        row(f"{REDIS}-backup", f"{CONTAINER}.env[BACKUP_SCHEDULE]", "0 2 * * *"),
    ),
    88: BEFORE,
}
