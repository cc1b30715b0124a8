"""Other releases of the example application, in the engine and in the node, for as long as a test needs them."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import docker

from tests.kubernetes.stack import Stack
from toolchain.cluster import images
from toolchain.cluster.node import ctr

MAIN = "/srv/ai-review-engine/apps/api/api/main.py"


@contextmanager
def releases(stack: Stack, changes: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Images of the application, by name: each with Python code added to the API's main module, or with a label."""
    (app,) = {container["image"] for pod in stack.pods("api") for container in pod["spec"]["containers"]}
    engine = docker.from_env()
    made = {name: f"ai-platform-e2e/{stack.name}-{name}:1" for name in changes}
    try:
        for name, code in changes.items():
            append = json.dumps(["python", "-c", f"open({MAIN!r}, 'a').write({code!r})"])
            change = f"USER 0\nRUN {append}\nUSER 10001\n" if code else ""
            dockerfile = f"FROM {app}\n{change}LABEL release={name}\n"
            engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=made[name], rm=True)
        images.load(made.values())
        yield made
    finally:
        for image in made.values():
            engine.images.remove(image, force=True)
            subprocess.run(ctr("images", "remove", images.in_node(image)), check=True, capture_output=True)
        engine.close()
