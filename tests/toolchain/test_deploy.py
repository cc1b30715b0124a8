"""`make up|preview|down|refresh`: the Pulumi command that is run, and how `make up` ends."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain import deploy
from toolchain.console import ToolchainError

OUTPUTS = {"urls": {"ai-review-engine": "https://localhost"}, "caCertificate": "-----BEGIN CERTIFICATE-----\n"}


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file in which a CLI writes down how it was called; it fails when a file `broken` is there."""
    cli = tmp_path / "pulumi"
    record = tmp_path / "calls"
    (tmp_path / "outputs.json").write_text(json.dumps(OUTPUTS))
    cli.write_text(
        f'#!/bin/sh\ncd {tmp_path}\n[ "$2" = output ] && {{ cat outputs.json; exit; }}\n'
        'echo "$@" >> calls\n[ ! -e broken ] || exit 255\n'
    )
    cli.chmod(0o755)
    monkeypatch.setattr(deploy, "CLI_LINK", cli)
    monkeypatch.setattr(deploy, "TOOLS", tmp_path)
    monkeypatch.setattr(deploy, "recover", lambda *_: ())
    monkeypatch.setattr(deploy, "check_ports", lambda *_: None)
    monkeypatch.setattr(deploy, "settle", lambda *_: None)
    before = signal.getsignal(signal.SIGINT)
    yield record
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("up", "up --yes --policy-pack policies --stack dev"),
        ("preview", "preview --policy-pack policies --stack dev"),
        ("down", "destroy --yes --stack dev"),
        ("refresh", "refresh --yes --stack dev"),
    ],
)
def test_each_target_is_one_command_and_deployments_pass_the_policies(action: str, expected: str, calls: Path) -> None:
    assert deploy.deploy(action, "dev", []) == 0
    assert calls.read_text().strip() == expected


def test_further_arguments_are_handed_on(calls: Path) -> None:
    deploy.deploy("preview", "dev", ["--expect-no-changes"])
    assert calls.read_text().strip().endswith("--stack dev --expect-no-changes")


def test_a_job_that_failed_is_replaced_by_the_next_up_only(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy, "recover", lambda *_: ("urn:a", "urn:b"))
    deploy.deploy("up", "dev", [])
    deploy.deploy("down", "dev", [])
    up, down = calls.read_text().splitlines()
    assert up.endswith("--replace urn:a --replace urn:b")
    assert "--replace" not in down


def test_a_preview_changes_nothing_so_it_recovers_nothing(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> tuple[str, ...]:
        raise AssertionError("a preview must not touch the engine")

    monkeypatch.setattr(deploy, "recover", never)
    assert deploy.deploy("preview", "dev", []) == 0


def test_up_ends_with_the_address_and_how_its_certificate_is_trusted(
    calls: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    deploy.deploy("up", "dev", [])
    said = capfd.readouterr().out
    assert "ai-review-engine  https://localhost" in said
    assert f"curl --cacert {tmp_path}/ca-dev.pem https://localhost" in said
    assert (tmp_path / "ca-dev.pem").read_text() == OUTPUTS["caCertificate"]


def test_a_failed_up_keeps_its_exit_status_and_promises_no_address(
    calls: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken").touch()
    assert deploy.deploy("up", "dev", []) == 255
    assert "https://" not in capfd.readouterr().out


def test_a_stack_with_certificates_of_its_own_needs_no_authority(tmp_path: Path) -> None:
    said = deploy.closing({"urls": {"one": "https://one.example"}, "caCertificate": None}, tmp_path / "ca.pem")
    assert "https://one.example" in said
    assert "cacert" not in said
    assert not (tmp_path / "ca.pem").exists()


def test_a_stack_that_somebody_works_on_is_an_error_of_one_line(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def busy(*_: object) -> tuple[str, ...]:
        raise ToolchainError("pulumi already works on stack dev (pid 7): wait for it to end")

    monkeypatch.setattr(deploy, "recover", busy)
    monkeypatch.setattr("sys.argv", ["deploy", "up"])
    assert deploy.main() == 1
    assert capsys.readouterr().err == "error: pulumi already works on stack dev (pid 7): wait for it to end\n"
    assert not calls.exists()
