"""Logs of the system's pods: shipped from the nodes, kept by Elasticsearch, shown by Kibana; nothing of it unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import ConfigError
from tests.support.programs import run, tracked
from tests.support.recording import SECRET, Graph

LOGS = "ai-review-engine-observability-logs"
ENGINES = {
    "elasticsearch": "registry.example/elasticsearch:8.19.4",
    "kibana": "registry.example/kibana:8.19.4",
    "fluent-bit": "registry.example/fluent-bit:4.0.8",
}


def staging(folder: Path, **changes: Any) -> Graph:
    """The tracked staging stack, changed by top-level keys."""
    return run(tracked("staging") | changes, folder, stack="staging")


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return staging(
        tmp_path_factory.mktemp("logs"),
        observability={"logs": {"store": "elasticsearch", "retention": "45d"}},
        images={"inventory": "images.json", "engines": ENGINES},
    )


def pod(graph: Graph, resource: str) -> Any:
    return graph.named(resource).inputs["spec"]["template"]["spec"]


def pipeline(graph: Graph) -> Any:
    (text,) = graph.named(f"{LOGS}-shipper-config").inputs["data"].values()
    return yaml.safe_load(text)


def test_elasticsearch_and_kibana_run_the_given_images_in_their_versions(collected: Graph) -> None:
    """ARE-066, ARE-067."""
    for resource, engine in ((f"{LOGS}-store", "elasticsearch"), (f"{LOGS}-view", "kibana")):
        spec = collected.named(resource).inputs["spec"]
        assert (spec["image"], spec["version"]) == (ENGINES[engine], "8.19.4")


def test_logs_are_deleted_after_the_days_of_the_stack_file(collected: Graph) -> None:
    """ARE-068."""
    files = collected.named(f"{LOGS}-lifecycle-config").inputs["data"]
    policy, template = (json.loads(files[f"etc_logs_{name}.json"]) for name in ("policy", "template"))
    assert policy["policy"]["phases"]["delete"]["min_age"] == "45d"
    stream = template["template"]["settings"]["index.lifecycle.name"]
    assert template["index_patterns"] == [f"{stream}*"]
    (output,) = pipeline(collected)["pipeline"]["outputs"]
    assert output["index"] == stream


def test_no_line_is_shipped_before_its_retention_is_set(collected: Graph) -> None:
    assert collected.named(f"{LOGS}-lifecycle").urn in collected.named(f"{LOGS}-shipper").depends_on


def test_every_tier_of_the_system_is_a_source(collected: Graph) -> None:
    """ARE-065: whatever runs in the system's namespace."""
    (source,) = pipeline(collected)["pipeline"]["inputs"]
    assert source["path"] == "/var/log/pods/ai-review-engine-staging_*/*/*.log"


def test_the_shipper_alone_is_privileged_and_sees_one_folder_read_only(collected: Graph) -> None:
    level = "pod-security.kubernetes.io/enforce"
    namespaces = {
        one.inputs["metadata"]["name"]: one.inputs["metadata"]["labels"][level]
        for one in collected.of_type(":Namespace")
    }
    assert namespaces == {
        "ai-platform-staging": "restricted",
        "ai-review-engine-staging": "restricted",
        "ai-review-engine-staging-logs": "privileged",
    }
    shipper = pod(collected, f"{LOGS}-shipper")
    folders = [volume["hostPath"]["path"] for volume in shipper["volumes"] if "hostPath" in volume]
    (container,) = shipper["containers"]
    mounts = [mount for mount in container["volumeMounts"] if mount["mountPath"] in folders]
    assert folders == ["/var/log/pods"] and [mount["readOnly"] for mount in mounts] == [True]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_writers_password_stands_in_secrets_only(collected: Graph) -> None:
    password = f"generated-{LOGS}-password"
    holders = {one.type.rsplit(":", 1)[-1] for one in collected.resources if password in str(one.inputs)}
    assert holders == {"Secret"}
    assert SECRET in str(collected.named(f"{LOGS}-writer").inputs["stringData"])


def test_kibana_is_published_and_elasticsearch_is_not(collected: Graph) -> None:
    rules = collected.named("ai-review-engine-ingress").inputs["spec"]["rules"]
    backends = {(match["path"]["value"], rule["backendRefs"][0]["name"]) for rule in rules for match in rule["matches"]}
    assert ("/kibana", "logs-kb-http") in backends
    assert [name for _, name in backends if "-es-" in name] == []


def test_without_the_key_nothing_is_collected(tmp_path: Path) -> None:
    graph = staging(tmp_path)
    assert [one.name for one in graph.resources if "-logs" in one.name] == []


def test_images_that_this_machine_has_not_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"images\.engines\.elasticsearch"):
        staging(tmp_path, observability={"logs": {"store": "elasticsearch"}})
