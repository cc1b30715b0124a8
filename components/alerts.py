"""Alert rules that every web system gets, over the metric names of its exporters and of its tiers (ARE-064)."""

from __future__ import annotations

from platforms.specs import AlertRule

HTTP = (
    AlertRule(
        name="InstanceDown",
        expression="up == 0",
        hold="2m",
        severity="page",
        summary="{{ $labels.service }} at {{ $labels.instance }} has not answered for two minutes",
    ),
    AlertRule(
        name="RequestsFailing",
        expression='sum by (service) (rate(http_requests_total{status=~"5.."}[5m]))'
        " / sum by (service) (rate(http_requests_total[5m])) > 0.05",
        hold="5m",
        severity="page",
        summary="More than 5 % of the requests to {{ $labels.service }} fail",
    ),
    AlertRule(
        name="RequestsSlow",
        expression="histogram_quantile(0.95, sum by (service, le) (rate(http_request_duration_seconds_bucket[5m])))"
        " > 2",
        hold="10m",
        severity="ticket",
        summary="One request in twenty to {{ $labels.service }} takes longer than two seconds",
    ),
)
CELERY = (
    AlertRule(
        name="JobsWaiting",
        expression="sum(celery_queue_length) > 100",
        hold="10m",
        severity="ticket",
        summary="More than 100 jobs have been waiting for ten minutes: add workers",
    ),
)
DATA = (
    AlertRule(
        name="DatabaseDown",
        expression="pg_up == 0 or redis_up == 0",
        hold="1m",
        severity="page",
        summary="A data engine does not answer its exporter",
    ),
    AlertRule(
        name="BackupTooOld",
        expression="time() - backup_due_timestamp_seconds > 7200",
        hold="5m",
        severity="ticket",
        summary="No backup of {{ $labels.engine }} was taken since it was due two hours ago",
    ),
)
