"""Application tiers, workers and the scheduler on staging: ARE-001 … ARE-038."""

from __future__ import annotations

from typing import Final

from tests.conformance.ai_review_engine.names import ROOT, application, configuration
from tests.conformance.ai_review_engine.staging.names import (
    API,
    BEAT,
    CONTAINER,
    DASHBOARD,
    DATABASE_URL,
    DEFAULT_YML,
    OURS,
    POD,
    STAGING_YML,
    TIERS,
    WEB,
    WORKER,
    cluster,
    every,
)
from tests.conformance.ai_review_engine.tiers import CELERY, STREAMLIT, UVICORN
from tests.conformance.model import Answer, contains, lacks, row, shown

CONFIGS = tuple(f"{one}-config" for one in OURS)
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
DATABASE = {"host": "postgres-rw", "port": 5432, "name": "ai_review_staging"}
BROKER, RESULTS = (
    "redis://:$(CELERY_BROKER_URL_PASSWORD)@redis:6379/0",
    ("redis://:$(CELERY_RESULT_BACKEND_PASSWORD)@redis:6379/1"),
)
BEFORE_WEB = ["api", "beat", "postgres", "redis", "schema", "worker"]


def compute(cpu: str, limit: str, memory: str) -> dict[str, dict[str, str]]:
    """Requests and limits of a container."""
    return {
        "requests": {"cpu": cpu, "memory": memory, "ephemeral-storage": "64Mi"},
        "limits": {"cpu": limit, "memory": memory, "ephemeral-storage": "512Mi"},
    }


def aim(resource: str, share: int) -> dict[str, object]:
    """One metric of an autoscaler, in percent of what is requested."""
    target = {"type": "Utilization", "averageUtilization": share}
    return {"type": "Resource", "resource": {"name": resource, "target": target}}


