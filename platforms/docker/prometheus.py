"""The configuration of Prometheus, as YAML text: a pure function of the targets and rules."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import yaml

from platforms.specs import AlertRule, ScrapeTarget


def scrape_config(
    targets: Sequence[ScrapeTarget], *, interval: int, labels: dict[str, str], rule_files: list[str]
) -> str:
    """`prometheus.yml`: every address behind a target's DNS name is scraped, so replicas come and go without a reload.

    `interval` is in seconds; `labels` stand on every series.
    """
    jobs = []
    for (job, path), group in groupby(sorted(targets, key=_key), key=lambda target: (target.job, target.path)):
        members = list(group)
        jobs.append(
            {
                # Prometheus asks for distinct job names; the label carries the job's own.
                "job_name": job if path == "/metrics" else f"{job}:{path}",
                "metrics_path": path,
                "dns_sd_configs": [
                    {
                        "names": [target.endpoint.host],
                        "type": "A",
                        "port": target.endpoint.port,
                        "refresh_interval": "5s",
                    }
                    for target in members
                ],
                "relabel_configs": [
                    {"target_label": "job", "replacement": job},
                    *(
                        {
                            "source_labels": ["__meta_dns_name", "__address__"],
                            "regex": rf"{target.endpoint.host};.*:{target.endpoint.port}",
                            "target_label": "service",
                            "replacement": target.service,
                        }
                        for target in members
                    ),
                ],
            }
        )
    return yaml.safe_dump(
        {
            "global": {
                "scrape_interval": f"{interval}s",
                "evaluation_interval": f"{interval}s",
                "external_labels": labels,
            },
            "rule_files": rule_files,
            "scrape_configs": jobs,
        },
        sort_keys=False,
    )


def rules_config(system: str, rules: Sequence[AlertRule]) -> str:
    """A rule file with one group, named after the system."""
    return yaml.safe_dump(
        {
            "groups": [
                {
                    "name": system,
                    "rules": [
                        {
                            "alert": rule.name,
                            "expr": rule.expression,
                            "for": rule.hold,
                            "labels": {"severity": rule.severity},
                            "annotations": {"summary": rule.summary},
                        }
                        for rule in rules
                    ],
                }
            ]
        },
        sort_keys=False,
        width=1000,
    )


def _key(target: ScrapeTarget) -> tuple[str, str, str, int]:
    return (target.job, target.path, target.endpoint.host, target.endpoint.port)
