"""The name that everything carries which the benchmarks deploy, and its removal."""

from __future__ import annotations

import os
from typing import Any

from docker import DockerClient

SLOT = int(os.environ.get("BENCHMARK_SLOT", "0"))
"""Other numbers, from 1 to 9, let several runs share an engine: names, ports and networks differ by it."""
STACK = f"benchmark{SLOT or ''}"
LABELS = (f"ai-platform.stack={STACK}", f"com.docker.compose.project={STACK}", f"ai-platform.benchmark={STACK}")


def sweep(client: DockerClient) -> None:
    """Remove what an interrupted benchmark has left on the engine."""
    # Each kind under all labels before the next: a container of one run may stand in a network of another.
    queries: list[dict[str, Any]] = [{"filters": {"label": label}} for label in LABELS]
    for query in queries:
        for container in client.containers.list(all=True, **query):
            container.remove(force=True, v=True)
    for query in queries:
        for network in client.networks.list(**query):
            network.remove()
        for volume in client.volumes.list(**query):
            volume.remove(force=True)
