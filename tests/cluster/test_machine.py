"""Who may start a cluster where, and what is said where one cannot be started."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from toolchain.cluster import machine, processes
from toolchain.console import ToolchainError

FINE = {"root": True, "packages": [], "debian": True, "owner": None, "folder": Path("/srv/ai-platform/cluster")}


def refusal(**change: object) -> str | None:
    """What is said when one thing is not as it should be."""
    return machine.refusal(**(FINE | change))  # type: ignore[arg-type]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing runs yet."""
    monkeypatch.setattr(machine, "RUN", tmp_path / "run")
    monkeypatch.setattr(machine, "OWNER", tmp_path / "run" / "owner")
    monkeypatch.setattr(machine, "BOOT", tmp_path / "run" / "boot")
    monkeypatch.setattr(processes, "RECORDS", tmp_path / "run" / "processes")
    return tmp_path / "run"


def test_nothing_is_said_where_a_cluster_can_be_started() -> None:
    assert refusal() is None
    assert refusal(packages=["etcd-server"]) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"root": False, "packages": ["etcd-server"]},
            ["lacks etcd-server", "root can install", "nothing was changed"],
        ),
        ({"packages": ["etcd-server", "runc"], "debian": False}, ["no apt-get", "etcd-server, runc", "KUBECONFIG="]),
    ],
)
def test_a_machine_that_lacks_something_is_told_what_works_instead(change: dict[str, object], words: list[str]) -> None:
    said = refusal(**change) or ""
    assert all(word in said for word in words)


def test_where_no_pod_would_run_nothing_is_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine.check_pods()
    monkeypatch.setattr(machine, "SIMULATED", True)
    with pytest.raises(ToolchainError, match=r"no pod runs.*as root.*KUBECONFIG="):
        machine.check_pods()


def test_a_folder_holds_one_kind_of_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "OTHER_RUN", tmp_path)
    assert machine.other_kind() is None
    (tmp_path / "owner").write_text("/srv/another\n")
    assert machine.other_kind() is None
    (tmp_path / "owner").write_text(f"{machine.ROOT}\n")
    assert "make cluster-down SIMULATED=1" in (machine.other_kind() or "")


def test_a_second_clone_is_told_the_first_one_s_folder_and_how_to_end_it() -> None:
    said = refusal(owner="/srv/first") or ""
    assert "make -C /srv/first cluster-down" in said
    assert said.endswith("nothing was changed")


def test_a_folder_whose_sockets_would_have_too_long_a_path_is_refused() -> None:
    assert "72 characters" in (refusal(folder=Path("/" + "x" * 71)) or "")
    assert refusal(folder=Path("/" + "x" * 70)) is None
    # What the kubelet adds, and the kernel's limit.
    assert machine.LONGEST + len("/kubelet/device-plugins/kubelet.sock") == 107


def test_a_claim_is_this_clone_s(run: Path) -> None:
    assert machine.owner() is None
    machine.claim()
    assert machine.owner() == str(machine.ROOT)
    assert machine.other_owner() is None
    assert not machine.abandoned()


def test_what_nothing_runs_of_any_more_is_abandoned(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.claim()
    first = machine.ROOT
    monkeypatch.setattr(machine, "ROOT", tmp_path / "second")
    monkeypatch.setattr(processes, "shims", lambda: iter([1]))
    assert machine.other_owner() == str(first)
    monkeypatch.setattr(processes, "shims", lambda: iter(()))
    assert machine.other_owner() is None
    assert machine.abandoned()


def test_a_cluster_whose_folder_is_gone_is_abandoned(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "shims", lambda: iter([1]))
    run.mkdir()
    (run / "owner").write_text(f"{run}/gone\n")
    assert machine.abandoned()


def test_what_was_started_before_a_reboot_is_known_for_it(run: Path) -> None:
    assert not machine.rebooted()
    machine.claim()
    assert not machine.rebooted()
    (run / "boot").write_text("an earlier one\n")
    assert machine.rebooted()
    machine.claim()
    assert not machine.rebooted()


def test_a_taken_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr(machine, "API_PORT", other.getsockname()[1])
        said = machine.taken_ports() or ""
        assert f"port {other.getsockname()[1]}" in said
        assert "nothing was changed" in said
