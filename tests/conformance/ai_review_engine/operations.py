"""Pipelines, environments and the deployment checklist: ARE-089 … ARE-116."""

from __future__ import annotations

from tests.conformance.ai_review_engine.names import (
    API,
    BEAT,
    DASHBOARD,
    DEVELOPMENT_YML,
    EDGE,
    GRAFANA,
    PANELS,
    POSTGRES,
    POSTGRES_BACKUP,
    REDIS,
    RELEASE,
    ROOT,
    SCHEMA,
    WEB,
    WORKER,
    application,
    configuration,
    fact,
    main_job,
)
from tests.conformance.model import INNER_LOOP, Behaviour, Decided, contains, row, shown

TIERS = (API, WEB, DASHBOARD)
BEFORE_WEB = ["api", "api-trial", "beat", "postgres", "redis", "schema", "web-trial", "worker"]
INNER_LOOP_ADR = "inner-loop-profile"


def pipeline(says: str) -> Behaviour:
    """Tests of the workflow files."""
    return Behaviour("tests/conformance/test_pipelines.py", says)


FACTS = (
    fact(89, "Development pipeline trigger", "CI", CI=shown(pipeline("a push starts a workflow"))),
    fact(
        90,
        "Development pipeline stages",
        "CI",
        CI=shown(pipeline("a push runs the tests, builds the images and deploys to a test environment")),
    ),
    fact(91, "Production pipeline trigger", "CI", CI=RELEASE),
    fact(92, "Production pipeline stages", "CI", CI=RELEASE),
    fact(
        93,
        "Health check and status report",
        "CI",
        CI=shown(pipeline("plan and verdict are posted on the pull request")),
    ),
    fact(
        94,
        "Dependencies for development",
        "CI",
        CI=shown(pipeline("the tests run with requirements-dev.txt as pinned")),
    ),
    fact(95, "Images built and pushed for api, web, dashboard and worker", "CI P", CI=RELEASE),
    fact(
        96,
        "Development parts",
        "D",
        D=shown(
            *(row(one, "count", 1, profile=INNER_LOOP) for one in (*TIERS, WORKER, POSTGRES, REDIS)),
            *(row(one, f"{DEVELOPMENT_YML} | debug", True, profile=INNER_LOOP) for one in TIERS),
            row(EDGE, "count", 0, profile=INNER_LOOP),
            adr=INNER_LOOP_ADR,
        ),
    ),
    fact(
        97,
        "Code changes reach api, web and dashboard",
        "D",
        D=shown(
            *(row(one, f"mounts[{ROOT}/apps].source", contains("/apps"), profile=INNER_LOOP) for one in TIERS),
            *(row(one, f"mounts[{ROOT}/apps].type", "bind", profile=INNER_LOOP) for one in TIERS),
            row(API, "command", contains("--reload"), profile=INNER_LOOP),
            row(WEB, f"{DEVELOPMENT_YML} | debug", True, profile=INNER_LOOP),
            row(WEB, "envs[FLASK_DEBUG]", "1", profile=INNER_LOOP),
            row(DASHBOARD, "command[-2]", "--server.runOnSave", profile=INNER_LOOP),
            row(DASHBOARD, "command[-1]", "true", profile=INNER_LOOP),
            application("in development the web tier runs the reloading server"),
            adr=INNER_LOOP_ADR,
        ),
    ),
    fact(98, "Production parts", "P"),
    fact(99, "Staging overrides", "S"),
    fact(100, "Test environment in development flow", "S"),
    fact(
        101,
        "Production layout",
        "D",
        D=shown(
            row(API, "workingDir", f"{ROOT}/apps/api"),
            row(WEB, "workingDir", f"{ROOT}/apps/web"),
            row(DASHBOARD, "workingDir", f"{ROOT}/apps/dashboard"),
            row(EDGE, "mounts[/var/cache/nginx].source", "foundation-edge-config"),
            row(POSTGRES, "mounts[/var/lib/postgresql/data].source", "ai-review-engine-postgresql"),
            row(REDIS, "mounts[/data].source", "ai-review-engine-redis"),
            row(API, f"mounts[{ROOT}/logs].source", "ai-review-engine-logs"),
            row(POSTGRES_BACKUP, "mounts[/backups].source", "ai-review-engine-backups"),
            application("the image has apps/api, apps/web, apps/dashboard, apps/worker, config and logs"),
        ),
    ),
    fact(102, "Beat, Prometheus, Grafana and logs exist in staging as well", "S"),
    fact(
        103,
        "Manual scale command",
        "D S P",
        D=shown(
            configuration("`services.api.replicas` and `services.worker.replicas` scale within their ranges"),
            main_job("one line of the stack file scales the workers, and nothing else is touched"),
        ),
    ),
    fact(
        104,
        "Checklist: environment validated",
        "D S P",
        D=shown(
            configuration("an environment other than development, staging or production is refused, and so is none")
        ),
    ),
    fact(105, "Checklist: dependency check", "CI", CI=RELEASE),
    fact(
        106,
        "Checklist: configuration verified",
        "D S P",
        D=shown(
            configuration("a stack file with an unknown key or a wrong type is refused, naming file, key and fix"),
            application("the merged YAML is checked: a broken file is refused with its key"),
        ),
    ),
    fact(107, "Checklist: database backup first", "S P"),
    fact(108, "Checklist: service health before deploy", "CI", CI=RELEASE),
    fact(
        109,
        "Checklist: stop services, deploy code, update config",
        "S P",
        D=Decided("rolling-updates", "new replicas are healthy before old ones stop; nothing is stopped first"),
    ),
    fact(
        110,
        "Checklist: run migrations",
        "D S P",
        D=shown(
            row(SCHEMA, "command", ["python", "-m", "schema.migrate"]),
            *(row(one, "startsAfter", contains("schema")) for one in (*TIERS, WORKER, BEAT)),
            main_job("the schema job has ended with exit code 0 before the first API container was created"),
        ),
    ),
    fact(
        111,
        "Checklist: start order of six",
        "D S P",
        D=shown(
            row(REDIS, "startsAfter", ["postgres"]),
            row(API, "startsAfter", ["api-trial", "postgres", "redis", "schema"]),
            row(WORKER, "startsAfter", ["api", "api-trial", "postgres", "redis", "schema"]),
            row(WEB, "startsAfter", BEFORE_WEB),
            row(DASHBOARD, "startsAfter", sorted([*BEFORE_WEB, "web", "dashboard-trial"])),
            main_job("the containers' start times have the documented order"),
        ),
    ),
    fact(
        112,
        "Checklist: health of all services after deploy",
        "CI",
        D=shown(main_job("api, worker, web, dashboard, postgres and redis are healthy after `make up`")),
        CI=shown(main_job("api, worker, web, dashboard, postgres and redis are healthy after `make up`")),
    ),
    fact(
        113,
        "Checklist: logs verified",
        "S P",
        D=shown(main_job("there are log lines from api, web, dashboard and worker")),
    ),
    fact(
        114,
        "Checklist: critical paths tested",
        "CI",
        D=shown(main_job("a job goes from the API through a worker to its result; page and dashboard answer")),
        CI=shown(main_job("a job goes from the API through a worker to its result; page and dashboard answer")),
    ),
    fact(
        115,
        "Checklist: performance monitored",
        "S P",
        D=shown(
            row(GRAFANA, PANELS, contains("Requests per second", "Latency, 95th percentile", "Jobs done per second"))
        ),
    ),
    fact(
        116,
        "Checklist: backup verified",
        "S P",
        D=shown(main_job("a damaged archive is refused, and what was lost is read back from a whole one")),
    ),
)
