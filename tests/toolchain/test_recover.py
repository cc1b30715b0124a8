"""What a killed deployment leaves behind is found and put right; nothing else is touched."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from tests.toolchain.conftest import ROOT
from toolchain import recover, strays
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
        return {strays.STACK_LABEL: self.stack, **more}

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
        query: Any = {"label": f"{strays.STACK_LABEL}={self.stack}"}
        found = [*self.engine.containers.list(all=True, filters=query), *self.engine.networks.list(filters=query)]
        return {str(it.id) for it in found} | {str(it.name) for it in self.engine.volumes.list(filters=query)}

    def sweep(self) -> None:
        """Remove everything."""
        query: Any = {"label": f"{strays.STACK_LABEL}={self.stack}"}
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


def clear(host: Host, stack: str, ids: set[str], born: float = LONG_AGO, unborn: set[str] | None = None) -> list[str]:
    """Remove the strays of a stack; returns what they were."""
    found = strays.find(host.engine, stack, frozenset(ids), born=born, unborn=frozenset(unborn or set()))
    return [str(one) for one in strays.remove(host.engine, found)]


def test_what_is_in_no_state_is_removed_and_what_is_in_it_stays(host: Host) -> None:
    network_id, network = host.network()
    kept = {host.container(network=network), network_id, host.volume()}
    stray_network_id, stray_network = host.network()
    others = {host.container(network=stray_network), stray_network_id, host.volume()}
    assert host.left() == kept | others
    assert len(clear(host, host.stack, kept)) == len(others)
    assert host.left() == kept
    assert clear(host, host.stack, kept) == []


def test_a_container_that_was_created_and_never_started_is_removed(host: Host) -> None:
    made = host.engine.containers.create(host.image, ["sleep", "300"], entrypoint="", labels=host.labels())
    assert clear(host, host.stack, set()) == [f"container {made.name}"]


def test_what_is_gone_meanwhile_is_no_error(host: Host) -> None:
    container, (network, _) = host.container(), host.network()
    found = strays.find(host.engine, host.stack, frozenset(), born=LONG_AGO)
    assert [one.id for one in found] == [container, network]
    host.sweep()
    strays.remove(host.engine, found)
    assert host.left() == set()


def test_a_network_into_which_another_container_was_put_is_removed(host: Host) -> None:
    _, network = host.network()
    guest = host.engine.containers.run(
        host.image, ["sleep", "300"], entrypoint="", detach=True, network=network, remove=True
    )
    try:
        assert clear(host, host.stack, set()) == [f"network {network}"]
        guest.reload()
        assert guest.status == "running"
    finally:
        guest.kill()


def test_a_volume_that_is_kept_on_purpose_stays(host: Host) -> None:
    kept = host.volume(retain="true")
    host.volume(retain="false")
    clear(host, host.stack, set())
    assert host.left() == {kept}


def test_a_volume_to_be_kept_whose_creation_was_never_finished_is_removed(host: Host) -> None:
    unborn, kept = host.volume(retain="true"), host.volume(retain="true")
    assert clear(host, host.stack, set(), unborn={unborn}) == [f"volume {unborn}"]
    assert clear(host, host.stack, {kept}, unborn={kept}) == [], "recorded, whatever else the state says of it"
    assert host.left() == {kept}


def test_a_volume_in_use_by_somebody_else_stays_and_is_named(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    name = host.volume()
    user = host.engine.containers.run(
        host.image, ["sleep", "300"], entrypoint="", detach=True, volumes={name: {"bind": "/data"}}
    )
    try:
        assert clear(host, host.stack, set()) == []
        assert name in capsys.readouterr().err
        assert host.left() == {name}
    finally:
        user.remove(force=True)


def test_a_volume_in_use_by_another_stray_goes_with_it(host: Host) -> None:
    name = host.volume()
    host.engine.containers.run(
        host.image,
        ["sleep", "300"],
        entrypoint="",
        detach=True,
        labels=host.labels(),
        volumes={name: {"bind": "/data"}},
    )
    assert len(clear(host, host.stack, set())) == 2
    assert host.left() == set()


def test_what_is_older_than_this_state_belongs_to_another_and_stays(host: Host) -> None:
    _, network = host.network()
    host.container(network=network)
    host.volume()
    before = host.left()
    assert clear(host, host.stack, set(), born=time.time() + 60) == []
    assert host.left() == before


def test_another_stacks_things_stay(host: Host) -> None:
    container = host.container()
    clear(host, f"{host.stack}-other", set())
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


def test_a_lock_that_was_killed_before_it_had_its_name_is_given_back(bootstrapped: Path, backend: Path) -> None:
    file = lock(backend, dead_pid())
    half = file.rename(file.with_name(f"{file.name}.18b9f3a2c1d4e5f6.tmp"))
    half.write_text('{"pid":')
    assert recover.recover(cli(), "dev") == ()
    assert not half.exists()


def test_the_lock_of_a_living_run_is_respected(
    bootstrapped: Path, backend: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recover, "PATIENCE", 0.1)
    running = living_pulumi()
    try:
        file = lock(backend, running.pid)
        with pytest.raises(ToolchainError, match=rf"pulumi works on stack dev \(pid {running.pid} on "):
            recover.recover(cli(), "dev")
        assert file.exists()
    finally:
        running.kill()
        running.communicate()


def test_a_living_run_is_waited_for(bootstrapped: Path, backend: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running = living_pulumi()
    file = lock(backend, running.pid)

    def end() -> None:
        file.unlink()
        running.kill()
        running.communicate()

    timer = threading.Timer(1.5, end)
    timer.start()
    try:
        assert recover.recover(cli(), "dev") == ()
        assert f"(pid {running.pid} on {socket.gethostname()}): waiting for it to end" in capsys.readouterr().err
        assert running.returncode is not None
    finally:
        timer.join()


def test_pending_operations_are_cleared(bootstrapped: Path, backend: Path) -> None:
    file = backend / ".pulumi/stacks/ai-platform/dev.json"
    content = json.loads(file.read_text())
    urn = "urn:pulumi:dev::ai-platform::pulumi:pulumi:Stack::ai-platform-dev"
    pending = {"resource": {"urn": urn, "custom": False, "type": "pulumi:pulumi:Stack"}, "type": "creating"}
    content["checkpoint"]["latest"]["pending_operations"] = [pending]
    file.write_text(json.dumps(content))
    assert recover.load_state("dev").pending == ("creating ai-platform-dev",)
    recover.recover(cli(), "dev")
    assert recover.load_state("dev").pending == ()


def test_a_state_that_was_cut_short_is_taken_from_pulumis_copy(
    bootstrapped: Path, backend: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = backend / ".pulumi/stacks/ai-platform/dev.json"
    whole = file.read_text()
    file.with_name("dev.json.bak").write_text(whole)
    file.write_text(whole[: len(whole) // 2])
    half = file.with_name("dev.json.18b9f3a2c1d4e5f6.tmp")
    half.write_text(whole[:20])
    recover.recover(cli(), "dev")
    taken, before = (json.loads(text)["checkpoint"]["latest"] for text in (file.read_text(), whole))
    assert taken["secrets_providers"] == before["secrets_providers"]
    assert not half.exists()
    assert "was cut short" in capsys.readouterr().err
    file.with_name("dev.json.bak").unlink()
    shutil.rmtree(backend / ".pulumi/backups", ignore_errors=True)
    file.write_text("")
    with pytest.raises(ToolchainError, match=r"there is no whole copy"):
        recover.recover(cli(), "dev")


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
    assert known.pending == ()


def test_an_empty_state_is_read() -> None:
    assert recover.read_state({"manifest": {}}) == recover.Known(frozenset())


def test_what_was_begun_is_told_in_words_and_the_engine_is_the_one_deployed_to() -> None:
    prefix = "urn:pulumi:dev::ai-platform::"
    provider = {"urn": "p", "type": recover.PROVIDER, "id": "1", "inputs": {"host": "unix:///run/other.sock"}}
    volume = {"urn": f"{prefix}docker:index/volume:Volume::data", "inputs": {"name": "data-1234567"}}
    old = {"urn": f"{prefix}docker:index/container:Container::api-0", "id": "c", "inputs": {"name": "api-0-1234567"}}
    operations = [{"type": "creating", "resource": volume}, {"type": "deleting", "resource": old}]
    known = recover.read_state({"resources": [provider], "pending_operations": operations})
    assert known.pending == ("creating data", "deleting api-0")
    assert known.unborn == {"data-1234567"}
    assert known.engines == ("unix:///run/other.sock",)


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        ("2026-01-01T00:00:00Z", 1767225600.0),
        ("2026-01-01T00:00:00.5Z", 1767225600.5),
        ("2026-01-01T01:00:00.123456789+01:00", 1767225600.123456),
    ],
)
def test_the_engines_times_are_read(timestamp: str, seconds: float) -> None:
    assert strays.made(timestamp) == pytest.approx(seconds, abs=1e-6)
