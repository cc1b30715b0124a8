"""Users and listening addresses of containers, by the whole dev stack and one by one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest

from platforms.docker.isolation import EVERYWHERE, bind_address, own_user
from platforms.specs import MIB, PublishedPort, Resources, ServiceSpec
from tests.support.programs import dev_config, run
from tests.support.recording import Graph

SERVICE = ServiceSpec(
    service="web",
    role="app",
    image="sha256:0",
    resources=Resources(cpu=1.0, memory=64 * MIB),
    rollout="exclusive",
    port=5000,
)
INSISTING = {
    "101:101": {"edge", "edge-install"},
    "999:999": {"postgres", "redis"},
    "10001:10001": {"postgres-backup", "redis-backup"},
}
"""Images that run as one user only, or whose files must outlive the name of a container, and what shares them."""


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The tracked dev stack, recorded."""
    return run(dev_config(), tmp_path_factory.mktemp("dev"), grafana=True)


def test_no_two_containers_share_a_user_unless_their_images_insist(dev: Graph) -> None:
    users = defaultdict(list)
    for one in dev.of_type(":Container"):
        labels = {label["label"]: label["value"] for label in one.inputs["labels"]}
        users[one.inputs["user"]].append(labels["ai-platform.service"])
    assert {user: set(services) for user, services in users.items() if len(services) > 1} == INSISTING


def test_a_user_is_never_one_of_the_system_and_always_in_the_shared_group() -> None:
    users = [own_user("dev", system, f"web-{n}") for n in range(50) for system in ("one", "two")]
    assert len(set(users)) == 100
    for user in users:
        uid, gid = user.split(":")
        assert (1_000_000 <= int(uid) < 2**31 - 1, gid) == (True, "10001")


def test_what_never_runs_twice_listens_for_its_own_consumers_only() -> None:
    assert bind_address(SERVICE, "web-0.system") == "web-0.system"


def test_what_overlaps_or_is_published_listens_everywhere_in_its_container() -> None:
    assert bind_address(replace(SERVICE, rollout="overlap"), "web-0.system") == EVERYWHERE
    published = replace(SERVICE, publish=[PublishedPort(internal=5000, external=5000)])
    assert bind_address(published, "web-0.system") == EVERYWHERE


@pytest.mark.parametrize(
    "service", ["prometheus", "grafana", *(f"{one}-exporter" for one in ("celery", "node", "redis"))]
)
def test_what_only_watches_is_asked_where_it_listens(dev: Graph, service: str) -> None:
    for one in dev.of_type(":Container"):
        if {"label": "ai-platform.service", "value": service} in one.inputs["labels"]:
            address = f"{service}-0.{'foundation' if service == 'node-exporter' else 'ai-review-engine'}"
            assert any(address in part for part in one.inputs["command"])
            assert f"http://{address}:" in one.inputs["healthcheck"]["tests"][-1]
            return
    raise AssertionError(f"no container of {service}")
