"""Records what the program registers for a stack file of this repository, on a machine that has every image."""

from __future__ import annotations

import tempfile
from contextvars import copy_context
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.conformance.graphs import normalised
from tests.conformance.model import INNER_LOOP, LOGGED, OFF_SITE, PLACES
from tests.support import programs
from tests.support.recording import SECRET_SIGNATURE, SIGNATURE, Graph

RECORDED: Final = ("D", "S")
"""Places whose stack files this version can deploy."""
ELASTIC: Final = {
    "elasticsearch": "registry.example/elasticsearch:8.19.4",
    "kibana": "registry.example/kibana:8.19.4",
    "fluent-bit": "registry.example/fluent-bit:4.0.8",
}
GENERATED: Final = (
    "ai-review-engine-data-postgres-password",
    "ai-review-engine-data-redis-password",
    "ai-review-engine-observability-grafana-password",
    "foundation-edge-tls-seed",
)
"""Random passwords: an engine marks their results as secret, the recorder answers with plain text unless told so."""


@cache
def graph_of(place: str, profile: str) -> Graph:
    """The graph for the stack of a place (`D`), under a profile. Raises what the program raises."""
    if place not in RECORDED:
        raise LookupError(f"no graph is recorded for {PLACES[place]}")
    config = programs.tracked(PLACES[place])
    # The values are encrypted, and no row looks at them.
    config.pop("secrets", None)
    if profile == INNER_LOOP:
        config["systems"] = [_inner_loop(system) for system in config["systems"]]
    elif profile == OFF_SITE:
        config["backups"] = {"objectStore": {"bucket": "acme-backups", "region": "eu-central-1"}}
        config["secrets"] = {
            "objectStore": {"accessKeyId": {"secure": "its-id"}, "secretAccessKey": {"secure": "its-key"}}
        }
    elif profile == LOGGED:
        config["observability"] = {"logs": {"store": "elasticsearch"}}
        config["images"] = {"inventory": "images.json", "engines": ELASTIC}
    with tempfile.TemporaryDirectory() as folder:
        # Pulumi keeps its settings in context variables: in a copy of the context, they do not outlast the recording.
        recorded: Graph = copy_context().run(
            programs.run, config, Path(folder), stack=PLACES[place], grafana=True, override=_secret_results()
        )
    return normalised(recorded)


def _secret_results() -> dict[str, dict[str, Any]]:
    return {name: {"result": {SIGNATURE: SECRET_SIGNATURE, "value": f"generated-{name}"}} for name in GENERATED}


def _inner_loop(system: dict[str, Any]) -> dict[str, Any]:
    return {"name": system["name"], "profile": INNER_LOOP, "source": "."}
