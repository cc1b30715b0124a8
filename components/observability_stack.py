"""Metrics, alert rules and dashboards of one system. What is watched is handed in; how is the platform's business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pulumi import ComponentResource, ResourceOptions

from platforms.protocols import Scope
from platforms.specs import AlertRule, Route, ScrapeTarget, Started, TelemetrySpec


@dataclass(frozen=True, kw_only=True)
class ObservabilityStackArgs:
    """Arguments of `ObservabilityStack`."""

    targets: Sequence[ScrapeTarget]
    """Metrics endpoints; all of their replicas are scraped."""
    rules: Sequence[AlertRule]
    """Alert rules."""
    dashboards: Mapping[str, str] = field(default_factory=dict)
    """File name → Grafana dashboard as JSON."""
    scrape_interval: int = 15
    """Seconds (ARE-058)."""
    retention: int = 15 * 86_400
    """Seconds that series are kept."""
    external_url: str
    """URL of the system, for links in alerts and dashboards."""
    grafana: bool
    """Whether dashboards are shown, too."""
    logs_kept: int | None = None
    """Seconds that collected logs are kept (ARE-068); None: they are not collected."""
    after: Sequence[Started] = ()
    """What must be healthy first."""


class ObservabilityStack(ComponentResource):
    """Metrics, alert rules and dashboards of one system."""

    def __init__(
        self, name: str, args: ObservabilityStackArgs, scope: Scope, opts: ResourceOptions | None = None
    ) -> None:
        super().__init__("ai-platform:components:ObservabilityStack", name, None, opts)
        parts = scope.telemetry.collect(
            name,
            TelemetrySpec(
                targets=args.targets,
                rules=args.rules,
                dashboards=args.dashboards,
                scrape_interval=args.scrape_interval,
                retention=args.retention,
                external_url=args.external_url,
                grafana=args.grafana,
                logs_kept=args.logs_kept,
                after=args.after,
            ),
            parent=self,
        )
        self.routes: tuple[Route, ...] = tuple(
            Route(path=path, endpoint=endpoint, websocket=True, private=())
            for path, endpoint in (
                (parts.metrics_path, parts.metrics),
                (parts.dashboards_path, parts.dashboards),
                (parts.logs_path, parts.logs),
            )
            if endpoint is not None
        )
        self.register_outputs({"metrics": parts.metrics.url})
