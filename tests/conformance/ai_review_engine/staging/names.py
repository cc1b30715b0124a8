"""Logical names and paths of the objects that the rows share."""

from __future__ import annotations

from tests.conformance.ai_review_engine.names import ROOT
from tests.conformance.model import Behaviour, Decided, Row, row, shown

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

DIFFERENTIAL = Decided(
    "backups-and-recovery-on-kubernetes",
    "the write-ahead log of every five minutes goes back to any moment, which is what differential backups are for",
)


def every(resources: tuple[str, ...], path: str, expected: object) -> list[Row]:
    """The same row for several resources."""
    return [row(resource, path, expected) for resource in resources]


def cluster(says: str) -> Behaviour:
    """Tests of the deployed stack."""
    return Behaviour("tests/kubernetes", says)


BEFORE = shown(
    row(f"{POSTGRES}-backup", "kind", "Deployment"),
    row(f"{REDIS}-backup", "kind", "Deployment"),
    cluster("a deployment that changes something archives first and reads the archives back, or changes nothing"),
)
