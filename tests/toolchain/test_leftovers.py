"""`pulumi up` by hand: an interrupted stack is refused with what is left over; nothing else is."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
from docker import DockerClient

from toolchain import engine, recover, state
from toolchain.images.workshop import Entry
from toolchain.leftovers import SHOWN, refuse_leftovers

STACK = "leftovers"
VOLUME = "urn:pulumi:leftovers::ai-platform::docker:index/volume:Volume::data"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the state of a stack in a backend of the test's own, deployed to an engine that does not answer."""
    for module in (recover, state):
        monkeypatch.setattr(module, "STATE", tmp_path)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    folder = tmp_path / ".pulumi" / "stacks" / state.PROJECT
    folder.mkdir(parents=True)
    (tmp_path / ".pulumi" / "meta.yaml").write_text("version: 1\n")

    def written(*pending: str, address: str = f"unix://{tmp_path}/nobody.sock", ids: tuple[str, ...] = ()) -> Path:
        provider = {"urn": "p", "type": recover.PROVIDER, "id": "1", "inputs": {"host": address}}
        latest: dict[str, Any] = {
            "resources": [provider, *({"urn": one, "id": one, "type": recover.CONTAINER} for one in ids)],
            "pending_operations": [{"type": kind, "resource": {"urn": VOLUME}} for kind in pending],
        }
        file = folder / f"{STACK}.json"
        file.write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))
        return file

    return written


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a preview warns of."""
    said: list[str] = []
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    yield said


def test_a_whole_stack_is_deployed_also_where_its_engine_does_not_answer(write: Write) -> None:
    write()
    refuse_leftovers(STACK)
    refuse_leftovers("a stack that is not there yet")


def test_pending_operations_are_refused_and_the_command_is_named(write: Write) -> None:
    write("creating", "deleting")
    with pytest.raises(pulumi.RunError) as refused:
        refuse_leftovers(STACK)
    message = str(refused.value)
    assert f"stack {STACK} was interrupted; left over: creating data, deleting data. " in message
    assert f"Run `make up STACK={STACK}`" in message


def test_a_long_list_is_counted(write: Write) -> None:
    write(*["creating"] * (SHOWN + 3))
    with pytest.raises(pulumi.RunError, match="and 3 more"):
        refuse_leftovers(STACK)


def test_a_preview_only_warns(write: Write, warnings: list[str]) -> None:
    write("creating")
    refuse_leftovers(STACK)
    assert len(warnings) == 1
    assert "creating data" in warnings[0]


def test_a_preview_beside_a_run_at_work_says_nothing(
    write: Write, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("creating")
    monkeypatch.setattr(recover, "is_alive", lambda lock: lock["pid"] == os.getpid())
    folder = recover.STATE / ".pulumi" / "locks" / "organization" / state.PROJECT / STACK
    folder.mkdir(parents=True)
    lock = {"pid": os.getpid(), "hostname": socket.gethostname()}
    (folder / "one.json").write_text(json.dumps(lock))
    refuse_leftovers(STACK)
    assert warnings == []


@pytest.mark.parametrize("backend", ["", "s3://states", "file:///somewhere/else"])
def test_another_backend_is_left_to_pulumi(write: Write, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write("creating")
    monkeypatch.setenv("PULUMI_BACKEND_URL", backend)
    refuse_leftovers(STACK)


def test_a_state_that_was_cut_short_is_named(write: Write) -> None:
    file = write()
    file.write_text(file.read_text()[:20])
    with pytest.raises(pulumi.RunError, match=f"the state of stack {STACK} in .* cannot be read"):
        refuse_leftovers(STACK)


def test_a_container_in_no_state_is_named_and_a_recorded_one_is_not(
    write: Write, engine: DockerClient, inventory: dict[str, Entry]
) -> None:
    labels = {"ai-platform.stack": STACK}
    made = engine.containers.create(str(inventory["redis"]["image"]), ["true"], labels=labels)
    try:
        write(address=address(), ids=(str(made.id),))
        refuse_leftovers(STACK)
        write(address=address())
        with pytest.raises(pulumi.RunError, match=f"left over: container {made.name}. Run"):
            refuse_leftovers(STACK)
    finally:
        made.remove(force=True)


def address() -> str:
    """Of the engine of these tests."""
    return engine.host()
