"""Ingress, observability and what is left of security: ARE-052 … ARE-070, ARE-075, ARE-076."""

from __future__ import annotations

from tests.conformance.ai_review_engine.names import (
    DASHBOARD,
    DATASOURCES,
    EDGE,
    EDGE_INSTALL,
    GRAFANA,
    NGINX,
    NODE_EXPORTER,
    PANELS,
    PROMETHEUS,
    PROMETHEUS_YML,
    RULES_YML,
    WORKER,
    fact,
    main_job,
)
from tests.conformance.model import INNER_LOOP, Row, contains, row, shown

DASHBOARD_JOB = "ai_review_engine:/dashboard/_stcore/metrics"


def scraped(job: str, host: str, port: int) -> list[Row]:
    """Rows for a job with one target."""
    config = f"{PROMETHEUS_YML} | scrape_configs[job_name={job}].dns_sd_configs"
    return [row(PROMETHEUS, f"{config}[*].names", [[host]]), row(PROMETHEUS, f"{config}[*].port", [port])]


def alert(name: str, *parts: str) -> Row:
    """A row for an alert rule's expression."""
    return row(PROMETHEUS, f"{RULES_YML} | groups[0].rules[alert={name}].expr", contains(*parts))


FACTS = (
    fact(
        52,
        "NGINX load balancer in production",
        "D S P",
        D=shown(
            row(EDGE, "count", 0, profile=INNER_LOOP),
            row(EDGE_INSTALL, "count", 0, profile=INNER_LOOP),
            adr="inner-loop-profile",
        ),
    ),
    fact(
        53,
        "TLS termination at NGINX",
        "S P",
        D=shown(
            row(EDGE, "ports[external=443].internal", 8443),
            row(
                EDGE_INSTALL,
                NGINX,
                contains("listen 8443 ssl", "http://$backend:8000;", "http://$backend:5000;", "http://$backend:8501;"),
            ),
            main_job("curl over TLS gets web page, API and dashboard; plain HTTP is redirected"),
        ),
    ),
    fact(
        54,
        "Three backends routed",
        "S P",
        D=shown(
            row(EDGE_INSTALL, NGINX, contains("location / {", "location /api/ {", "location /dashboard/ {")),
            main_job("each of the three paths is answered by its own tier"),
        ),
    ),
    fact(
        55,
        "Streamlit WebSocket and session affinity",
        "S P",
        D=shown(
            row(
                EDGE_INSTALL,
                NGINX,
                contains("proxy_set_header Upgrade $http_upgrade;", "proxy_read_timeout 3600s;", "split_clients"),
            ),
            main_job("the dashboard's websocket opens through the edge, and a client stays on its replica"),
        ),
    ),
    fact(56, "NGINX configuration directory", "S P"),
    fact(57, "API spread to workers in scaling picture", "S P"),
    fact(
        58,
        "Prometheus scrape interval",
        "D S P",
        D=shown(row(PROMETHEUS, f"{PROMETHEUS_YML} | global.scrape_interval", "15s")),
    ),
    fact(
        59,
        "Prometheus job and targets",
        "D S P",
        D=shown(
            row(
                PROMETHEUS,
                f"{PROMETHEUS_YML} | scrape_configs[job_name=ai_review_engine].dns_sd_configs[*].names",
                [["api"], ["web"]],
            ),
            row(
                PROMETHEUS,
                f"{PROMETHEUS_YML} | scrape_configs[job_name=ai_review_engine].dns_sd_configs[*].port",
                [8000, 5000],
            ),
            scraped(DASHBOARD_JOB, "dashboard", 8501),
            row(
                PROMETHEUS,
                f"{PROMETHEUS_YML} | scrape_configs[job_name={DASHBOARD_JOB}].relabel_configs[0]",
                {"target_label": "job", "replacement": "ai_review_engine"},
            ),
            main_job("Prometheus lists every target as up"),
        ),
    ),
    fact(
        60,
        "Dashboard metrics path",
        "D S P",
        D=shown(
            row(
                PROMETHEUS,
                f"{PROMETHEUS_YML} | scrape_configs[job_name={DASHBOARD_JOB}].metrics_path",
                "/dashboard/_stcore/metrics",
            ),
            row(DASHBOARD, "envs[STREAMLIT_SERVER_BASE_URL_PATH]", "dashboard"),
        ),
    ),
    fact(
        61,
        "Prometheus also watches worker, database and cache",
        "S P",
        D=shown(
            scraped("worker", "celery-exporter", 9808),
            scraped("postgres", "postgres-exporter", 9187),
            scraped("redis", "redis-exporter", 9121),
            main_job("Prometheus lists every target as up"),
        ),
    ),
    fact(
        62,
        "Host exporter",
        "D S P",
        D=shown(
            row(NODE_EXPORTER, "image", "sha256:node-exporter"),
            row(NODE_EXPORTER, "command", contains("--collector.cpu", "--collector.meminfo", "--collector.filesystem")),
            scraped("host", "node-exporter", 9100),
            main_job("Prometheus lists every target as up"),
        ),
    ),
    fact(
        63,
        "Grafana reads Prometheus",
        "D S P",
        D=shown(
            row(GRAFANA, "image", "sha256:grafana"),
            row(GRAFANA, f"{DATASOURCES}.type", "prometheus"),
            row(GRAFANA, f"{DATASOURCES}.url", "http://prometheus:9090/prometheus/"),
            row(GRAFANA, "networksAdvanced[*].name", contains("ai-review-engine-observability-prometheus-net")),
        ),
    ),
    fact(
        64,
        "Dashboards and alert rules",
        "D S P",
        D=shown(
            alert("InstanceDown", "up == 0"),
            alert("RequestsFailing", '{status=~"5.."}'),
            alert("JobsWaiting", "celery_queue_length"),
            alert("BackupTooOld", "backup_due_timestamp_seconds"),
            row(PROMETHEUS, f"{PROMETHEUS_YML} | rule_files", ["/etc/prometheus/rules.yml"]),
            row(GRAFANA, PANELS, contains("Replicas answering", "Share of failed requests", "Jobs waiting")),
            main_job("every expression of the dashboards and rules returns series"),
        ),
    ),
    fact(65, "Log sources", "S P", D=shown(main_job("the logs of api, web, dashboard and worker can be read"))),
    fact(66, "Log aggregation", "S P"),
    fact(67, "Log view", "S P"),
    fact(68, "Log retention", "S P"),
    fact(69, "Worker log level", "D S P", D=shown(row(WORKER, "command", contains("--loglevel=info")))),
    fact(
        70,
        "Performance watched after deployment",
        "D S P",
        D=shown(
            row(GRAFANA, PANELS, contains("Requests per second", "Latency, 95th percentile")),
            main_job("every expression of the dashboards and rules returns series"),
        ),
    ),
    fact(75, "Debug off outside development", "S P"),
    fact(
        76,
        "TLS certificate lifecycle",
        "S P",
        D=shown(
            row("foundation-edge-tls-seed", "keepers.rotation", "1"),
            row(EDGE_INSTALL, "uploads[/etc/edge/tls.key]", contains("[secret] -----BEGIN PRIVATE KEY-----")),
        ),
    ),
)
