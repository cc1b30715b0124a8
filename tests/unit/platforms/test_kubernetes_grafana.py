"""Grafana in a restricted pod: it finds what it reads, and may write where it writes."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml

from tests.support.programs import run, tracked
from tests.support.recording import Graph

GRAFANA = "ai-review-engine-observability-grafana"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The tracked staging stack on a machine that has Grafana's image."""
    return run(tracked("staging"), tmp_path_factory.mktemp("grafana"), stack="staging", grafana=True)


def pod(graph: Graph) -> Any:
    return graph.named(GRAFANA).inputs["spec"]["template"]["spec"]


def projected(graph: Graph) -> dict[str, str]:
    """Absolute path → text of every file that the pod sees."""
    objects: dict[str, Any] = {
        f"{one.name}-0000000": one.inputs.get("data") or one.inputs.get("stringData") for one in graph.resources
    }
    (container,) = pod(graph)["containers"]
    folders = {mount["name"]: PurePosixPath(mount["mountPath"]) for mount in container["volumeMounts"]}
    found = {}
    for volume in pod(graph)["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            (reference,) = source.values()
            held: Any = objects[reference.get("name") or reference.get("secretName")]
            for item in reference["items"]:
                assert held is not None
                found[str(folders[volume["name"]] / item["path"])] = held[item["key"]]
    return found


def test_its_source_and_dashboards_lie_where_it_looks_for_them(shown: Graph) -> None:
    files = projected(shown)
    source = yaml.safe_load(files["/etc/grafana/provisioning/datasources/prometheus.yaml"])["datasources"][0]
    provider = yaml.safe_load(files["/etc/grafana/provisioning/dashboards/files.yaml"])["providers"][0]
    assert source["url"] == "http://prometheus:9090/prometheus/"
    boards = {path: text for path, text in files.items() if path.startswith(f"{provider['options']['path']}/")}
    assert boards
    assert {json.loads(text)["title"] for text in boards.values()} == {"AI Review Engine"}


def test_its_password_is_a_file_that_its_variable_names(shown: Graph) -> None:
    (container,) = pod(shown)["containers"]
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    assert env["GF_SECURITY_ADMIN_PASSWORD__FILE"] in projected(shown)
    assert "generated-" not in json.dumps(container)


def test_it_may_write_where_it_keeps_its_database_and_nowhere_else_but_scratch(shown: Graph) -> None:
    (container,) = pod(shown)["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")} == {
        "/var/lib/grafana",
        "/tmp",  # noqa: S108 - inside the container
    }
    volumes = {volume["name"]: volume for volume in pod(shown)["volumes"]}
    (database,) = [mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == "/var/lib/grafana"]
    assert "emptyDir" in volumes[database]
    security = pod(shown)["securityContext"]
    assert security["fsGroup"] == security["runAsGroup"] == security["runAsUser"] == 472


def test_a_slow_first_start_is_not_killed(shown: Graph) -> None:
    (container,) = pod(shown)["containers"]
    startup = container["startupProbe"]
    patience = startup["periodSeconds"] * startup["failureThreshold"]
    assert patience >= 120
    assert shown.named(GRAFANA).inputs["spec"]["progressDeadlineSeconds"] > patience


def test_it_does_not_ask_for_what_no_policy_lets_it_reach(shown: Graph) -> None:
    (container,) = pod(shown)["containers"]
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    assert env["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"
    rules = shown.named(f"{GRAFANA}-egress").inputs["spec"]["egress"]
    assert [rule["to"][0]["podSelector"]["matchLabels"]["ai-platform/service"] for rule in rules] == ["prometheus"]


def test_the_edge_leads_to_it(shown: Graph) -> None:
    rules = shown.named("ai-review-engine-ingress").inputs["spec"]["rules"]
    backends = {match["path"]["value"]: rule["backendRefs"][0] for rule in rules for match in rule["matches"]}
    assert backends["/grafana"] == {"name": "grafana", "port": 3000}
