"""Ingress, observability and what is left of security on staging: ARE-052 … ARE-070, ARE-075, ARE-076."""

from __future__ import annotations

from typing import Final

from tests.conformance.ai_review_engine.staging.names import (
    API,
    CONTAINER,
    DASHBOARD,
    GRAFANA,
    OURS,
    PROMETHEUS,
    STAGING_YML,
    SYSTEM,
    WATCHED,
    WORKER,
    cluster,
    every,
)
from tests.conformance.model import LOGGED, Answer, Decided, Row, contains, row, shown
from tests.conformance.program import ELASTIC

ROUTE = f"{SYSTEM}-ingress"
GATEWAY = "foundation-edge"
LISTENER = "spec.listeners[name=https-staging.localhost]"
CERTIFICATE = f"{GATEWAY}-https-staging.localhost"
COOKIE = {"name": "ai_platform_replica", "httpOnly": True, "secure": True, "sameSite": "lax"}
ENDPOINT = "spec.podMetricsEndpoints[0]"
DATASOURCE = "data[etc_grafana_provisioning_datasources_prometheus.yaml] | yaml | datasources[name=Prometheus]"
PANELS = "data[etc_grafana_dashboards_ai-review-engine.json] | json | panels[*].title"
KEPT = f"{WATCHED}-logs"
SHIPPER = "data[etc_fluent-bit_fluent-bit.yaml] | yaml | pipeline"
NAMESPACE = "ai-review-engine-staging"
SOURCES = f"/var/log/pods/{NAMESPACE}_*/*/*.log"
MONITORS = tuple(
    f"{WATCHED}-{target}"
    for target in (
        *("api", "web", "dashboard", "worker", "postgres", "redis"),
        *("postgres-backup", "redis-backup", "host", "edge"),
    )
)


def scraped(target: str, service: str, port: int, system: str = SYSTEM) -> list[Row]:
    """Rows for what is scraped at a service's pods."""
    pods = {"ai-platform/system": system, "ai-platform/service": service}
    return [
        row(f"{WATCHED}-{target}", f"{ENDPOINT}.portNumber", port),
        row(f"{WATCHED}-{target}", "spec.selector.matchLabels", pods),
        row(f"{WATCHED}-{target}", f"{ENDPOINT}.relabelings[targetLabel=service].replacement", target),
    ]


def alert(name: str, *parts: str) -> Row:
    """A row for an alert rule's expression."""
    return row(f"{WATCHED}-rules", f"spec.groups[0].rules[alert={name}].expr", contains(*parts))


def backend(rule: int, path: str, service: str, port: int) -> list[Row]:
    """Rows for a rule of the route."""
    return [
        row(ROUTE, f"spec.rules[{rule}].matches[0].path", {"type": "PathPrefix", "value": path}),
        row(ROUTE, f"spec.rules[{rule}].backendRefs", [{"name": service, "port": port}]),
    ]


TRAEFIK = Decided("kubernetes", "Traefik by the Gateway API balances and ends TLS; NGINX is the edge on Docker")

