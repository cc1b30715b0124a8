"""A shop in small: edge, tiers, a database with its volume, and a job. See README.md for what `shop:phase` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_docker as docker
import pulumi_random as random

IMAGE = "example/busybox:1"


def labels(service: str, role: str, system: str) -> list[dict[str, str]]:
    """The labels that the program puts on everything."""
    pairs = {"stack": pulumi.get_stack(), "system": system, "service": service, "role": role}
    return [{"label": f"ai-platform.{key}", "value": value} for key, value in pairs.items()]


class Shop(pulumi.ComponentResource):
    """The whole of it."""

    def __init__(self, phase: int) -> None:
        super().__init__("ai-platform:components:System", "shop")
        password = random.RandomPassword("shop-db-password", length=24, special=False, opts=self.child())
        edge_net = self.network("edge-net", "edge", "proxy", 0, system="foundation", internal=False)
        api_net = self.network("shop-api-net", "api", "app", 1)
        db_net = self.network("shop-postgres-net", "postgres", "data", 2)
        volume = docker.Volume("shop-postgresql", labels=labels("postgresql", "data", "shop"), opts=self.child())  # type: ignore[arg-type]
        url = pulumi.Output.concat("DATABASE_URL=postgresql://shop:", password.result, "@postgres/shop")
        self.run(
            "shop-postgres-0",
            "postgres",
            "data",
            [db_net],
            mounts=[{"type": "volume", "target": "/data", "source": volume.name}],
            uploads=[{"file": "/run/secrets/db", "content": password.result, "permissions": "0444"}],
        )
        job = self.run("shop-schema", "schema", "job", [db_net], must_run=False, attach=True, restart="no")
        for index in range(2 if phase == 1 else 3):
            more: dict[str, Any] = {"cpus": "0.5" if phase == 1 else "0.75", "envs": ["LOG_LEVEL=info", url]}
            if index == 2:
                more |= {"restart": "no", "healthcheck": None}
            self.run(f"shop-api-{index}", "api", "app", [api_net, db_net], after=[job], **more)
        if phase == 1:
            self.run("shop-old-0", "old", "app", [api_net])
        self.run(
            "edge-0",
            "edge",
            "proxy",
            [api_net, edge_net],
            system="foundation",
            memory=64 if phase == 1 else 96,
            ports=[{"internal": 8443, "external": 28917, "ip": "127.0.0.1"}],
        )
        self.register_outputs({})

    def child(self, **more: Any) -> pulumi.ResourceOptions:
        """Options of a part."""
        return pulumi.ResourceOptions(parent=self, **more)

    def network(
        self, name: str, service: str, role: str, slot: int, *, system: str = "shop", internal: bool = True
    ) -> docker.Network:
        """The network of one service."""
        return docker.Network(
            name,
            internal=internal,
            labels=labels(service, role, system),  # type: ignore[arg-type]
            ipam_configs=[{"subnet": f"10.231.77.{slot * 64}/26"}],
            opts=self.child(),
        )

    def run(
        self,
        name: str,
        service: str,
        role: str,
        networks: Sequence[docker.Network],
        *,
        after: Sequence[pulumi.Resource] = (),
        system: str = "shop",
        **more: Any,
    ) -> docker.Container:
        """One container that keeps the policies' rules, unless `more` says otherwise."""
        job = role == "job"
        settings: dict[str, Any] = {
            "command": ["/bin/busybox", "true"] if job else ["/bin/busybox", "sleep", "3600"],
            "memory": 64,
            "cpus": "0.25",
            "restart": "unless-stopped",
            "user": "1000:1000",
            "read_only": "uploads" not in more,
            "log_driver": "json-file",
            "log_opts": {"max-size": "1m", "max-file": "2"},
            "security_opts": ["no-new-privileges:true"],
            "capabilities": {"drops": ["ALL"]},
            "ulimits": [{"name": "nproc", "soft": 64, "hard": 64}],
            "healthcheck": None if job else {"tests": ["CMD", "/bin/busybox", "true"], "interval": "1s"},
        } | more
        return docker.Container(
            name,
            image=IMAGE,
            labels=labels(service, role, system),  # type: ignore[arg-type]
            network_mode="bridge",
            networks_advanced=[{"name": network.name, "aliases": [service]} for network in networks],
            opts=self.child(depends_on=list(after), delete_before_replace=role in ("data", "proxy")),
            **(settings | {"memory_swap": settings["memory"]}),
        )


if __name__ == "__main__":
    wanted = pulumi.Config("shop").require_int("phase")
    Shop(wanted)
    if wanted == 3:
        raise ValueError("cannot reach postgresql://shop:hunter2hunter2@postgres/shop; ask https://example.org/help")
