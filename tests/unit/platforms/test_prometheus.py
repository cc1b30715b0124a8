import re
from typing import Any

import pytest
import yaml

from platforms.docker.prometheus import rules_config, scrape_config
from platforms.specs import AlertRule, Endpoint, Grant, ScrapeTarget


def target(service: str, port: int, path: str = "/metrics", job: str = "system") -> ScrapeTarget:
    endpoint = Endpoint(scheme="http", host=service, port=port, grant=Grant())
    return ScrapeTarget(job=job, endpoint=endpoint, path=path, service=service)


def config(*targets: ScrapeTarget) -> Any:
    return yaml.safe_load(scrape_config(targets, interval=15, labels={"stack": "dev"}, rule_files=["rules.yml"]))


def test_targets_of_one_job_and_path_share_a_scrape_job() -> None:
    jobs = config(target("api", 8000), target("web", 5000))["scrape_configs"]
    assert [job["job_name"] for job in jobs] == ["system"]
    assert [(dns["names"], dns["port"]) for dns in jobs[0]["dns_sd_configs"]] == [(["api"], 8000), (["web"], 5000)]


def test_another_path_is_another_scrape_job_under_the_same_job_label() -> None:
    jobs = config(target("api", 8000), target("dashboard", 8501, "/stats"))["scrape_configs"]
    assert {job["job_name"]: job["metrics_path"] for job in jobs} == {"system": "/metrics", "system:/stats": "/stats"}
    assert all({"target_label": "job", "replacement": "system"} in job["relabel_configs"] for job in jobs)


@pytest.mark.parametrize(("address", "expected"), [("10.0.0.2:8000", "api"), ("10.0.0.3:8000", "api")])
def test_every_replica_behind_a_name_gets_the_service_label(address: str, expected: str) -> None:
    rules = config(target("api", 8000), target("web", 5000))["scrape_configs"][0]["relabel_configs"][1:]
    matching = [rule for rule in rules if re.fullmatch(rule["regex"], f"api;{address}")]
    assert [rule["replacement"] for rule in matching] == [expected]


def test_interval_labels_and_rule_files_are_global() -> None:
    settings = config(target("api", 8000))
    assert settings["global"] == {
        "scrape_interval": "15s",
        "evaluation_interval": "15s",
        "external_labels": {"stack": "dev"},
    }
    assert settings["rule_files"] == ["rules.yml"]


def test_alert_rules_become_one_group() -> None:
    rule = AlertRule(name="Down", expression="up == 0", hold="2m", severity="page", summary="gone")
    group = yaml.safe_load(rules_config("system", [rule]))["groups"][0]
    assert group["name"] == "system"
    assert group["rules"] == [
        {
            "alert": "Down",
            "expr": "up == 0",
            "for": "2m",
            "labels": {"severity": "page"},
            "annotations": {"summary": "gone"},
        }
    ]
