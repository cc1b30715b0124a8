"""An engine that cannot be reached: each command ends soon, with one error that names the address and the key.

Nothing is made, and what a state holds stays in it.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from platforms.reach import PATIENCE
from tests.config.stack_files import with_base
from tests.engine.project import STACK, Project
from toolchain.paths import ROOT

SOON = 60
"""Seconds. The bound is the time-out of one question, not of one for each resource."""


@pytest.fixture(scope="module")
def mute() -> Iterator[str]:
    """A port that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for connection in held:
            connection.close()


@pytest.fixture(params=["refused", "no socket", "mute", "no such host"])
def silent(request: pytest.FixtureRequest, mute: str, tmp_path: Path) -> tuple[str, str]:
    """An address where no engine answers, and the reason in words."""
    return {
        "refused": ("tcp://127.0.0.1:1", "connection refused"),
        "no socket": (f"unix://{tmp_path}/absent.sock", "there is no such socket"),
        "mute": (mute, f"no answer within {PATIENCE:g} s"),
        "no such host": ("ssh://me@nowhere.invalid", "ssh: Could not resolve hostname nowhere.invalid"),
    }[str(request.param)]


@pytest.mark.parametrize("command", [("preview",), ("up", "--yes", "--skip-preview")], ids=lambda words: str(words[0]))
def test_pulumi_ends_with_one_error_that_names_address_and_key(
    command: tuple[str, ...], silent: tuple[str, str], project: Project
) -> None:
    address, reason = silent
    project.configure(with_base(f"ai-platform:platform: {{kind: docker, host: '{address}'}}"))
    start = time.monotonic()
    refused = project.pulumi(*command, "--stack", STACK)
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0, said
    assert time.monotonic() - start < SOON
    assert f"platform.host: no Docker Engine answers at {address} ({reason}" in said, said
    assert "nothing was changed. Start the engine, or set the address of another one." in said
    assert said.count("no Docker Engine answers") == 1
    assert "Traceback" not in said
    assert project.resources() in ([], ["pulumi:pulumi:Stack"])


def test_make_up_stops_before_it_asks_for_images(silent: tuple[str, str], project: Project) -> None:
    address, reason = silent
    project.configure(with_base(f"ai-platform:platform: {{kind: docker, host: '{address}'}}"))
    code = (
        "import sys; from pathlib import Path; from toolchain import bootstrap, engine;"
        "engine.ROOT = bootstrap.ROOT = Path(sys.argv[1]);"
        "bootstrap.venv = lambda **_: None;"
        "sys.argv = ['bootstrap', '--stack', sys.argv[2]]; sys.exit(bootstrap.main())"
    )
    command = [sys.executable, "-c", code, str(project.folder), STACK]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SOON, check=False)
    assert refused.returncode == 1, refused.stderr
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: no Docker Engine answers at {address} ({reason}")
    assert line.endswith(f"start it, or correct platform.host in Pulumi.{STACK}.yaml; nothing was changed")
    assert "Traceback" not in refused.stderr
    assert project.resources() in ([], ["pulumi:pulumi:Stack"])