ANSWERS: Final[dict[int, Answer]] = {
    1: shown(
        every(TIERS, "metadata.labels[ai-platform/role]", "app"),
        every(TIERS, "kind", "Deployment"),
        row(API, "metadata.labels[ai-platform/service]", "api"),
        row(WEB, "metadata.labels[ai-platform/service]", "web"),
        row(DASHBOARD, "metadata.labels[ai-platform/service]", "dashboard"),
    ),
    2: shown(row(API, f"{CONTAINER}.args", UVICORN), row(API, f"{CONTAINER}.ports[0].containerPort", 8000)),
    3: shown(row(API, f"{CONTAINER}.workingDir", f"{ROOT}/apps/api")),
    4: shown(
        row(WEB, f"{CONTAINER}.args", ["python", "web/app.py"]),
        row(WEB, f"{CONTAINER}.ports[0].containerPort", 5000),
        row(f"{WEB}-service", "spec.ports[0].port", 5000),
    ),
    5: shown(row(WEB, f"{CONTAINER}.workingDir", f"{ROOT}/apps/web")),
    6: shown(
        row(DASHBOARD, f"{CONTAINER}.args", STREAMLIT),
        row(DASHBOARD, f"{CONTAINER}.ports[0].containerPort", 8501),
        row(f"{DASHBOARD}-service", "spec.ports[0].port", 8501),
    ),
    7: shown(row(DASHBOARD, f"{CONTAINER}.workingDir", f"{ROOT}/apps/dashboard")),
    12: shown(
        row(f"{API}-scale", "spec.minReplicas", 2),
        row(f"{API}-scale", "spec.maxReplicas", 10),
        row(f"{API}-scale", "spec.scaleTargetRef", {"apiVersion": "apps/v1", "kind": "Deployment", "name": API}),
        configuration("api scales between 2 and 10, and a wider or an empty range is refused"),
        cluster("load brings replicas within the range, and takes them away again"),
    ),
    13: shown(
        # Utilisation counts by requests: 70 % of the limit is 700 % of a request that is a tenth of it.
        row(f"{API}-scale", "spec.metrics", [aim("cpu", 700), aim("memory", 80)]),
        row(API, f"{CONTAINER}.resources.requests.cpu", "100m"),
        row(API, f"{CONTAINER}.resources.limits.cpu", "1000m"),
        cluster("the autoscaler reads the metric"),
        adr="kubernetes",
    ),
    14: shown(configuration("a range outside the documented one, or upside down, is refused")),
    15: shown(
        row(API, f"{CONTAINER}.readinessProbe.httpGet", {"path": "/health", "port": 8000}),
        row(WEB, f"{CONTAINER}.readinessProbe.httpGet", {"path": "/health", "port": 5000}),
        row(DASHBOARD, f"{CONTAINER}.readinessProbe.httpGet", {"path": "/dashboard/_stcore/health", "port": 8501}),
        row(API, f"{CONTAINER}.livenessProbe.tcpSocket.port", 8000),
        row(WEB, f"{CONTAINER}.livenessProbe.tcpSocket.port", 5000),
        row(DASHBOARD, f"{CONTAINER}.livenessProbe.tcpSocket.port", 8501),
        cluster("after `make up` every pod is ready"),
    ),
    16: shown(
        every((*TIERS, WORKER), "spec.strategy", ROLLING),
        every((*TIERS, WORKER), "spec.progressDeadlineSeconds", 120),
        every(tuple(f"{one}-budget" for one in (*TIERS, WORKER)), "spec.maxUnavailable", 1),
    ),
    17: shown(
        # Pods of a Deployment restart always: what is left to say is when.
        every(OURS, "kind", "Deployment"),
        every(OURS, f"{CONTAINER}.livenessProbe.failureThreshold", 3),
        every(TIERS, f"{CONTAINER}.livenessProbe.periodSeconds", 15),
        every((WORKER, BEAT), f"{CONTAINER}.livenessProbe.periodSeconds", 30),
    ),
    18: shown(application("PATH of the image begins with the virtual environment's bin")),
    19: shown(
        every(
            OURS,
            f"{POD}.volumes[name=files-0].projected.sources[0].configMap.items[*].path",
            ["default.yml", "staging.yml"],
        ),
        every(OURS, f"{CONTAINER}.volumeMounts[{ROOT}/config].name", "files-0"),
        every(CONFIGS, f"{DEFAULT_YML} | database.wait_seconds", 60),
        every(CONFIGS, f"{STAGING_YML} | environment", "staging"),
        every(OURS, f"{CONTAINER}.env[APP_ENVIRONMENT]", "staging"),
        application("the environment's file wins over default.yml"),
    ),
    22: shown(
        every(CONFIGS, f"{STAGING_YML} | environment", "staging"),
        every(CONFIGS, f"{STAGING_YML} | debug", False),
        every(CONFIGS, f"{STAGING_YML} | database", DATABASE),
    ),
    23: shown(
        every(OURS, f"{CONTAINER}.volumeMounts[{ROOT}/logs].name", "logs"),
        every(OURS, f"{POD}.volumes[name=logs].emptyDir.sizeLimit", "256Mi"),
        every(OURS, f"{CONTAINER}.env[LOG_DIR]", f"{ROOT}/logs"),
        adr="kubernetes",
    ),
    24: shown(
        row(WEB, "startsAfter", BEFORE_WEB),
        row(DASHBOARD, "startsAfter", sorted([*BEFORE_WEB, "web"])),
    ),
    25: shown(
        every((*TIERS, WORKER), f"{CONTAINER}.resources", compute("100m", "1000m", "1024Mi")),
        row(BEAT, f"{CONTAINER}.resources", compute("50m", "500m", "256Mi")),
        adr="kubernetes",
    ),
    27: shown(
        row(API, "reaches", ["dns", "postgres", "redis"]),
        cluster("the API reaches PostgreSQL and Redis, and neither the dashboard nor the internet"),
    ),
    28: shown(row(WORKER, f"{CONTAINER}.args", CELERY)),
    29: shown(row(WORKER, f"{CONTAINER}.workingDir", f"{ROOT}/apps/worker")),
    32: shown(
        row(f"{WORKER}-scale", "spec.minReplicaCount", 3),
        row(f"{WORKER}-scale", "spec.maxReplicaCount", 15),
        row(f"{WORKER}-scale", "spec.scaleTargetRef", {"apiVersion": "apps/v1", "kind": "Deployment", "name": WORKER}),
        configuration("worker scales between 3 and 15, and a wider range is refused"),
    ),
    33: shown(
        row(f"{WORKER}-scale", "kind", "ScaledObject"),
        row(f"{WORKER}-scale", "spec.triggers[type=redis].metadata.listName", "celery"),
        row(f"{WORKER}-scale", "spec.triggers[type=redis].metadata.databaseIndex", "0"),
        row(f"{WORKER}-scale", "spec.triggers[type=redis].metadata.listLength", "10"),
        # 70 % of the limit is 700 % of a request that is a tenth of it.
        row(f"{WORKER}-scale", "spec.triggers[type=cpu].metadata.value", "700"),
        row(WORKER, f"{CONTAINER}.resources.requests.cpu", "100m"),
        row(WORKER, f"{CONTAINER}.resources.limits.cpu", "1000m"),
        adr="kubernetes",
    ),
    34: shown(
        row(BEAT, "count", 1),
        row(BEAT, "spec.replicas", 1),
        row(BEAT, "spec.strategy", {"type": "Recreate"}),
        row(BEAT, f"{CONTAINER}.args", ["celery", "-A", "tasks", "beat"]),
        row(f"{BEAT}-scale", "count", 0),
        configuration("a second beat is refused"),
        cluster("every tick is published by one scheduler"),
    ),
    35: shown(
        every((WORKER, BEAT), f"{CONTAINER}.env[DATABASE_URL]", DATABASE_URL),
        every((WORKER, BEAT), f"{CONTAINER}.env[CELERY_BROKER_URL]", BROKER),
        every((WORKER, BEAT), f"{CONTAINER}.env[CELERY_RESULT_BACKEND]", RESULTS),
        cluster("a job posted to the API is worked by a Celery worker and its result read back"),
    ),
    36: shown(
        every((API, WORKER, BEAT), f"{CONTAINER}.env[CELERY_BROKER_URL]", BROKER),
        every((API, WORKER, BEAT), f"{CONTAINER}.env[CELERY_RESULT_BACKEND]", RESULTS),
        cluster("a job that the API took reaches a Celery worker"),
    ),
    37: shown(
        row(WORKER, f"{CONTAINER}.livenessProbe.exec.command[2]", contains("celery -A tasks inspect ping")),
        row(WORKER, f"{POD}.terminationGracePeriodSeconds", 60),
        application("a stopped worker ends its review first"),
    ),
    38: shown(
        row(WORKER, "startsAfter", ["api", "postgres", "redis", "schema"]),
        row(WORKER, "startsAfter", lacks("web", "dashboard")),
    ),
}
