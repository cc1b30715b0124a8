"""A stack on a Docker Engine as the tests see it: its containers, networks and volumes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import docker
from docker.models.containers import Container

from tests.support.deployment import ROOT, Answer, Deployment, Ran, checkout, environment, eventually

__all__ = ["ROOT", "Answer", "Ran", "Stack", "checkout", "environment", "eventually"]

DATABASE = "ai_review_dev"
SQL = ("psql", "-qAt", "-h", "/var/run/postgresql", "-U", "ai_review", "-d", DATABASE, "-c")


@dataclass(kw_only=True)
class Stack(Deployment):
    """One stack of a checkout."""

    engine: docker.DockerClient
    started: dict[str, list[str]] = field(default_factory=dict)
    """When the first deployment's containers started, by service."""

    def query(self, sql: str) -> str:
        """The answer of the database to a query, without the API and its cache."""
        result: Any = self.containers("postgres")[0].exec_run([*SQL, sql], user="0")
        text: str = result.output.decode().strip()
        assert result.exit_code == 0, text
        return text

    def note_starts(self) -> None:
        """Remember when each container started."""
        for one in self.containers(everything=True):
            self.started.setdefault(one.labels["ai-platform.service"], []).append(str(one.attrs["State"]["StartedAt"]))

    def containers(self, service: str | None = None, *, everything: bool = False) -> list[Container]:
        """The stack's containers, ordered by name."""
        labels = [f"ai-platform.stack={self.name}"] + ([f"ai-platform.service={service}"] if service else [])
        found = self.engine.containers.list(all=everything, filters={"label": labels})
        return sorted(found, key=lambda one: str(one.name))

    def log(self, service: str) -> str:
        """The logs of a service's containers, one behind the other."""
        return "".join(one.logs().decode(errors="replace") for one in self.containers(service))

    def leftovers(self) -> dict[str, list[str]]:
        """Names of what carries the stack's label on the engine."""
        filters: Any = {"label": f"ai-platform.stack={self.name}"}
        return {
            "containers": [str(one.name) for one in self.engine.containers.list(all=True, filters=filters)],
            "networks": [str(one.name) for one in self.engine.networks.list(filters=filters)],
            "volumes": [str(one.name) for one in self.engine.volumes.list(filters=filters)],
        }

    def sweep(self) -> None:
        """Remove what a failed test may have left."""
        filters: Any = {"label": f"ai-platform.stack={self.name}"}
        for container in self.engine.containers.list(all=True, filters=filters):
            container.remove(force=True, v=True)
        for network in self.engine.networks.list(filters=filters):
            network.remove()
        for volume in self.engine.volumes.list(filters=filters):
            volume.remove(force=True)
