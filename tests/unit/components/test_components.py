"""Every component on every platform: its children hang together, its outputs are registered, its names are its own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import dev_config, run, tracked
from tests.support.recording import SECRET, Graph

COMPONENTS = {
    "Foundation",
    "System",
    "AppTier",
    "WorkerPool",
    "DataLayer",
    "ObservabilityStack",
    "Ingress",
}
OUTPUTS = {
    "Foundation": {"domain"},
    "System": {"url"},
    "AppTier": {"url", "replicas"},
    "WorkerPool": {"workers"},
    "DataLayer": {"postgres", "redis"},
    "ObservabilityStack": {"metrics"},
    "Ingress": {"url"},
}
INNER_LOOP = [{"name": "ai-review-engine", "profile": "inner-loop", "source": "."}]


@pytest.fixture(scope="module", params=["dev", "staging"])
def graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """Each tracked stack, recorded: one on Docker, one on Kubernetes."""
    return run(tracked(request.param), tmp_path_factory.mktemp(request.param), stack=request.param, grafana=True)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The tracked dev stack, recorded."""
    return run(dev_config(), tmp_path_factory.mktemp("dev"), grafana=True)


def short(type_token: str) -> str:
    return type_token.rsplit(":", 1)[-1]


@pytest.mark.parametrize("component", sorted(COMPONENTS))
def test_every_component_is_used_and_registers_its_outputs(graph: Graph, component: str) -> None:
    found = [one for one in graph.resources if one.type == f"ai-platform:components:{component}"]
    assert found
    for one in found:
        assert set(graph.outputs[one.urn]) == OUTPUTS[component]


def test_no_resource_is_an_orphan(graph: Graph) -> None:
    urns = {one.urn for one in graph.resources}
    for one in graph.resources:
        if one.custom and "providers" not in one.type:
            assert one.parent in urns, f"{one.name} hangs below the stack instead of a component"


def test_no_urn_stands_twice(graph: Graph) -> None:
    assert [urn for urn, count in Counter(one.urn for one in graph.resources).items() if count > 1] == []


def test_children_are_named_after_their_component(graph: Graph) -> None:
    names = {one.urn: one.name for one in graph.resources}
    for one in graph.resources:
        if one.custom and one.parent in names and short(one.type) != "Volume":
            # Its main resource may bear the component's own name.
            assert f"{one.name}-".startswith(f"{names[one.parent]}-"), one.name


def test_every_docker_resource_uses_the_explicit_provider(dev: Graph) -> None:
    for one in dev.resources:
        if one.type.startswith("docker:"):
            assert "::docker::" in one.provider, one.name


def test_every_kubernetes_object_uses_the_explicit_provider_and_says_whose_it_is(tmp_path: Path) -> None:
    staging = run(tracked("staging"), tmp_path, stack="staging")
    objects = [one for one in staging.resources if one.type.startswith("kubernetes:")]
    assert objects
    for one in objects:
        assert "::kubernetes::" in one.provider, one.name
        metadata = one.inputs["metadata"]
        labels = {f"ai-platform/{key}" for key in ("stack", "system", "service", "role")}
        assert labels | {"app.kubernetes.io/part-of"} <= set(metadata["labels"]), one.name
        assert metadata["labels"]["ai-platform/stack"] == "staging"
        if not one.type.endswith(":Namespace"):
            assert metadata["namespace"] in {"ai-platform-staging", "ai-review-engine-staging", "traefik"}, one.name


def test_the_roll_out_of_every_container_is_explicit(dev: Graph) -> None:
    first_out = {"postgres", "redis", "beat", "edge", "prometheus", "grafana", "postgres-backup", "redis-backup"} | {
        f"{each}-exporter" for each in ("celery", "node", "postgres", "redis")
    }
    for one in dev.of_type(":Container"):
        labels = {label["label"]: label["value"] for label in one.inputs["labels"]}
        service, role = labels["ai-platform.service"], labels["ai-platform.role"]
        assert one.delete_before_replace == (service in first_out or role == "job"), one.name


def test_what_has_a_volume_of_its_own_never_runs_twice(dev: Graph) -> None:
    shared = {"ai-review-engine-logs"}
    for one in dev.of_type(":Container"):
        volumes = {mount["source"].removesuffix("-0000000") for mount in one.inputs["mounts"]} - shared
        assert not volumes or one.delete_before_replace, one.name


