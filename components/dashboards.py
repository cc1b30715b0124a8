"""Grafana dashboards as JSON, from a list of titled queries; and the panels that every web system gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
"""The data source that `ObservabilityStack` provisions."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One graph."""

    title: str
    query: str
    """PromQL."""
    legend: str
    """Legend template over the series' labels."""
    unit: str = "short"
    """Grafana's unit id: `reqps`, `s`, `percentunit`, `bytes` …"""


def render(title: str, panels: Sequence[Panel]) -> str:
    """The dashboard as JSON with sorted keys, equal for equal arguments."""
    builder = (
        dashboard.Dashboard(title).uid(title.lower().replace(" ", "-")).refresh("30s").time("now-1h", "now").readonly()
    )
    for panel in panels:
        builder.with_panel(
            timeseries.Panel()
            .title(panel.title)
            .unit(panel.unit)
            .datasource(SOURCE)
            .with_target(prometheus.Dataquery().expr(panel.query).legend_format(panel.legend).ref_id("A"))
        )
    return str(JSONEncoder(sort_keys=True, indent=1).encode(builder.build()))


HTTP = (
    Panel(
        title="Requests per second",
        query="sum by (service) (rate(http_requests_total[5m]))",
        legend="{{service}}",
        unit="reqps",
    ),
    Panel(
        title="Share of failed requests",
        query='sum by (service) (rate(http_requests_total{status=~"5.."}[5m]))'
        " / sum by (service) (rate(http_requests_total[5m]))",
        legend="{{service}}",
        unit="percentunit",
    ),
    Panel(
        title="Latency, 95th percentile",
        query="histogram_quantile(0.95, sum by (service, le) (rate(http_request_duration_seconds_bucket[5m])))",
        legend="{{service}}",
        unit="s",
    ),
    Panel(title="Replicas answering", query="sum by (service) (up)", legend="{{service}}"),
)
CELERY = (
    Panel(title="Jobs waiting", query="sum by (queue_name) (celery_queue_length)", legend="{{queue_name}}"),
    Panel(
        title="Jobs done per second",
        query="sum by (name) (rate(celery_task_succeeded_total[5m]))",
        legend="{{name}}",
        unit="ops",
    ),
)
DATA = (
    Panel(
        title="PostgreSQL connections", query="sum by (datname) (pg_stat_database_numbackends)", legend="{{datname}}"
    ),
    Panel(title="Redis memory", query="redis_memory_used_bytes", legend="used", unit="bytes"),
)
