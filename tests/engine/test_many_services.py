"""A system with 300 services in the real engine: all of it is planned, and a pool that is too small says so."""

from __future__ import annotations

import json
from collections import Counter
from ipaddress import IPv4Network
from typing import Any, get_args

import pytest
import yaml

from config.model import Engine
from platforms.docker.subnets import PREFIX
from tests.engine.project import SOURCES, Project

MANY = 300
STACK = "many"
POOL = IPv4Network("10.0.0.0/16")
PROGRAM = """
import pulumi
from components.app_tier import AppTier, AppTierArgs
from components.foundation import Foundation, FoundationArgs
from components.ingress import Ingress, IngressArgs
from components.system import System, SystemArgs
from config import ServiceFacts, SystemFacts, load
from platforms.registry import make_platform
from platforms.specs import Resources, Route
from platforms.whole import whole

FACTS = ServiceFacts(min_replicas=1, max_replicas=1, default_replicas=1, cpu=0.5, memory=128 * 1024**2)
CATALOGUE = {"synthetic": SystemFacts(services={f"service-{n:03}": FACTS for n in range(300)})}


def main():
    stack = load(catalogue=CATALOGUE)
    foundation = Foundation("foundation", FoundationArgs(domain=stack.domain), make_platform(stack, pulumi.get_stack()))
    (entry,) = stack.systems
    system = System(entry.name, SystemArgs(host=entry.host), foundation)
    tiers = {}
    for name, service in entry.services.items():
        # Each calls the one before: a chain of 300.
        uses = [tiers[max(tiers)].endpoint] if tiers else []
        tiers[name] = AppTier(
            f"{entry.name}-{name}",
            AppTierArgs(
                service=name, image=system.scope.image("app"), command=("serve",), working_dir="/srv", port=8000,
                health_path="/health", resources=Resources(cpu=service.cpu, memory=service.memory),
                replicas=service.replicas, env=service.env, uses=uses,
            ),
            system.scope,
            pulumi.ResourceOptions(parent=system),
        )
    routes = [Route(path=f"/{name}/", endpoint=tier.endpoint) for name, tier in tiers.items()]
    Ingress(f"{entry.name}-ingress", IngressArgs(host=entry.host, routes=routes), system.scope)
    foundation.open()


with whole():
    main()
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The program of 300 services, with a folder and a state of its own, and placeholders for the images."""
    folder = tmp_path_factory.mktemp("many")
    made = Project.make(folder, STACK, [name for name in SOURCES if name != "__main__.py"])
    (folder / "__main__.py").write_text(PROGRAM, encoding="utf-8")
    placeholder = {"image": f"sha256:{'0' * 64}", "reference": "placeholder", "source": "built"}
    (folder / ".toolchain" / "images.json").write_text(
        json.dumps(dict.fromkeys(get_args(Engine), placeholder)), encoding="utf-8"
    )
    return made


def stack_file(pool: IPv4Network) -> str:
    """A stack file in which each of the services has an entry."""
    services = {f"service-{number:03}": {"env": {"NUMBER": str(number)}} for number in range(MANY)}
    config = {
        "environment": "development",
        "platform": {"kind": "docker", "networkPool": str(pool)},
        "systems": [{"name": "synthetic", "services": services}],
    }
    return yaml.safe_dump({"config": {f"ai-platform:{key}": value for key, value in config.items()}})


def inputs(planned: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """By logical name, what resources of a type are planned with."""
    found = [step["newState"] for step in planned if step["newState"]["type"].endswith(f":{kind}")]
    return {one["urn"].rpartition("::")[2]: one["inputs"] for one in found}


def test_everything_is_planned_with_names_and_subnets_of_its_own(many: Project) -> None:
    many.configure(stack_file(POOL))
    preview = many.pulumi("preview", "--json", "--stack", STACK)
    assert preview.returncode == 0, preview.stdout[-3000:] + preview.stderr[-3000:]
    planned = json.loads(preview.stdout)["steps"]
    assert max(Counter(step["urn"] for step in planned).values()) == 1
    containers, networks = inputs(planned, "Container"), inputs(planned, "Network")
    assert {f"synthetic-service-{number:03}-0" for number in range(MANY)} <= containers.keys()
    subnets = [IPv4Network(one["ipamConfigs"][0]["subnet"]) for one in networks.values()]
    assert len(subnets) == len(set(subnets)) >= MANY
    assert all(subnet.subnet_of(POOL) and subnet.prefixlen == PREFIX for subnet in subnets)
    assert len({one["name"] for one in containers.values()}) == len(containers)
    assert len(containers["foundation-edge-0"]["networksAdvanced"]) > MANY


def test_a_pool_without_room_is_named_with_what_would_do(many: Project) -> None:
    many.configure(stack_file(IPv4Network("10.0.0.0/20")))
    refused = many.pulumi("up", "--yes", "--skip-preview", "--stack", STACK)
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert "platform.networkPool: 10.0.0.0/20 holds 64 networks, and the stack needs more." in said
    assert "/19 holds 128, for example. Nothing was changed." in said
    assert "Traceback" not in said
    assert many.resources() in ([], ["pulumi:pulumi:Stack"])