ANSWERS: Final[dict[int, Answer]] = {
    52: TRAEFIK,
    53: shown(
        row(GATEWAY, f"{LISTENER}.tls.mode", "Terminate"),
        row(GATEWAY, f"{LISTENER}.protocol", "HTTPS"),
        row(
            GATEWAY,
            f"{LISTENER}.tls.certificateRefs",
            [{"kind": "Secret", "name": "tls-staging.localhost"}],
        ),
        row(ROUTE, "spec.parentRefs[0].sectionName", "https-staging.localhost"),
        row(f"{GATEWAY}-redirect", "spec.rules[0].filters[0].requestRedirect.scheme", "https"),
        backend(5, "/api", "api", 8000),
        backend(-1, "/", "web", 5000),
        row(f"{ROUTE}-dashboard-sticky", "spec.weighted.services[0].port", 8501),
        cluster("curl over TLS gets web page, API and dashboard; plain HTTP is redirected"),
    ),
    54: shown(
        backend(5, "/api", "api", 8000),
        row(
            ROUTE,
            "spec.rules[5].filters[type=URLRewrite].urlRewrite.path",
            {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"},
        ),
        backend(-1, "/", "web", 5000),
        row(ROUTE, "spec.rules[2].matches[0].path.value", "/dashboard"),
        row(ROUTE, "spec.rules[2].backendRefs[0].name", "dashboard-sticky"),
        cluster("each of the three paths is answered by its own tier"),
    ),
    55: shown(
        # Traefik upgrades to a websocket and sets no limit on an open connection by itself.
        row(f"{ROUTE}-dashboard-sticky", "spec.weighted.services[0].name", "dashboard"),
        row(f"{ROUTE}-dashboard-sticky", "spec.weighted.services[0].sticky.cookie", COOKIE),
        row(
            ROUTE,
            "spec.rules[2].backendRefs",
            [{"group": "traefik.io", "kind": "TraefikService", "name": "dashboard-sticky"}],
        ),
        adr="kubernetes",
    ),
    56: TRAEFIK,
    57: shown(
        row(f"{API}-scale", "spec.minReplicas", 2),
        row(f"{API}-scale", "spec.maxReplicas", 10),
        row(f"{WORKER}-scale", "spec.minReplicaCount", 3),
        backend(5, "/api", "api", 8000),
        adr="document-conflicts",
    ),
    58: shown(
        row(PROMETHEUS, "spec.scrapeInterval", "15s"),
        every(MONITORS, f"{ENDPOINT}.interval", "15s"),
    ),
    59: shown(
        *(
            [
                *scraped(target, target, port),
                row(
                    f"{WATCHED}-{target}",
                    f"{ENDPOINT}.relabelings[targetLabel=job].replacement",
                    "ai_review_engine",
                ),
            ]
            for target, port in (("api", 8000), ("web", 5000), ("dashboard", 8501))
        ),
        row(PROMETHEUS, "spec.podMonitorSelector.matchLabels", {"ai-platform/system": SYSTEM}),
        cluster("Prometheus lists every target as up"),
    ),
    60: shown(
        row(f"{WATCHED}-dashboard", f"{ENDPOINT}.path", "/dashboard/_stcore/metrics"),
        row(DASHBOARD, f"{CONTAINER}.env[STREAMLIT_SERVER_BASE_URL_PATH]", "dashboard"),
    ),
    61: shown(
        scraped("worker", "celery-exporter", 9808),
        scraped("postgres", "postgres-exporter", 9187),
        scraped("redis", "redis-exporter", 9121),
        cluster("Prometheus lists every target as up"),
    ),
    62: shown(
        row("foundation-node-exporter", "kind", "DaemonSet"),
        row("foundation-node-exporter", f"{CONTAINER}.image", "node-exporter:1"),
        row(
            "foundation-node-exporter",
            f"{CONTAINER}.args",
            contains("--collector.cpu", "--collector.meminfo", "--collector.diskstats"),
        ),
        scraped("host", "node-exporter", 9100, system="foundation"),
        cluster("Prometheus lists every target as up"),
        adr="kubernetes",
    ),
    63: shown(
        row(GRAFANA, f"{CONTAINER}.image", "grafana:1"),
        row(f"{GRAFANA}-config", f"{DATASOURCE}.type", "prometheus"),
        row(f"{GRAFANA}-config", f"{DATASOURCE}.url", "http://prometheus:9090/prometheus/"),
        row(GRAFANA, "reaches", ["dns", "prometheus"]),
    ),
    64: shown(
        alert("InstanceDown", "up == 0"),
        alert("RequestsFailing", '{status=~"5.."}'),
        alert("JobsWaiting", "celery_queue_length"),
        alert("BackupTooOld", "backup_due_timestamp_seconds"),
        row(PROMETHEUS, "spec.ruleSelector.matchLabels", {"ai-platform/system": SYSTEM}),
        row(
            f"{GRAFANA}-config",
            PANELS,
            contains("Replicas answering", "Share of failed requests", "Jobs waiting"),
        ),
    ),
    65: shown(
        # Whatever runs in the system's namespace: its four tiers among it.
        row(f"{KEPT}-shipper-config", f"{SHIPPER}.inputs[0].path", SOURCES, profile=LOGGED),
        row(f"{KEPT}-shipper", "kind", "DaemonSet", profile=LOGGED),
        *(row(f"{SYSTEM}-{tier}", "metadata.namespace", NAMESPACE) for tier in ("api", "web", "dashboard")),
        row(WORKER, "metadata.namespace", NAMESPACE),
        adr="kubernetes",
    ),
    66: shown(
        row(f"{KEPT}-store", "kind", "Elasticsearch", profile=LOGGED),
        row(f"{KEPT}-store", "spec.image", ELASTIC["elasticsearch"], profile=LOGGED),
        row(f"{KEPT}-shipper-config", f"{SHIPPER}.outputs[0].name", "es", profile=LOGGED),
        row(f"{KEPT}-shipper-config", f"{SHIPPER}.outputs[0].host", f"logs-es-http.{NAMESPACE}.svc", profile=LOGGED),
        adr="kubernetes",
    ),
    67: shown(
        row(f"{KEPT}-view", "kind", "Kibana", profile=LOGGED),
        row(f"{KEPT}-view", "spec.image", ELASTIC["kibana"], profile=LOGGED),
        row(f"{KEPT}-view", "spec.elasticsearchRef.name", "logs", profile=LOGGED),
        row(ROUTE, "spec.rules[*].matches[0].path.value", contains("/kibana"), profile=LOGGED),
        adr="kubernetes",
    ),
    68: shown(
        row(
            f"{KEPT}-lifecycle-config",
            "data[etc_logs_policy.json] | json | policy.phases.delete.min_age",
            "30d",
            profile=LOGGED,
        ),
        row(f"{KEPT}-shipper", "startsAfter", contains("logs-lifecycle"), profile=LOGGED),
        adr="kubernetes",
    ),
    69: shown(row(WORKER, f"{CONTAINER}.args", contains("--loglevel=info"))),
    70: shown(row(f"{GRAFANA}-config", PANELS, contains("Requests per second", "Latency, 95th percentile"))),
    75: shown(
        every(tuple(f"{one}-config" for one in OURS), f"{STAGING_YML} | debug", False),
        row(f"{SYSTEM}-web", f"{CONTAINER}.env[FLASK_DEBUG]", "0"),
    ),
    76: shown(
        row(CERTIFICATE, "kind", "Certificate"),
        row(CERTIFICATE, "spec.dnsNames", ["staging.localhost"]),
        row(CERTIFICATE, "spec.secretName", "tls-staging.localhost"),
        row(CERTIFICATE, "spec.issuerRef.name", "authority"),
        row(CERTIFICATE, "spec.privateKey.rotationPolicy", "Always"),
        row(f"{GATEWAY}-tls-seed", "keepers.rotation", "1"),
    ),
}