def test_no_secret_is_registered_in_plain_text(graph: Graph) -> None:
    def plain(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for child in value.values() for text in plain(child)]
        if isinstance(value, list):
            return [text for child in value for text in plain(child)]
        return [value] if isinstance(value, str) and not value.startswith(SECRET) else []

    for one in graph.resources:
        for text in plain(one.inputs):
            assert "generated-" not in text, f"{one.name} holds a generated password in plain text"
            assert "PRIVATE KEY" not in text, f"{one.name} holds a private key in plain text"
    assert not any("generated-" in str(value) for value in graph.exports.values())


def test_a_failed_job_stops_what_comes_after_it_with_its_last_lines(tmp_path: Path) -> None:
    lines = "\n".join(f"line {number}" for number in range(30))
    broken = {"ai-review-engine-schema": {"exitCode": 3, "containerLogs": lines}}
    with pytest.raises(Exception, match="ai-review-engine-schema ended with exit code 3") as failure:
        run(dev_config(), tmp_path, override=broken)
    assert "line 29" in str(failure.value)
    assert "line 5\n" not in str(failure.value)


def test_the_inner_loop_has_one_replica_each_mounts_the_source_and_no_edge(tmp_path: Path) -> None:
    graph = run(dev_config() | {"systems": INNER_LOOP}, tmp_path)
    names = {one.name for one in graph.of_type(":Container")}
    assert not any(name.startswith("foundation-edge") for name in names)
    for service in ("api", "web", "dashboard", "jobs-worker"):
        assert f"ai-review-engine-{service}-0" in names
        assert f"ai-review-engine-{service}-1" not in names
    api = graph.named("ai-review-engine-api-0").inputs
    assert {"type": "bind", "target": "/srv/ai-review-engine/apps", "source": f"{tmp_path}/apps", "readOnly": True} in (
        api["mounts"]
    )
    assert "--reload" in api["command"]
    assert api["ports"] == [{"ip": "127.0.0.1", "internal": 8000, "external": 8000}]


def test_a_service_s_own_image_takes_one_line(tmp_path: Path) -> None:
    systems = [{"name": "ai-review-engine", "services": {"api": {"image": "registry.example.org/team/api:1.4.2"}}}]
    graph = run(dev_config() | {"systems": systems}, tmp_path)
    (image,) = graph.of_type(":RemoteImage")
    assert image.inputs["name"] == "registry.example.org/team/api:1.4.2"
    expected = "sha256:of-registry.example.org/team/api:1.4.2"
    assert {graph.named(f"ai-review-engine-api-{index}").inputs["image"] for index in range(2)} == {expected}
    assert graph.named("ai-review-engine-web-0").inputs["image"] == "sha256:app"


def test_credentials_of_the_data_engines_reach_api_and_workers_only_and_as_secrets(tmp_path: Path) -> None:
    graph = run(dev_config(), tmp_path)
    for service in ("api", "jobs-worker", "jobs-beat"):
        envs = graph.named(f"ai-review-engine-{service}-0").inputs["envs"]
        assert any(str(env).startswith(f"{SECRET}DATABASE_URL=postgresql://ai_review:") for env in envs), service
    for service in ("web", "dashboard"):
        envs = graph.named(f"ai-review-engine-{service}-0").inputs["envs"]
        assert not any("DATABASE_URL" in str(env) or "CELERY" in str(env) for env in envs), service


def test_without_a_volume_for_backups_nothing_takes_any(tmp_path: Path) -> None:
    graph = run(dev_config() | {"backups": {"volume": False}}, tmp_path)
    assert [one.name for one in graph.resources if "backup" in one.name] == []
    prometheus = graph.named("ai-review-engine-observability-prometheus-0").inputs["uploads"]
    (scraped,) = [one["content"] for one in prometheus if one["file"].endswith("prometheus.yml")]
    assert "redis-exporter" in scraped
    assert "backup" not in scraped


def test_what_takes_backups_holds_one_password_and_stands_in_one_network_of_an_engine(tmp_path: Path) -> None:
    graph = run(dev_config() | {"backups": {"schedule": "30 1 * * *", "keepDays": 3}}, tmp_path)
    for engine in ("postgres", "redis"):
        inputs = graph.named(f"ai-review-engine-data-{engine}-backup-0").inputs
        password = f"{SECRET}generated-ai-review-engine-data-{engine}-password"
        assert [(one["file"], one["content"]) for one in inputs["uploads"]] == [
            (f"/run/secrets/{engine}-password", password)
        ]
        networks = [one["name"].removesuffix("-0000000") for one in inputs["networksAdvanced"]]
        assert networks == [f"ai-review-engine-data-{engine}{part}-net" for part in ("-backup", "")]
        assert {"BACKUP_SCHEDULE=30 1 * * *", "BACKUP_KEEP_DAYS=3"} <= set(inputs["envs"])
