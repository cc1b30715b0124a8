"""PostgreSQL outside the cluster: objects of the Barman Cloud plugin where there is a bucket, and none elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.programs import run, tracked
from tests.support.recording import SECRET, Graph

POSTGRES = "ai-review-engine-data-postgres"
KEYS = {"objectStore": {"accessKeyId": {"secure": "its-id"}, "secretAccessKey": {"secure": "its-secret"}}}
STORE = {"bucket": "acme-backups", "endpoint": "https://s3.example.org:9443", "region": "eu-central-1"}


def staging(folder: Path, **changes: Any) -> Graph:
    """The tracked staging stack, changed by top-level keys."""
    return run(tracked("staging") | changes, folder, stack="staging")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """With a bucket."""
    backups = {"objectStore": STORE, "schedule": "30 1 * * 0", "keepDays": 21}
    return staging(tmp_path_factory.mktemp("stored"), backups=backups, secrets=KEYS)


def cluster(graph: Graph) -> Any:
    return graph.named(POSTGRES).inputs["spec"]


def test_base_backups_follow_the_stack_files_schedule_with_seconds_in_front(stored: Graph) -> None:
    backup = stored.named(f"{POSTGRES}-base-backups")
    assert backup.inputs["spec"]["schedule"] == "0 30 1 * * 0"
    assert backup.inputs["spec"]["method"] == "plugin"
    assert backup.inputs["spec"]["cluster"] == {"name": stored.named(POSTGRES).inputs["metadata"]["name"]}
    assert stored.named(POSTGRES).urn in backup.depends_on


def test_the_write_ahead_log_is_archived_at_least_every_five_minutes_by_the_plugin(stored: Graph) -> None:
    (plugin,) = cluster(stored)["plugins"]
    described = stored.named(f"{POSTGRES}-store")
    assert plugin["isWALArchiver"] is True
    assert plugin["parameters"]["barmanObjectName"] == described.inputs["metadata"]["name"]
    assert plugin["name"] == stored.named(f"{POSTGRES}-base-backups").inputs["spec"]["pluginConfiguration"]["name"]
    assert cluster(stored)["postgresql"]["parameters"]["archive_timeout"] == "300s"
    assert described.urn in stored.named(POSTGRES).depends_on


def test_each_stack_and_system_has_a_folder_of_its_own_and_keeps_the_days_of_the_stack_file(stored: Graph) -> None:
    spec = stored.named(f"{POSTGRES}-store").inputs["spec"]
    assert spec["retentionPolicy"] == "21d"
    assert spec["configuration"]["destinationPath"] == "s3://acme-backups/staging/ai-review-engine"
    assert spec["configuration"]["endpointURL"] == STORE["endpoint"]


def test_the_keys_stand_in_a_secret_and_nowhere_else(stored: Graph) -> None:
    keys = stored.named(f"{POSTGRES}-store-keys")
    held = keys.inputs["stringData"]
    assert held["ACCESS_KEY_ID"] == f"{SECRET}its-id"
    assert held["SECRET_ACCESS_KEY"] == f"{SECRET}its-secret"
    others = [one.name for one in stored.resources if one is not keys and "its-secret" in str(one.inputs)]
    assert others == []
    asked = stored.named(f"{POSTGRES}-store").inputs["spec"]["configuration"]["s3Credentials"]
    assert {one["key"] for one in asked.values()} == set(held)


def test_instances_may_reach_the_store_by_its_port(stored: Graph, tmp_path: Path) -> None:
    def rules(graph: Graph) -> list[Any]:
        return list(graph.named(f"{POSTGRES}-instances").inputs["spec"]["egress"])

    def ports(graph: Graph) -> list[int]:
        return [port["port"] for rule in rules(graph) if "ipBlock" in rule["to"][0] for port in rule["ports"]]

    assert urlsplit(STORE["endpoint"]).port in ports(stored)
    assert urlsplit(STORE["endpoint"]).port not in ports(staging(tmp_path))
    (way,) = [rule["to"][0]["ipBlock"] for rule in rules(stored) if "except" in str(rule)]
    assert way["except"] == ["169.254.0.0/16"], "the metadata services of clouds"


def test_without_a_bucket_nothing_is_asked_of_the_plugin(tmp_path: Path) -> None:
    graph = staging(tmp_path)
    assert graph.of_type(":ObjectStore") + graph.of_type(":ScheduledBackup") == []
    assert "plugins" not in cluster(graph)


def test_with_the_schedule_off_the_log_is_archived_and_no_base_backup_is_taken(tmp_path: Path) -> None:
    graph = staging(tmp_path, backups={"objectStore": STORE, "schedule": "off"}, secrets=KEYS)
    assert graph.of_type(":ScheduledBackup") == []
    assert cluster(graph)["plugins"][0]["isWALArchiver"] is True


def test_what_archives_an_engine_writes_to_a_claim_of_its_own(stored: Graph) -> None:
    claims = {
        engine: [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in stored.named(f"ai-review-engine-data-{engine}-backup").inputs["spec"]["template"]["spec"][
                "volumes"
            ]
            if "persistentVolumeClaim" in volume
        ]
        for engine in ("postgres", "redis")
    }
    made = {one.inputs["metadata"]["name"] for one in stored.of_type(":PersistentVolumeClaim")}
    assert all(len(names) == 1 and set(names) <= made for names in claims.values())
    assert claims["postgres"] != claims["redis"]


def test_the_program_says_once_that_backups_stay_on_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.info", lambda text, *_, **__: said.append(text))
    staging(tmp_path)
    assert len([text for text in said if "backups.objectStore" in text]) == 1
    said.clear()
    staging(tmp_path, backups={"objectStore": STORE}, secrets=KEYS)
    assert said == []


def test_a_server_that_is_made_anew_goes_back_to_a_moment_and_writes_over_no_archive(tmp_path: Path) -> None:
    """ARE-085."""
    recovery = {"generation": 1, "time": "2027-03-31T10:15:00Z"}
    store = STORE | {"generation": 2, "recovery": recovery}
    spec = cluster(staging(tmp_path, backups={"objectStore": store}, secrets=KEYS))
    made = spec["bootstrap"]["recovery"]
    (origin,) = [one for one in spec["externalClusters"] if one["name"] == made["source"]]
    assert made["recoveryTarget"] == {"targetTime": "2027-03-31T10:15:00Z"}
    assert (made["database"], made["owner"]) == ("ai_review_staging", "ai_review")
    assert list(spec["bootstrap"]) == ["recovery"]
    assert spec["plugins"][0]["name"] == origin["plugin"]["name"]
    servers = [one["parameters"]["serverName"] for one in (spec["plugins"][0], origin["plugin"])]
    assert len(set(servers)) == 2


def test_a_recovered_server_reads_what_the_one_before_it_wrote(stored: Graph, tmp_path: Path) -> None:
    store = STORE | {"generation": 2, "recovery": {"generation": 1}}
    spec = cluster(staging(tmp_path, backups={"objectStore": store}, secrets=KEYS))
    before = cluster(stored)["plugins"][0]["parameters"]
    assert spec["externalClusters"][0]["plugin"]["parameters"] == before
    assert "recoveryTarget" not in spec["bootstrap"]["recovery"]
