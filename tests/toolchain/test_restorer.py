"""The pod that hands a dump to Redis: one more of the servers, as the program plans them, that no client is led to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.programs import run, tracked
from tests.support.recording import Graph
from toolchain.backup.on_kubernetes_redis import RESTORE, restorer

REDIS = "ai-review-engine-data-redis"


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The plan of staging."""
    return run(tracked("staging"), tmp_path_factory.mktemp("staging"), stack="staging")


@pytest.fixture
def servers(graph: Graph) -> dict[str, Any]:
    """The StatefulSet, as an API server has it."""
    inputs = graph.named(REDIS).inputs
    metadata = inputs["metadata"] | {"uid": "5f0c"}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": inputs["spec"]}


def test_it_is_fenced_like_the_servers_and_has_their_image_memory_and_secrets(servers: dict[str, Any]) -> None:
    of, pod = servers["spec"]["template"]["spec"], restorer(servers)["spec"]
    for key in ("securityContext", "serviceAccountName", "automountServiceAccountToken", "enableServiceLinks"):
        assert pod[key] == of[key]
    (its,), (theirs,) = pod["containers"], of["containers"]
    for key in ("image", "resources", "securityContext", "volumeMounts", "env"):
        assert its[key] == theirs[key]
    assert not its.keys() & {"livenessProbe", "readinessProbe", "startupProbe", "lifecycle"}
    # What is asked of it leaves the plan's own template alone.
    assert "livenessProbe" in theirs
    assert theirs["args"] != its["args"]


def test_its_data_lies_in_a_volume_of_its_own_that_goes_with_it(servers: dict[str, Any]) -> None:
    pod = restorer(servers)
    (data,) = [one for one in pod["spec"]["volumes"] if one["name"] == "data"]
    (claim,) = servers["spec"]["volumeClaimTemplates"]
    assert data["ephemeral"]["volumeClaimTemplate"]["spec"] == claim["spec"]
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["spec"]["activeDeadlineSeconds"] > 0
    assert pod["metadata"]["ownerReferences"] == [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "redis", "uid": "5f0c"}
    ]


def test_network_policies_let_the_primary_reach_it_and_no_service_leads_to_it(
    graph: Graph, servers: dict[str, Any]
) -> None:
    pod = restorer(servers)
    labels = pod["metadata"]["labels"]
    assert pod["metadata"]["name"] == RESTORE
    for policy in (f"{REDIS}-egress", f"{REDIS}-to-redis"):
        chosen = graph.named(policy).inputs["spec"]["podSelector"]["matchLabels"]
        assert chosen.items() <= labels.items()
    for service in ("redis", "redis-replica"):
        selector = graph.named(f"{REDIS}-service-{service}").inputs["spec"]["selector"]
        assert not selector.items() <= labels.items()
