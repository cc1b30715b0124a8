"""Which Docker Engine is used, and what is said where there is none."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from toolchain import engine as docker_engine
from toolchain.console import ToolchainError


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[str]:
    """A socket that answers pings as an engine does."""
    path = tmp_path / "engine.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"unix://{path}"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(5)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without an engine, whose user may not install one."""
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(docker_engine, "DEFAULT", f"unix://{tmp_path / 'absent.sock'}")
    monkeypatch.setattr(docker_engine, "TOOLS", tmp_path)
    monkeypatch.setattr(docker_engine, "ENGINE_FILE", tmp_path / "docker-host")
    monkeypatch.setattr(docker_engine.apt, "available", lambda: False)
    return tmp_path


def test_the_machines_engine_answers(engine: DockerClient) -> None:
    assert engine.ping()
    assert docker_engine.answers(docker_engine.host())


def test_without_an_engine_one_line_says_what_to_do(bare: Path) -> None:
    with pytest.raises(ToolchainError) as refusal:
        docker_engine.ensure()
    assert len(str(refusal.value).splitlines()) == 1
    assert "start Docker, or set DOCKER_HOST" in str(refusal.value)


def test_the_users_own_choice_is_the_only_one(bare: Path, listener: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_engine.apt, "available", lambda: True)
    monkeypatch.setattr(docker_engine, "DEFAULT", listener)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{bare / 'stopped.sock'}")
    with pytest.raises(ToolchainError, match="no Docker Engine answers"):
        docker_engine.ensure()


def test_a_rootless_engine_is_found_and_remembered(bare: Path, listener: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare / "run").mkdir()
    (bare / "run/docker.sock").symlink_to(listener.removeprefix("unix://"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(bare / "run"))
    found = docker_engine.ensure()
    assert found == f"unix://{bare}/run/docker.sock"
    assert docker_engine.host() == found
    monkeypatch.setattr(docker_engine, "DEFAULT", listener)
    assert docker_engine.ensure() == listener, "the default one comes first once it is there"
    assert docker_engine.host() == listener


def test_a_port_that_is_no_engine_does_not_answer() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert not docker_engine.answers(f"tcp://127.0.0.1:{closed.getsockname()[1]}", timeout=1)


def test_where_packages_may_be_installed_the_engine_is_installed_and_started(
    bare: Path, listener: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(docker_engine.apt, "available", lambda: True)
    monkeypatch.setattr(docker_engine.apt, "install", lambda *names: done.append(f"install {' '.join(names)}"))
    monkeypatch.setattr(docker_engine.shutil, "which", lambda _: None)
    monkeypatch.setattr(docker_engine, "_start", lambda: done.append("start"))
    docker_engine.ensure()
    assert done == ["install docker.io iptables", "start"]


def test_an_engine_that_dies_at_its_start_shows_the_end_of_its_log(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = bare / "dockerd"
    dying.write_text("#!/bin/sh\necho 'failed to start: no cgroups' >&2\nexit 1\n")
    dying.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bare}:/usr/bin:/bin")
    with pytest.raises(ToolchainError, match="no cgroups"):
        docker_engine._start()
    assert (bare / "dockerd.pid").is_file()


def test_the_first_steps_need_nothing_but_the_standard_library() -> None:
    code = "import sys; sys.path.insert(0, '.'); import toolchain.bootstrap; print('docker' in sys.modules)"
    root = Path(docker_engine.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "False", done.stderr
