"""Prometheus, and Grafana where its image can be had, for one system. Logs stay with the engine, rotated."""

from __future__ import annotations

from dataclasses import dataclass

from pulumi import Resource

from platforms import grafana
from platforms.docker import prometheus
from platforms.docker.workloads import DockerWorkloads
from platforms.secrets import HeldSecrets
from platforms.specs import (
    BIND_ADDRESS,
    MIB,
    Endpoint,
    Health,
    HttpProbe,
    Resources,
    Served,
    ServiceSpec,
    TelemetryParts,
    TelemetrySpec,
    Volume,
)

METRICS_PATH = "/prometheus/"
DASHBOARDS_PATH = "/grafana/"


@dataclass(frozen=True)
class DockerTelemetry:
    """Implements `platforms.protocols.Telemetry`."""

    workloads: DockerWorkloads
    secrets: HeldSecrets

    def collect(self, name: str, spec: TelemetrySpec, *, parent: Resource) -> TelemetryParts:
        """Scrape the targets, evaluate the rules, show the dashboards."""
        metrics = self._prometheus(name, spec, parent)
        dashboards = self._grafana(name, spec, metrics, parent) if spec.grafana else None
        return TelemetryParts(
            metrics=metrics.reached_at,
            metrics_path=METRICS_PATH,
            dashboards=dashboards,
            dashboards_path=DASHBOARDS_PATH,
        )

    def _prometheus(self, name: str, spec: TelemetrySpec, parent: Resource) -> Served:
        context = self.workloads.context
        return self.workloads.serve(
            f"{name}-prometheus",
            ServiceSpec(
                service="prometheus",
                role="telemetry",
                image=context.images.engine("prometheus"),
                user="65534:65534",
                command=(
                    "--config.file=/etc/prometheus/prometheus.yml",
                    "--storage.tsdb.path=/prometheus",
                    f"--storage.tsdb.retention.time={spec.retention}s",
                    f"--web.external-url={spec.external_url}{METRICS_PATH}",
                    f"--web.route-prefix={METRICS_PATH}",
                    f"--web.listen-address={BIND_ADDRESS}:9090",
                ),
                port=9090,
                resources=Resources(cpu=0.5, memory=512 * MIB),
                rollout="exclusive",
                files={
                    "/etc/prometheus/prometheus.yml": prometheus.scrape_config(
                        spec.targets,
                        interval=spec.scrape_interval,
                        labels={"stack": context.stack, "system": context.system},
                        rule_files=["/etc/prometheus/rules.yml"],
                    ),
                    "/etc/prometheus/rules.yml": prometheus.rules_config(context.system, spec.rules),
                },
                volumes={"/prometheus": Volume(name="prometheus")},
                uses=[target.endpoint for target in spec.targets],
                after=spec.after,
                health=Health(probe=HttpProbe(path=f"{METRICS_PATH}-/healthy", port=9090), interval=10),
            ),
            parent=parent,
        )

    def _grafana(self, name: str, spec: TelemetrySpec, metrics: Served, parent: Resource) -> Endpoint:
        password = self.secrets.generate(f"{name}-grafana-password", parent=parent)
        source = metrics.reached_at
        image = self.workloads.context.images.engine("grafana")
        root_url = f"{spec.external_url}{DASHBOARDS_PATH}"
        service = grafana.service(
            image, source, f"{source.url}{METRICS_PATH}", root_url, password, spec.dashboards, metrics
        )
        return self.workloads.serve(f"{name}-grafana", service, parent=parent).reached_at
