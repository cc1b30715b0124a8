"""Logical names and paths of the objects that the rows share."""

from __future__ import annotations

from tests.conformance.ai_review_engine.names import ROOT
from tests.conformance.model import Behaviour, Open, Row, row

SYSTEM = "ai-review-engine"
API = f"{SYSTEM}-api"
WEB = f"{SYSTEM}-web"
DASHBOARD = f"{SYSTEM}-dashboard"
WORKER = f"{SYSTEM}-jobs-worker"
BEAT = f"{SYSTEM}-jobs-beat"
SCHEMA = f"{SYSTEM}-schema"
POSTGRES = f"{SYSTEM}-data-postgres"
REDIS = f"{SYSTEM}-data-redis"
WATCHED = f"{SYSTEM}-observability"
PROMETHEUS = f"{WATCHED}-prometheus"
GRAFANA = f"{WATCHED}-grafana"
TIERS = (API, WEB, DASHBOARD)
OURS = (*TIERS, WORKER, BEAT)

POD = "spec.template.spec"
CONTAINER = f"{POD}.containers[0]"
DEFAULT_YML = f"data[{ROOT.strip('/').replace('/', '_')}_config_default.yml] | yaml"
STAGING_YML = f"data[{ROOT.strip('/').replace('/', '_')}_config_staging.yml] | yaml"
REDIS_CONF = "stringData[etc_redis_redis.conf]"
DATABASE_URL = "postgresql://ai_review:$(DATABASE_URL_PASSWORD)@postgres-rw:5432/ai_review_staging"
"""The kubelet puts the password in."""

LOGS = Open("a search of collected logs, where Elasticsearch and Kibana run")
RESTORE = Open("restoring on Kubernetes")
BEFORE = Open("a backup before each deployment on Kubernetes")
DIFFERENTIAL = Open("what stands in for differential backups, which the operator of PostgreSQL has not")


def every(resources: tuple[str, ...], path: str, expected: object) -> list[Row]:
    """The same row for several resources."""
    return [row(resource, path, expected) for resource in resources]


def cluster(says: str) -> Behaviour:
    """Tests of the deployed stack."""
    return Behaviour("tests/kubernetes", says)
