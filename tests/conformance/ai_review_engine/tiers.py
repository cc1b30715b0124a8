"""Application tiers, workers and the scheduler: ARE-001 … ARE-038."""

from __future__ import annotations

from tests.conformance.ai_review_engine.names import (
    API,
    BEAT,
    DASHBOARD,
    DEFAULT_YML,
    DEVELOPMENT_YML,
    HEALTH,
    ROOT,
    WEB,
    WORKER,
    application,
    configuration,
    fact,
    main_job,
)
from tests.conformance.model import INNER_LOOP, Row, contains, lacks, row, shown

UVICORN = ["python", "-m", "uvicorn", "api.main:app", "--host", "0.0.0.0", "--port", "8000"]  # noqa: S104 - ARE-002
STREAMLIT = [
    *("streamlit", "run", "dashboard.py"),
    *("--server.address", "0.0.0.0", "--server.port", "8501"),  # noqa: S104 - ARE-006
]
CELERY = ["celery", "-A", "tasks", "worker", "--loglevel=info", "-P", "eventlet"]
OURS = (API, WEB, DASHBOARD, WORKER, BEAT)


def every(resources: tuple[str, ...], path: str, expected: object) -> list[Row]:
    """The same row for several resources."""
    return [row(resource, path, expected) for resource in resources]


