"""Grafana as a service: provisioned from files, the same on every platform."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from platforms.specs import (
    BIND_ADDRESS,
    MIB,
    Endpoint,
    Health,
    HttpProbe,
    Resources,
    SecretRef,
    ServiceSpec,
    Started,
    Volume,
)

ADMIN_PASSWORD = "/run/secrets/grafana-admin-password"  # noqa: S105 - a path


def service(  # noqa: PLR0913, PLR0917 - where it reads, where it is reached, what it shows
    image: str,
    metrics: Endpoint,
    source_url: str,
    root_url: str,
    password: SecretRef,
    dashboards: Mapping[str, str],
    after: Started,
) -> ServiceSpec:
    """The service; `source_url` is Prometheus as Grafana reaches it, `root_url` is Grafana as browsers do (ARE-063)."""
    return ServiceSpec(
        service="grafana",
        role="telemetry",
        image=image,
        user="472:472",
        command=(f"cfg:default.server.http_addr={BIND_ADDRESS}",),
        port=3000,
        resources=Resources(cpu=0.5, memory=256 * MIB),
        rollout="exclusive",
        env={
            "GF_SECURITY_ADMIN_PASSWORD__FILE": ADMIN_PASSWORD,
            "GF_SERVER_ROOT_URL": root_url,
            "GF_SERVER_SERVE_FROM_SUB_PATH": "true",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
            # It may not reach outside, and would try to for minutes.
            "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        },
        secret_files={ADMIN_PASSWORD: password},
        files=_provisioning(source_url, dashboards),
        volumes={"/var/lib/grafana": Volume(name="grafana")},
        uses=[metrics],
        after=[after],
        # The first start makes a database: a minute and more on a busy node.
        health=Health(probe=HttpProbe(path="/api/health", port=3000), interval=10, start_period=150, deadline=240),
    )


def _provisioning(source_url: str, dashboards: Mapping[str, str]) -> dict[str, str]:
    root = "/etc/grafana/provisioning"
    source = {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "Prometheus",
                "uid": "prometheus",
                "type": "prometheus",
                "access": "proxy",
                "url": source_url,
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
