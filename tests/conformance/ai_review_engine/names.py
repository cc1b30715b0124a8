"""Logical names and paths that the rows share, and how a fact is written down."""

from __future__ import annotations

from tests.conformance.model import Answer, Behaviour, Fact, Open

ROOT = "/srv/ai-review-engine"
API = "ai-review-engine-api-[0-9]*"
WEB = "ai-review-engine-web-[0-9]*"
DASHBOARD = "ai-review-engine-dashboard-[0-9]*"
WORKER = "ai-review-engine-jobs-worker-[0-9]*"
BEAT = "ai-review-engine-jobs-beat-[0-9]*"
SCHEMA = "ai-review-engine-schema"
POSTGRES = "ai-review-engine-data-postgres-[0-9]*"
POSTGRES_EXPORTER = "ai-review-engine-data-postgres-exporter-[0-9]*"
POSTGRES_BACKUP = "ai-review-engine-data-postgres-backup-[0-9]*"
REDIS_BACKUP = "ai-review-engine-data-redis-backup-[0-9]*"
REDIS = "ai-review-engine-data-redis-[0-9]*"
PROMETHEUS = "ai-review-engine-observability-prometheus-[0-9]*"
GRAFANA = "ai-review-engine-observability-grafana-[0-9]*"
NODE_EXPORTER = "foundation-node-exporter-[0-9]*"
EDGE = "foundation-edge-[0-9]*"
EDGE_INSTALL = "foundation-edge-install"

DEFAULT_YML = f"uploads[{ROOT}/config/default.yml] | yaml"
DEVELOPMENT_YML = f"uploads[{ROOT}/config/development.yml] | yaml"
PROMETHEUS_YML = "uploads[/etc/prometheus/prometheus.yml] | yaml"
RULES_YML = "uploads[/etc/prometheus/rules.yml] | yaml"
DATASOURCES = "uploads[/etc/grafana/provisioning/datasources/prometheus.yaml] | yaml | datasources[name=Prometheus]"
PANELS = "uploads[/etc/grafana/dashboards/ai-review-engine.json] | json | panels[*].title"
NGINX = "uploads[/etc/edge/nginx.conf]"
HEALTH = "healthcheck.tests[-1]"

STAGES = {"S": Open("the Kubernetes platform"), "P": Open("the AWS platform")}
"""What a place without an answer waits for."""
RELEASE = Open("the release pipelines")


def fact(number: int, title: str, asked: str, **answers: Answer) -> Fact:
    """A fact that the acceptance table asks for in `asked` (`D S P`); S and P wait for their stage unless answered."""
    places = tuple(asked.split())
    waiting = {place: STAGES[place] for place in places if place in STAGES}
    return Fact(number, title, places, {**waiting, **answers})


def main_job(says: str) -> Behaviour:
    """Tests of the deployed stack."""
    return Behaviour("tests/docker", says)


def configuration(says: str) -> Behaviour:
    """Tests of the stack file's checks."""
    return Behaviour("tests/conformance/test_configuration.py", says)


def application(says: str) -> Behaviour:
    """Tests of the application image."""
    return Behaviour("tests/app", says)
