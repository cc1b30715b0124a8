"""Values of the stack file arrive in a container as they were written, and a taken port changes nothing."""

from __future__ import annotations

import json
import socket
from typing import cast

from tests.docker.conftest import HTTP_PORT, NAME, PLATFORM
from tests.docker.stack import Stack

SYSTEM = "ai-review-engine"
VALUES = {
    "EDGE_UNICODE": "Grüße, 世界 🚀 – “quoted”",
    "EDGE_LINES": "first\nsecond\r\n\n\tfourth\n",
    "EDGE_QUOTES": """it's "both" `ticks` \\n and \\""",
    "EDGE_DOLLARS": "$HOME ${HOME} $(id) $$ %PATH% {{braces}} #hash; a=b=c",
    "EDGE_SPACES": "  around  ",
    "EDGE_EMPTY": "",
    "EDGE_NUMBER": "007",
    "EDGE_TRUTH": "yes",
    "EDGE_LONG": "ä" * 20_000,
}
READ = "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('EDGE_')}))"


def test_values_in_any_writing_arrive_unchanged(stack: Stack) -> None:
    stack.configure(platform=PLATFORM, systems=[{"name": SYSTEM, "services": {"beat": {"env": VALUES}}}])
    try:
        stack.make("up")
        (beat,) = stack.containers("beat")
        code, output = beat.exec_run(["python", "-c", READ])
        assert code == 0, output
        assert json.loads(cast(bytes, output)) == VALUES
        assert "unchanged" in stack.pulumi("preview", "--expect-no-changes").output
    finally:
        stack.configure(platform=PLATFORM, systems=[{"name": SYSTEM}])
        stack.make("up")


def test_a_port_that_another_process_has_is_refused_and_nothing_changes(stack: Stack) -> None:
    before = {one.id for one in stack.containers(everything=True)}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        stack.configure(platform=PLATFORM | {"httpPort": port})
        try:
            refused = stack.make("up", check=False)
        finally:
            stack.configure(platform=PLATFORM)
    assert refused.code != 0
    assert f"error: platform.httpPort: port {port} of 127.0.0.1 is taken by another process of this host" in (
        refused.output
    )
    assert f"set another port in Pulumi.{NAME}.yaml; nothing was changed" in refused.output
    assert {one.id for one in stack.containers(everything=True)} == before
    assert stack.request(f"http://localhost:{HTTP_PORT}/").status == 308
