"""Data engines, their secrets and backups: ARE-039 … ARE-051, ARE-071 … ARE-074, ARE-077 … ARE-088."""

from __future__ import annotations

from tests.conformance.ai_review_engine.names import (
    API,
    BEAT,
    DASHBOARD,
    DEFAULT_YML,
    DEVELOPMENT_YML,
    POSTGRES,
    POSTGRES_BACKUP,
    POSTGRES_EXPORTER,
    REDIS,
    REDIS_BACKUP,
    SCHEMA,
    WEB,
    WORKER,
    fact,
    main_job,
)
from tests.conformance.model import contains, lacks, row, shown

DATABASE = contains("[secret] postgresql://ai_review:", "@postgres:5432/ai_review_dev")
POSTGRES_NET = "ai-review-engine-data-postgres-net"
REDIS_NET = "ai-review-engine-data-redis-net"
STORE_CLIENTS = ["api", "api-trial", "beat", "schema", "worker"]
BACKUPS = (POSTGRES_BACKUP, REDIS_BACKUP)

FACTS = (
    fact(
        39,
        "PostgreSQL major version",
        "D S P",
        D=shown(
            row(POSTGRES, "image", "sha256:postgres"),
            main_job("the running server says that it is version 15"),
        ),
    ),
    fact(
        40,
        "PostgreSQL port",
        "D S P",
        D=shown(
            row(API, "envs[DATABASE_URL]", contains("@postgres:5432/")),
            row(API, f"{DEVELOPMENT_YML} | database.port", 5432),
            row(POSTGRES_EXPORTER, "envs[DATA_SOURCE_URI]", contains("postgres:5432/ai_review_dev")),
        ),
    ),
    fact(
        41,
        "Database names",
        "D S P",
        D=shown(
            row(POSTGRES, "envs[POSTGRES_DB]", "ai_review_dev"),
            row(API, f"{DEVELOPMENT_YML} | database.name", "ai_review_dev"),
        ),
    ),
    fact(42, "Production database host name", "P"),
    fact(43, "PostgreSQL primary and standby", "S P"),
    fact(44, "PostgreSQL cluster", "S P"),
    fact(45, "Redis primary and replica", "S P"),
    fact(46, "Redis cluster label", "P"),
    fact(
        47,
        "API and workers write to primaries only",
        "D S P",
        D=shown(
            *(row(one, "envs[DATABASE_URL]", DATABASE) for one in (API, WORKER, BEAT, SCHEMA)),
            *(row(one, "envs[REDIS_URL]", contains("@redis:6379/2")) for one in (API, WORKER)),
            row(POSTGRES, "networksAdvanced[0].aliases", contains("postgres")),
            row(REDIS, "networksAdvanced[0].aliases", contains("redis")),
        ),
    ),
    fact(
        48,
        "PostgreSQL starts 1st, Redis 2nd, API 3rd",
        "D S P",
        D=shown(
            row(REDIS, "startsAfter", ["postgres"]),
            row(API, "startsAfter", ["api-trial", "postgres", "redis", "schema"]),
            main_job("the containers' start times have this order"),
        ),
    ),
    fact(
        49,
        "Database migrations before start",
        "D S P",
        D=shown(
            row(SCHEMA, "command", ["python", "-m", "schema.migrate"]),
            row(SCHEMA, "restart", "no"),
            row(SCHEMA, "mustRun", False),
            row(SCHEMA, "attach", True),
            row(SCHEMA, "startsAfter", ["postgres", "redis"]),
            row(API, "startsAfter", contains("schema")),
            main_job("a failing migration stops the roll-out with its last log lines"),
        ),
    ),
    fact(
        50,
        "Sizes and persistence for both stores",
        "D S P",
        D=shown(
            row(POSTGRES, "mounts[/var/lib/postgresql/data].source", "ai-review-engine-postgresql"),
            row(REDIS, "mounts[/data].source", "ai-review-engine-redis"),
            row(REDIS, "uploads[/etc/redis/redis.conf]", contains("\nappendonly yes\n", "\ndir /data\n")),
            main_job("the data outlives its containers"),
        ),
    ),
    fact(
        51,
        "PostgreSQL and Redis data directories",
        "D",
        D=shown(
            row(POSTGRES, "mounts[/var/lib/postgresql/data].type", "volume"),
            row(REDIS, "mounts[/data].type", "volume"),
            row("ai-review-engine-postgresql", "labels[ai-platform.service]", "postgresql"),
            row("ai-review-engine-redis", "labels[ai-platform.service]", "redis"),
            main_job("both volumes outlive the stack where the stack file says so"),
        ),
    ),
    fact(
        71,
        "Database, Redis and broker credentials are secrets",
        "D S P",
        D=shown(
            *(
                row(one, f"envs[{variable}]", contains("[secret] "))
                for one in (API, WORKER, BEAT)
                for variable in ("DATABASE_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "REDIS_URL")
            ),
            row(
                POSTGRES,
                "uploads[/run/secrets/postgres-password]",
                "[secret] generated-ai-review-engine-data-postgres-password",
            ),
            row(REDIS, "uploads[/etc/redis/redis.conf]", contains("[secret] ", "requirepass generated-")),
            row(API, f"{DEVELOPMENT_YML} | database", {"host": "postgres", "port": 5432, "name": "ai_review_dev"}),
            row(API, f"{DEFAULT_YML} | database.host", "postgres"),
            main_job("no generated password is in output, logs, labels, commands or the exported state"),
        ),
    ),
    fact(
        72,
        "Data tier reachable only from API and workers",
        "S P",
        D=shown(
            row(
                POSTGRES_NET,
                "members",
                sorted([*STORE_CLIENTS, "postgres", "postgres-exporter", "postgres-backup"]),
            ),
            row(
                REDIS_NET,
                "members",
                sorted([*STORE_CLIENTS, "redis", "redis-exporter", "redis-backup", "celery-exporter"]),
            ),
            *(
                row(
                    one,
                    "networksAdvanced[*].name",
                    lacks(POSTGRES_NET, REDIS_NET),
                )
                for one in (WEB, DASHBOARD)
            ),
            row(POSTGRES_NET, "internal", True),
            row(REDIS_NET, "internal", True),
            main_job("from the host, the edge and the web tier both engines are unreachable"),
        ),
    ),
    fact(
        73,
        "Private subnets and private zone",
        "P",
        D=shown(
            row("ai-review-engine-*-net", "internal", True),
            row("foundation-edge-net", "internal", False),
            main_job("only the edge stands in a network with a way out"),
        ),
    ),
    fact(74, "Encryption at rest and in transit in production", "P"),
    fact(
        77,
        "Full backup daily",
        "S P",
        D=shown(
            row(POSTGRES_BACKUP, "envs[BACKUP_SCHEDULE]", "0 2 * * *"),
            main_job("a backup is taken on time, without being asked for"),
        ),
    ),
    fact(78, "Differential backup", "S P"),
    fact(79, "WAL archiving", "S P"),
    fact(80, "Full goes to local and remote storage", "S P"),
    fact(81, "Differential goes to local and remote storage", "S P"),
    fact(82, "WAL goes to cloud storage", "S P"),
    fact(
        83,
        "Backup directory",
        "D S",
        D=shown(
            *(row(one, "mounts[/backups].source", "ai-review-engine-backups") for one in BACKUPS),
            row("ai-review-engine-backups", "labels[ai-platform.service]", "backups"),
        ),
    ),
    fact(
        84,
        "Retention",
        "S P",
        D=shown(
            *(row(one, "envs[BACKUP_KEEP_DAYS]", "14") for one in BACKUPS),
            main_job("an archive of another month goes with the next backup, and the newest stays"),
        ),
    ),
    fact(
        85,
        "Database recovery",
        "D S P",
        D=shown(
            main_job("the script restores an archive of pg_dump into a new database, and the lost job is back"),
        ),
    ),
    fact(
        86,
        "Redis recovery",
        "S P",
        D=shown(main_job("Redis is stopped, the dump is placed, Redis is started, and the lost key is back")),
    ),
    fact(
        87,
        "Redis dump is taken so that it can be restored",
        "S P",
        D=shown(
            row(REDIS, "uploads[/etc/redis/redis.conf]", contains("\nsave 86400 1\n", "\ndbfilename dump.rdb\n")),
            row(REDIS_BACKUP, "envs[BACKUP_SCHEDULE]", "0 2 * * *"),
        ),
    ),
    fact(88, "Backup before deployment, verified afterwards", "S P"),
)
