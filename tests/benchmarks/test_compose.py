"""The file for Docker Compose, made from a recorded inspection: an API replica, a job and PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import compose

RECORDED = Path(__file__).with_name("inspection.json")
API, JOB, POSTGRES = "ai-review-engine-api-0", "ai-review-engine-schema", "ai-review-engine-data-postgres-0"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"hunter2"'}


@pytest.fixture
def deployed() -> compose.Deployed:
    """What the engine and the state told."""
    return compose.Deployed(
        **json.loads(RECORDED.read_text(encoding="utf-8")),
        before={API: [JOB, POSTGRES], JOB: [POSTGRES], POSTGRES: []},
        files={API: {}, JOB: {}, POSTGRES: {"/run/secrets/b": "hunter2", "/etc/a.conf": "x = $y\n"}},
    )


@pytest.fixture
def services(deployed: compose.Deployed) -> dict[str, Any]:
    """The services as compose reads them."""
    loaded: dict[str, Any] = yaml.safe_load(yaml.safe_dump(compose.document(deployed, "./files")))["services"]
    return loaded


def test_order_and_conditions_are_those_of_the_stack(services: dict[str, Any]) -> None:
    assert services[POSTGRES]["depends_on"] == {}
    assert services[JOB]["depends_on"] == {POSTGRES: {"condition": "service_healthy"}}
    assert services[API]["depends_on"] == {
        JOB: {"condition": "service_completed_successfully"},
        POSTGRES: {"condition": "service_healthy"},
    }


def test_limits_and_restrictions_are_kept(services: dict[str, Any], deployed: compose.Deployed) -> None:
    seen = {compose.label(one): one["HostConfig"] for one in deployed.containers}
    for name, one in services.items():
        assert one["mem_limit"] == seen[name]["Memory"] > 0
        assert one["cpus"] * 1e9 == seen[name]["NanoCpus"] > 0
        assert one["cap_drop"] == ["ALL"]
        assert one["security_opt"] == ["no-new-privileges:true"]
        assert one["init"] is True
        assert one["logging"]["driver"] == "json-file"
    assert services[JOB]["restart"] == "no"
    assert services[API]["restart"] == "unless-stopped"


def test_only_what_the_image_does_not_say_by_itself_is_in_the_file(services: dict[str, Any]) -> None:
    assert not any(line.startswith("PATH=") for line in services[API]["environment"])
    assert any(line.startswith("DATABASE_URL=postgresql://") for line in services[API]["environment"])
    assert services[JOB]["command"] == ["python", "-m", "schema.migrate"]
    assert "command" not in services[POSTGRES]


def test_health_checks_keep_their_times(services: dict[str, Any]) -> None:
    assert services[POSTGRES]["healthcheck"]["interval"] == "5s"
    assert services[POSTGRES]["healthcheck"]["retries"] == 3
    assert "healthcheck" not in services[JOB]


def test_names_on_the_networks_are_kept_but_for_the_container_s_own_id(services: dict[str, Any]) -> None:
    networks = services[API]["networks"]
    assert set(networks["ai-review-engine-api-net"]["aliases"]) >= {"api", "api-0", "api.ai-review-engine"}
    assert len(networks) == 3


def test_a_container_without_a_network_gets_none(deployed: compose.Deployed) -> None:
    [job] = [one for one in deployed.containers if compose.label(one) == JOB]
    alone = {**job, "HostConfig": {**job["HostConfig"], "NetworkMode": "none"}}
    made = compose.service(
        {**alone, "NetworkSettings": {"Networks": {"none": {}}}}, deployed.images[job["Image"]], {}, {}
    )
    assert made["network_mode"] == "none"
    assert "networks" not in made


def test_networks_keep_their_subnets(deployed: compose.Deployed) -> None:
    networks = compose.document(deployed, "./files")["networks"]
    assert {one["internal"] for one in networks.values()} == {True}
    for one in networks.values():
        assert set(one["ipam"]["config"][0]) == {"subnet", "gateway"}


def test_uploaded_files_are_mounted_read_only(
    services: dict[str, Any], deployed: compose.Deployed, tmp_path: Path
) -> None:
    mounts = [mount for mount in services[POSTGRES]["volumes"] if mount.startswith("./files/")]
    assert mounts == [
        f"./files/{POSTGRES}-0:/etc/a.conf:ro",
        f"./files/{POSTGRES}-1:/run/secrets/b:ro",
    ]
    compose.write_files(deployed, tmp_path / "files")
    assert (tmp_path / "files" / f"{POSTGRES}-1").read_text() == "hunter2"
    assert (tmp_path / "files").stat().st_mode & 0o777 == 0o700


def test_compose_does_not_replace_variables_of_the_shell() -> None:
    assert compose.escaped({"test": ["$(cat x)", 3]}) == {"test": ["$$(cat x)", 3]}


def test_secrets_of_an_exported_state_are_unwrapped() -> None:
    assert compose.plain(SECRET) == "hunter2"
    assert compose.plain("plain") == "plain"
