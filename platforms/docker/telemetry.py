"""Prometheus, and Grafana where its image can be had, for one system. Logs stay with the engine, rotated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import yaml
from pulumi import Resource

from platforms.docker import prometheus
from platforms.docker.secrets import DockerSecrets
from platforms.docker.workloads import DockerWorkloads
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
ADMIN_PASSWORD = "/run/secrets/grafana-admin-password"  # noqa: S105 - a path


@dataclass(frozen=True)
class DockerTelemetry:
    """Implements `platforms.protocols.Telemetry`."""

    workloads: DockerWorkloads
    secrets: DockerSecrets

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
        served = self.workloads.serve(
            f"{name}-grafana",
            ServiceSpec(
                service="grafana",
                role="telemetry",
                image=self.workloads.context.images.engine("grafana"),
                user="472:472",
                command=(f"cfg:default.server.http_addr={BIND_ADDRESS}",),
                port=3000,
                resources=Resources(cpu=0.5, memory=256 * MIB),
                rollout="exclusive",
                env={
                    "GF_SECURITY_ADMIN_PASSWORD__FILE": ADMIN_PASSWORD,
                    "GF_SERVER_ROOT_URL": f"{spec.external_url}{DASHBOARDS_PATH}",
                    "GF_SERVER_SERVE_FROM_SUB_PATH": "true",
                    "GF_ANALYTICS_REPORTING_ENABLED": "false",
                    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
                },
                secret_files={ADMIN_PASSWORD: password},
                files=_provisioning(source, spec.dashboards),
                volumes={"/var/lib/grafana": Volume(name="grafana")},
                uses=[source],
                after=[metrics],
                health=Health(probe=HttpProbe(path="/api/health", port=3000), interval=10),
            ),
            parent=parent,
        )
        return served.reached_at


def _provisioning(metrics: Endpoint, dashboards: Mapping[str, str]) -> dict[str, str]:
    root = "/etc/grafana/provisioning"
    source = {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "Prometheus",
                "uid": "prometheus",
                "type": "prometheus",
                "access": "proxy",
                "url": f"{metrics.url}{METRICS_PATH}",
                "isDefault": True,
            }
        ],
    }
    provider = {
        "apiVersion": 1,
        "providers": [{"name": "ai-platform", "type": "file", "options": {"path": "/etc/grafana/dashboards"}}],
    }
    return {
        f"{root}/datasources/prometheus.yaml": yaml.safe_dump(source, sort_keys=False),
        f"{root}/dashboards/files.yaml": yaml.safe_dump(provider, sort_keys=False),
        **{f"/etc/grafana/dashboards/{file}": text for file, text in dashboards.items()},
    }
