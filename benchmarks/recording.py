"""Records what a program registers under a stack file, without an engine; the flat programs are written from that."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pulumi

from tests.support.recording import Graph, record


def graph_of(program: Callable[[], None], config: Mapping[str, Any], *, stack: str, root: Path) -> Graph:
    """Everything that `program` registers with `config` (full key → value) in the project folder `root`."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}

    def configured() -> None:
        pulumi.runtime.set_all_config(texts)
        program()

    # Pulumi keeps its settings in context variables: in a copy of the context they do not outlast the recording.
    recorded: Graph = copy_context().run(record, configured, stack=stack, root=root)
    return recorded
