"""What a killed deployment leaves behind is found and put right; nothing else is touched."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from tests.toolchain.conftest import ROOT
from toolchain import recover
from toolchain.console import ToolchainError
from toolchain.images.workshop import Entry

LONG_AGO = 0.0


class Host:
    """The engine, with things that carry the label of a stack of this test's own."""

    def __init__(self, engine: DockerClient, image: str) -> None:
        self.engine = engine
        self.image = image
        self.stack = f"recover-{secrets.token_hex(4)}"

    def labels(self, **more: str) -> dict[str, str]:
        return {recover.STACK_LABEL: self.stack, **more}

    def container(self, *, network: str | None = None) -> str:
        """Start a tiny container; returns its id."""
        made = self.engine.containers.run(
            self.image, ["sleep", "300"], entrypoint="", detach=True, labels=self.labels(), network=network
        )
        return str(made.id)

    def network(self) -> tuple[str, str]:
        """Make a network; returns its id and name."""
        made = self.engine.networks.create(f"{self.stack}-{secrets.token_hex(3)}", labels=self.labels())
        return str(made.id), str(made.name)

    def volume(self, **labels: str) -> str:
        """Make a volume; returns its name."""
        name = f"{self.stack}-{secrets.token_hex(3)}"
        self.engine.volumes.create(name, labels=self.labels(**{f"ai-platform.{key}": it for key, it in labels.items()}))
        return name

    def left(self) -> set[str]:
        """Ids (of volumes: names) of all that is there."""
        query: Any = {"label": f"{recover.STACK_LABEL}={self.stack}"}
        found = [*self.engine.containers.list(all=True, filters=query), *self.engine.networks.list(filters=query)]
        return {str(it.id) for it in found} | {str(it.name) for it in self.engine.volumes.list(filters=query)}

    def sweep(self) -> None:
        """Remove everything."""
        query: Any = {"label": f"{recover.STACK_LABEL}={self.stack}"}
        for container in self.engine.containers.list(all=True, filters=query):
            container.remove(force=True, v=True)
        for network in self.engine.networks.list(filters=query):
            network.remove()
        for volume in self.engine.volumes.list(filters=query):
            volume.remove(force=True)


@pytest.fixture
def host(engine: DockerClient, inventory: dict[str, Entry]) -> Iterator[Host]:
    """An engine on which nothing of this test's stack is left afterwards."""
    made = Host(engine, str(inventory["redis"]["image"]))
    yield made
    made.sweep()


def test_what_is_in_no_state_is_removed_and_what_is_in_it_stays(host: Host) -> None:
    network_id, network = host.network()
    kept = {host.container(network=network), network_id, host.volume()}
    stray_network_id, stray_network = host.network()
    strays = {host.container(network=stray_network), stray_network_id, host.volume()}
    assert host.left() == kept | strays
    removed = recover.remove_strays(host.engine, host.stack, frozenset(kept), born=LONG_AGO)
    assert len(removed) == len(strays)
    assert host.left() == kept
    assert recover.remove_strays(host.engine, host.stack, frozenset(kept), born=LONG_AGO) == []


def test_a_volume_that_is_kept_on_purpose_stays(host: Host) -> None:
    kept = host.volume(retain="true")
    host.volume(retain="false")
    recover.remove_strays(host.engine, host.stack, frozenset(), born=LONG_AGO)
    assert host.left() == {kept}


