"""Environments and the deployment checklist on staging: ARE-099 … ARE-116."""

from __future__ import annotations

from typing import Final

from tests.conformance.ai_review_engine.names import application, configuration
from tests.conformance.ai_review_engine.staging.names import (
    API,
    BEAT,
    BEFORE,
    CONTAINER,
    DASHBOARD,
    GRAFANA,
    OURS,
    POSTGRES,
    PROMETHEUS,
    REDIS,
    SCHEMA,
    STAGING_YML,
    SYSTEM,
    WATCHED,
    WEB,
    WORKER,
    cluster,
    every,
)
from tests.conformance.ai_review_engine.staging.tiers import BEFORE_WEB
from tests.conformance.ai_review_engine.staging.traffic import ENDPOINT, PANELS, alert
from tests.conformance.model import LOGGED, Answer, Decided, contains, row, shown

ANSWERS: Final[dict[int, Answer]] = {
    99: shown(
        every(OURS, f"{CONTAINER}.env[APP_ENVIRONMENT]", "staging"),
        every(tuple(f"{one}-config" for one in OURS), f"{STAGING_YML} | environment", "staging"),
        every(tuple(f"{one}-config" for one in OURS), f"{STAGING_YML} | database.name", "ai_review_staging"),
    ),
    100: shown(
        row(f"{SYSTEM}-namespace", "metadata.name", "ai-review-engine-staging"),
        row(f"{SYSTEM}-namespace", "metadata.labels[ai-platform/stack]", "staging"),
        row(f"{SYSTEM}-namespace", "metadata.labels[pod-security.kubernetes.io/enforce]", "restricted"),
        row(f"{SYSTEM}-quota", "spec.hard.pods", "100"),
    ),
    102: shown(
        *(row(one, "count", 1) for one in (BEAT, PROMETHEUS, GRAFANA)),
        row(f"{WATCHED}-logs-store", "count", 1, profile=LOGGED),
        adr="kubernetes",
    ),
    103: shown(configuration("`services.api` and `services.worker` scale staging within their ranges")),
    104: shown(
        configuration("an environment other than development, staging or production is refused, and so is none")
    ),
    106: shown(
        configuration("a stack file with an unknown key or a wrong type is refused, naming file, key and fix"),
        application("the merged YAML is checked: a broken file is refused with its key"),
    ),
    107: BEFORE,
    109: Decided("rolling-updates", "new replicas are ready before old ones stop; nothing is stopped first"),
    110: shown(
        row(SCHEMA, f"{CONTAINER}.args", ["python", "-m", "schema.migrate"]),
        every((API, WEB, DASHBOARD, WORKER, BEAT), "startsAfter", contains("schema")),
        cluster("the schema job is complete before an API pod of the release starts"),
    ),
    111: shown(
        row(REDIS, "startsAfter", ["postgres"]),
        row(API, "startsAfter", ["postgres", "redis", "schema"]),
        row(WORKER, "startsAfter", ["api", "postgres", "redis", "schema"]),
        row(WEB, "startsAfter", BEFORE_WEB),
        row(DASHBOARD, "startsAfter", sorted([*BEFORE_WEB, "web"])),
    ),
    112: shown(cluster("every pod is ready after `make up`")),
    113: shown(cluster("a job is followed through the lines of web, API and worker; the dashboard's are there")),
    115: shown(
        row(
            f"{GRAFANA}-config",
            PANELS,
            contains("Requests per second", "Latency, 95th percentile", "Jobs done per second"),
        )
    ),
    116: shown(
        # By the age of the newest whole archive, and by a restore.
        alert("BackupTooOld", "backup_due_timestamp_seconds"),
        row(f"{WATCHED}-postgres-backup", f"{ENDPOINT}.portNumber", 9180),
        row(f"{WATCHED}-redis-backup", f"{ENDPOINT}.portNumber", 9180),
        row(f"{POSTGRES}-backup", f"{CONTAINER}.readinessProbe.httpGet", {"path": "/healthy", "port": 9180}),
        cluster("what is damaged is refused, what is whole is restored"),
    ),
}
