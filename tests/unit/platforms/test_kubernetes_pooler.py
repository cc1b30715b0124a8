"""PgBouncer before PostgreSQL: who goes through it, and who past it; only where the stack file asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config import ConfigError
from tests.support.programs import run, tracked
from tests.support.recording import Graph

POSTGRES = "ai-review-engine-data-postgres"
POOLED = {
    "data": {"postgres": {"pooler": True}},
    "images": {"inventory": "images.json", "engines": {"pgbouncer": "registry.example/pgbouncer:1.24.1"}},
}


def staging(folder: Path, **changes: Any) -> Graph:
    """The tracked staging stack, changed by top-level keys."""
    return run(tracked("staging") | changes, folder, stack="staging")


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return staging(tmp_path_factory.mktemp("pooled"), **POOLED)


def address(graph: Graph, resource: str) -> str:
    """The database that a workload is given."""
    (container,) = graph.named(resource).inputs["spec"]["template"]["spec"]["containers"]
    (url,) = [variable["value"] for variable in container["env"] if variable["name"] == "DATABASE_URL"]
    return str(url).partition("@")[2]


def reached(graph: Graph, resource: str) -> set[str]:
    """Services that a workload's own policy lets it out to."""
    rules = graph.named(f"{resource}-egress").inputs["spec"]["egress"]
    return {rule["to"][0]["podSelector"]["matchLabels"]["ai-platform/service"] for rule in rules}


@pytest.mark.parametrize("workload", ["ai-review-engine-api", "ai-review-engine-jobs-worker"])
def test_what_serves_goes_through_the_pool(pooled: Graph, workload: str) -> None:
    assert address(pooled, workload) == "postgres-pooler:5432/ai_review_staging"
    assert reached(pooled, workload) == {"postgres-pooler", "redis"}


def test_the_migration_goes_past_the_pool(pooled: Graph) -> None:
    """Its lock is the session's, which a pool would hand to somebody else."""
    assert address(pooled, "ai-review-engine-schema") == "postgres-rw:5432/ai_review_staging"
    assert reached(pooled, "ai-review-engine-schema") == {"postgres", "redis"}


def test_the_pool_is_two_restricted_instances_before_the_primary(pooled: Graph) -> None:
    made = pooled.named(f"{POSTGRES}-pooler").inputs["spec"]
    assert (made["type"], made["instances"], made["pgbouncer"]["poolMode"]) == ("rw", 2, "transaction")
    (container,) = made["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/pgbouncer:1.24.1"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    labels = made["template"]["metadata"]["labels"]
    budget = pooled.named(f"{POSTGRES}-pooler-budget").inputs["spec"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()


def test_all_instances_together_leave_the_server_connections_for_others(pooled: Graph) -> None:
    made = pooled.named(f"{POSTGRES}-pooler").inputs["spec"]
    parameters = made["pgbouncer"]["parameters"]
    lent = made["instances"] * (int(parameters["default_pool_size"]) + int(parameters["reserve_pool_size"]))
    server = pooled.named(POSTGRES).inputs["spec"]["postgresql"]["parameters"]["max_connections"]
    # During a roll-out there is one instance more.
    assert lent * (made["instances"] + 1) / made["instances"] <= int(server) * 0.8


def test_without_the_key_everybody_talks_to_the_primary(tmp_path: Path) -> None:
    graph = staging(tmp_path)
    assert graph.of_type(":Pooler") == []
    assert address(graph, "ai-review-engine-api") == "postgres-rw:5432/ai_review_staging"


def test_a_pool_whose_image_this_machine_has_not_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"images\.engines\.pgbouncer: .* is not among the images of this machine"):
        staging(tmp_path, data={"postgres": {"pooler": True}})