def test_a_volume_in_use_by_somebody_else_stays_and_is_named(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    name = host.volume()
    user = host.engine.containers.run(
        host.image, ["sleep", "300"], entrypoint="", detach=True, volumes={name: {"bind": "/data"}}
    )
    try:
        assert recover.remove_strays(host.engine, host.stack, frozenset(), born=LONG_AGO) == []
        assert name in capsys.readouterr().err
        assert host.left() == {name}
    finally:
        user.remove(force=True)


def test_what_is_older_than_this_state_belongs_to_another_and_stays(host: Host) -> None:
    _, network = host.network()
    host.container(network=network)
    host.volume()
    before = host.left()
    assert recover.remove_strays(host.engine, host.stack, frozenset(), born=time.time() + 60) == []
    assert host.left() == before


def test_another_stacks_things_stay(host: Host) -> None:
    container = host.container()
    recover.remove_strays(host.engine, f"{host.stack}-other", frozenset(), born=LONG_AGO)
    assert host.left() == {container}


# ── the lock ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def dead_pid() -> int:
    """The number of a process that has ended."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    return ended.pid


def living_pulumi() -> subprocess.Popen[bytes]:
    """A process that looks like the CLI to whoever reads its command line."""
    running = subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", "pulumi"], stdout=-1
    )
    assert running.stdout
    running.stdout.readline()
    return running


def test_a_lock_of_a_process_that_is_gone_is_not_alive() -> None:
    assert not recover.is_alive({"pid": dead_pid(), "hostname": socket.gethostname()})
    assert not recover.is_alive({}), "a lock that was cut short names nobody"


def test_a_lock_whose_number_went_to_another_program_is_not_alive() -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        assert not recover.is_alive({"pid": sleeper.pid, "hostname": socket.gethostname()})
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_lock_of_a_running_pulumi_is_alive() -> None:
    running = living_pulumi()
    try:
        assert recover.is_alive({"pid": running.pid, "hostname": socket.gethostname()})
    finally:
        running.kill()
        running.communicate()


def test_a_lock_of_another_host_is_alive() -> None:
    assert recover.is_alive({"pid": dead_pid(), "hostname": "elsewhere.example"})


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a stack in a state folder of its own, and the real CLI."""
    (tmp_path / "Pulumi.yaml").write_text("name: ai-platform\nruntime: python\n")
    folder = tmp_path / ".state"
    folder.mkdir()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "for this test")
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{folder}")
    for module in (recover, recover.state):
        monkeypatch.setattr(module, "STATE", folder)
    for module in (recover, recover.state):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(recover, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(recover.state, "LOGS", tmp_path / "logs")
    recover.state.ensure(cli(), "dev")
    return folder


def cli() -> Path:
    """The CLI of this clone."""
    found = ROOT / ".toolchain/bin/pulumi"
    return found if found.is_file() else Path("pulumi")


def lock(backend: Path, pid: int) -> Path:
    """Lock the stack as the CLI does."""
    file = backend / ".pulumi/locks/organization/ai-platform/dev" / f"{secrets.token_hex(8)}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"pid": pid, "username": "root", "hostname": socket.gethostname(), "timestamp": "2026-01-01T00:00:00Z"}
    file.write_text(json.dumps(content))
    return file


def test_the_lock_of_a_killed_run_is_given_back(bootstrapped: Path, backend: Path) -> None:
    file = lock(backend, dead_pid())
    assert recover.recover(cli(), "dev") == ()
    assert not file.exists()


def test_the_lock_of_a_living_run_is_respected(bootstrapped: Path, backend: Path) -> None:
    running = living_pulumi()
    try:
        file = lock(backend, running.pid)
        with pytest.raises(ToolchainError, match=rf"pulumi already works on stack dev \(pid {running.pid}\)"):
            recover.recover(cli(), "dev")
        assert file.exists()
    finally:
        running.kill()
        running.communicate()


def test_pending_operations_are_cleared(bootstrapped: Path, backend: Path) -> None:
    file = backend / ".pulumi/stacks/ai-platform/dev.json"
    content = json.loads(file.read_text())
    urn = "urn:pulumi:dev::ai-platform::pulumi:pulumi:Stack::ai-platform-dev"
    pending = {"resource": {"urn": urn, "custom": False, "type": "pulumi:pulumi:Stack"}, "type": "creating"}
    content["checkpoint"]["latest"]["pending_operations"] = [pending]
    file.write_text(json.dumps(content))
    assert recover.read_state(recover._export(cli(), "dev")).pending
    recover.recover(cli(), "dev")
    assert not recover.read_state(recover._export(cli(), "dev")).pending


# ── what the state says ──────────────────────────────────────────────────────────────────────────────────────────────
def resource(urn: str, role: str, exit_code: int | None) -> dict[str, Any]:
    """A container as the state records it."""
    labels = [{"label": "ai-platform.stack", "value": "dev"}, {"label": "ai-platform.role", "value": role}]
    outputs: dict[str, Any] = {"labels": labels}
    if exit_code is not None:
        outputs["exitCode"] = exit_code
    return {"urn": urn, "id": f"id-{urn}", "type": recover.CONTAINER, "outputs": outputs}


def test_a_failed_job_runs_again_and_nothing_else_does() -> None:
    resources = [
        resource("schema", "job", 1),
        resource("install", "job", 0),
        resource("fresh", "job", None),
        resource("api", "app", 137),
        {"urn": "stack", "type": "pulumi:pulumi:Stack"},
    ]
    known = recover.read_state({"resources": resources})
    assert known.failed_jobs == ("schema",)
    assert known.ids == {"id-schema", "id-install", "id-fresh", "id-api"}
    assert not known.pending


def test_an_empty_state_is_read() -> None:
    assert recover.read_state({"manifest": {}}) == recover.Known(frozenset(), (), pending=False)


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        ("2026-01-01T00:00:00Z", 1767225600.0),
        ("2026-01-01T00:00:00.5Z", 1767225600.5),
        ("2026-01-01T01:00:00.123456789+01:00", 1767225600.123456),
    ],
)
def test_the_engines_times_are_read(timestamp: str, seconds: float) -> None:
    assert recover._made(timestamp) == pytest.approx(seconds, abs=1e-6)