FACTS = (
    fact(
        1,
        "Three app services",
        "D S P",
        D=shown(
            every((API, WEB, DASHBOARD), "labels[ai-platform.role]", "app"),
            row(API, "labels[ai-platform.service]", "api"),
            row(WEB, "labels[ai-platform.service]", "web"),
            row(DASHBOARD, "labels[ai-platform.service]", "dashboard"),
        ),
    ),
    fact(2, "API process", "D S P", D=shown(row(API, "command", UVICORN))),
    fact(3, "API working directory", "D S P", D=shown(row(API, "workingDir", f"{ROOT}/apps/api"))),
    fact(
        4,
        "Web process",
        "D S P",
        D=shown(
            row(WEB, "command", ["python", "web/app.py"]),
            row(WEB, HEALTH, contains("http://127.0.0.1:5000/")),
            row("ai-review-engine-web-net", "members", contains("edge", "web")),
        ),
    ),
    fact(5, "Web working directory", "D S P", D=shown(row(WEB, "workingDir", f"{ROOT}/apps/web"))),
    fact(
        6,
        "Dashboard process",
        "D S P",
        D=shown(
            row(DASHBOARD, "command", STREAMLIT),
            row(DASHBOARD, HEALTH, contains("http://127.0.0.1:8501/")),
            row("ai-review-engine-dashboard-net", "members", contains("edge", "dashboard")),
        ),
    ),
    fact(7, "Dashboard working directory", "D S P", D=shown(row(DASHBOARD, "workingDir", f"{ROOT}/apps/dashboard"))),
    fact(8, "API instances in production", "P"),
    fact(9, "Web instances in production", "P"),
    fact(10, "Dashboard instances in production", "P"),
    fact(11, "API instances in scaling picture", "P"),
    fact(
        12,
        "API scaling range",
        "S P",
        D=shown(configuration("api takes 2 and 10 replicas, and neither 1 nor 11")),
    ),
    fact(13, "Metric for API scaling", "S P"),
    fact(
        14,
        "Scale request above the maximum is refused",
        "D S P",
        D=shown(configuration("more api or worker replicas than the maximum, or fewer than the minimum, are refused")),
    ),
    fact(
        15,
        "Health check after rollout",
        "D S P",
        D=shown(
            row(API, HEALTH, contains("http://127.0.0.1:8000/health")),
            row(WEB, HEALTH, contains("http://127.0.0.1:5000/health")),
            row(DASHBOARD, HEALTH, contains("http://127.0.0.1:8501/dashboard/_stcore/health")),
            every((API, WEB, DASHBOARD), "wait", True),
            main_job("after `make up` every container with a health check is healthy"),
        ),
    ),
    fact(
        16,
        "Rolling update",
        "S P",
        D=shown(every((API, WEB, DASHBOARD, WORKER), "options.deleteBeforeReplace", False)),
    ),
    fact(17, "Service auto-restart", "D S P", D=shown(every(OURS, "restart", "unless-stopped"))),
    fact(
        18,
        "PATH of the virtual environment",
        "D S P",
        D=shown(application("PATH of the image begins with the virtual environment's bin")),
    ),
    fact(
        19,
        "Configuration hierarchy",
        "D S P",
        D=shown(
            *(
                every(OURS, "uploads[*].file", [f"{ROOT}/config/default.yml", f"{ROOT}/config/development.yml"]),
                every(OURS, f"{DEFAULT_YML} | debug", False),
                every(OURS, f"{DEVELOPMENT_YML} | debug", True),
            ),
            row(API, "envs[APP_ENVIRONMENT]", "development"),
            application("the environment's file wins over default.yml"),
        ),
    ),
    fact(
        20,
        "development.yml values",
        "D",
        D=shown(
            every(OURS, f"{DEVELOPMENT_YML} | environment", "development"),
            every(OURS, f"{DEVELOPMENT_YML} | debug", True),
            every(OURS, f"{DEVELOPMENT_YML} | database", {"host": "postgres", "port": 5432, "name": "ai_review_dev"}),
        ),
    ),
    fact(21, "production.yml values", "P"),
    fact(22, "staging.yml values", "S"),
    fact(
        23,
        "Log directory",
        "D S P",
        D=shown(
            every(OURS, f"mounts[{ROOT}/logs].source", "ai-review-engine-logs"),
            every(OURS, "envs[LOG_DIR]", f"{ROOT}/logs"),
            row("ai-review-engine-logs", "labels[ai-platform.service]", "logs"),
        ),
    ),
    fact(
        24,
        "Sequence position of web and dashboard",
        "D S P",
        D=shown(
            row(WEB, "startsAfter", contains("worker")),
            row(DASHBOARD, "startsAfter", contains("web", "worker")),
            row(WEB, "startsAfter", lacks("dashboard")),
        ),
    ),
    fact(25, "CPU and memory requests and limits", "S P"),
    fact(26, "Spread of two instances", "P"),
    fact(
        27,
        "API depends on database and Redis only",
        "S P",
        D=shown(
            row(
                API,
                "networksAdvanced[*].name",
                ["ai-review-engine-api-net", "ai-review-engine-data-postgres-net", "ai-review-engine-data-redis-net"],
            ),
            main_job("the API reaches PostgreSQL and Redis, and neither the dashboard nor the internet"),
        ),
    ),
    fact(28, "Worker process", "D S P", D=shown(row(WORKER, "command", CELERY))),
    fact(29, "Worker directory", "D S P", D=shown(row(WORKER, "workingDir", f"{ROOT}/apps/worker"))),
    fact(
        30,
        "Development workers",
        "D",
        D=shown(row(WORKER, "count", 1, profile=INNER_LOOP), adr="inner-loop-profile"),
    ),
    fact(31, "Production workers", "P"),
    fact(
        32,
        "Worker scaling range",
        "S P",
        D=shown(configuration("worker takes 3 and 15 replicas, and neither 2 nor 16")),
    ),
    fact(33, "Worker scaling metric", "S P"),
    fact(
        34,
        "Celery Beat scheduler",
        "D S P",
        D=shown(
            row(BEAT, "count", 1),
            row(BEAT, "command", ["celery", "-A", "tasks", "beat"]),
            row(BEAT, "options.deleteBeforeReplace", True),
            configuration("a second beat is refused"),
            main_job("every tick is published by one scheduler"),
        ),
    ),
    fact(
        35,
        "Workers use PostgreSQL and Redis primaries",
        "D S P",
        D=shown(
            every(
                (WORKER, BEAT), "envs[DATABASE_URL]", contains("[secret] postgresql://", "@postgres:5432/ai_review_dev")
            ),
            every((WORKER, BEAT), "envs[CELERY_BROKER_URL]", contains("[secret] redis://", "@redis:6379/0")),
            every((WORKER, BEAT), "envs[CELERY_RESULT_BACKEND]", contains("[secret] redis://", "@redis:6379/1")),
            main_job("a job posted to the API is worked by a Celery worker and its result read back"),
        ),
    ),
    fact(
        36,
        "Redis is the Celery broker",
        "D S P",
        D=shown(
            every((API, WORKER, BEAT), "envs[CELERY_BROKER_URL]", contains("[secret] redis://", "@redis:6379/0")),
            every((API, WORKER, BEAT), "envs[CELERY_RESULT_BACKEND]", contains("[secret] redis://", "@redis:6379/1")),
            main_job("a job that the API took reaches a Celery worker"),
        ),
    ),
    fact(
        37,
        "Worker liveness and graceful stop",
        "S P",
        D=shown(
            row(WORKER, HEALTH, contains("celery -A tasks inspect ping")),
            row(WORKER, "stopTimeout", 60),
            row(WORKER, "destroyGraceSeconds", 60),
            application("a stopped worker ends its review first"),
        ),
    ),
    fact(
        38,
        "Workers start 4th",
        "D S P",
        D=shown(
            row(WORKER, "startsAfter", contains("api")),
            row(WORKER, "startsAfter", lacks("web", "dashboard")),
        ),
    ),
)
