"""A port that another has is found before anything is changed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from tests.toolchain.test_images import identity
from toolchain import ports
from toolchain.console import ToolchainError
from toolchain.images.workshop import Entry

STACK = "ports-test"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which a process of this host listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def configure(engine: DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the stack file."""
    monkeypatch.setattr(ports, "ROOT", tmp_path)
    return tmp_path / f"Pulumi.{STACK}.yaml"


def stack_file(http: int, https: int, profile: str = "standard") -> str:
    return (
        "config:\n  ai-platform:environment: development\n"
        f"  ai-platform:platform: {{kind: docker, httpPort: {http}, httpsPort: {https}}}\n"
        f"  ai-platform:systems: [{{name: ai-review-engine, profile: {profile}}}]\n"
    )


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_process_on_a_port_is_named_with_the_key_and_gone_it_is_free(configure: Path, taken: int) -> None:
    configure.write_text(stack_file(free(), taken))
    with pytest.raises(ToolchainError) as refusal:
        ports.check_ports(STACK)
    assert str(refusal.value) == (
        f"platform.httpsPort: port {taken} of 127.0.0.1 is taken by another process of this host "
        f"(`ss -ltnp 'sport = :{taken}'` shows which); end it, or set another port in Pulumi.{STACK}.yaml; "
        "nothing was changed"
    )
    configure.write_text(stack_file(free(), free()))
    ports.check_ports(STACK)


def test_a_container_of_another_stack_is_named_and_the_stacks_own_is_not_in_the_way(
    configure: Path, engine: DockerClient, inventory: dict[str, Entry]
) -> None:
    port = free()
    configure.write_text(stack_file(port, free()))
    for stack in ("another", STACK):
        holder = engine.containers.run(
            identity(inventory, "redis"), ["sleep", "60"], entrypoint=[], detach=True, user="999:999",
            ports={"6379/tcp": ("127.0.0.1", port)}, labels={ports.STACK_LABEL: stack}, name=f"ports-test-{stack}",
        )  # fmt: skip
        try:
            if stack == STACK:
                ports.check_ports(STACK)
                continue
            with pytest.raises(ToolchainError, match=f"platform.httpPort: port {port} .* the container ports-test-an"):
                ports.check_ports(STACK)
        finally:
            holder.remove(force=True)


@pytest.mark.parametrize("text", ["", "config: 1", "config: {}", "not: [yaml"])
def test_what_is_wrong_with_the_stack_file_is_left_to_the_program(configure: Path, text: str) -> None:
    configure.write_text(text)
    ports.check_ports(STACK)


def test_the_inner_loop_has_no_edge(configure: Path, taken: int) -> None:
    configure.write_text(stack_file(taken, free(), "inner-loop"))
    ports.check_ports(STACK)
