"""AI Review Engine as its document describes it: services and their bounds, names, the applications' own configuration.

Fact numbers (ARE-nnn) refer to the system's acceptance table.
"""

from __future__ import annotations

import yaml

from config import ServiceFacts, SystemFacts
from platforms.specs import GIB, MIB

NAME = "ai-review-engine"
ROOT = f"/srv/{NAME}"
DATABASES = {"development": "ai_review_dev", "staging": "ai_review_staging", "production": "ai_review_prod"}
"""ARE-041."""

FACTS = SystemFacts(
    services={  # ARE-008 … 014, 031 … 034, sizes ARE-025.
        "api": ServiceFacts(min_replicas=2, max_replicas=10, default_replicas=2, cpu=1.0, memory=GIB),
        "web": ServiceFacts(min_replicas=1, max_replicas=10, default_replicas=2, cpu=1.0, memory=GIB),
        "dashboard": ServiceFacts(min_replicas=1, max_replicas=10, default_replicas=2, cpu=1.0, memory=GIB),
        "worker": ServiceFacts(min_replicas=3, max_replicas=15, default_replicas=3, cpu=1.0, memory=GIB),
        "beat": ServiceFacts(min_replicas=1, max_replicas=1, default_replicas=1, cpu=0.5, memory=256 * MIB),
    },
    reserved_env=frozenset(
        {
            "API_URL",
            "APP_ENVIRONMENT",
            "CELERY_BROKER_URL",
            "CELERY_RESULT_BACKEND",
            "DASHBOARD_URL",
            "DATABASE_URL",
            "FLASK_DEBUG",
            "LOG_DIR",
            "REDIS_URL",
            "STREAMLIT_SERVER_BASE_URL_PATH",
            "UVICORN_ROOT_PATH",
        }
    ),
)


def configuration(environment: str, database: str, host: str, port: int) -> dict[str, str]:
    """The configuration hierarchy as files (ARE-019 … 022): defaults, then the environment's."""
    default = {
        "debug": False,
        "database": {
            "host": host,
            "port": port,
            "name": database,
            "wait_seconds": 60,
            "connect_seconds": 5,
            "statement_seconds": 5,
        },
        "redis": {"visibility_timeout_seconds": 3600},
        "schedule": {"heartbeat_seconds": 30, "housekeeping_seconds": 60},
        "retention": {"jobs_days": 30},
        "review": {"latency_seconds": 0},
        "log": {"level": "info"},
    }
    override = {
        "environment": environment,
        # ARE-075: off everywhere but in development.
        "debug": environment == "development",
        "database": {"host": host, "port": port, "name": database},
    }
    return {
        f"{ROOT}/config/default.yml": yaml.safe_dump(default, sort_keys=False),
        f"{ROOT}/config/{environment}.yml": yaml.safe_dump(override, sort_keys=False),
    }
