"""Keys and certificates: who signs whom, who may read them, and when they are made anew."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from toolchain.cluster import kubeconfigs, pki


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys and certificates as `up` makes them."""
    made = tmp_path_factory.mktemp("keys") / "pki"
    pki.ensure(made)
    return made


def load(folder: Path, name: str) -> x509.Certificate:
    """A certificate by its name."""
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_only_the_owner_may_read_what_was_made(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.name for file in folder.iterdir() if file.stat().st_mode & 0o077} == set()


@pytest.mark.parametrize("wanted", pki.CERTIFICATES, ids=lambda wanted: wanted.name)
def test_each_certificate_is_of_its_own_authority_and_of_no_other(folder: Path, wanted: pki.Certificate) -> None:
    found = load(folder, wanted.name)
    for authority in pki.AUTHORITIES:
        signer = load(folder, f"{authority}-ca")
        if authority == wanted.authority:
            found.verify_directly_issued_by(signer)
        else:
            with pytest.raises(ValueError, match="Issuer"):
                found.verify_directly_issued_by(signer)


@pytest.mark.parametrize("wanted", pki.CERTIFICATES, ids=lambda wanted: wanted.name)
def test_each_certificate_serves_only_where_it_names_hosts(folder: Path, wanted: pki.Certificate) -> None:
    uses = load(folder, wanted.name).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert (ExtendedKeyUsageOID.SERVER_AUTH in uses) is bool(wanted.hosts)
    # The key belongs to it: a context takes no pair that does not fit.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{wanted.name}.crt", folder / f"{wanted.name}.key")


def test_the_administrator_alone_and_the_api_server_s_client_are_masters(folder: Path) -> None:
    masters = {
        wanted.name
        for wanted in pki.CERTIFICATES
        for group in load(folder, wanted.name).subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        if group.value == pki.MASTERS
    }
    assert masters == {"admin", "apiserver-kubelet"}


def test_a_second_run_changes_nothing(folder: Path) -> None:
    before = contents(folder)
    pki.ensure(folder)
    assert contents(folder) == before


def test_an_interrupted_run_is_completed(tmp_path: Path) -> None:
    pki.ensure(tmp_path)
    (tmp_path / "scheduler.crt").unlink()
    (tmp_path / "etcd-server.key").unlink()
    before = contents(tmp_path)
    pki.ensure(tmp_path)
    after = contents(tmp_path)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"scheduler.crt", "scheduler.key", "etcd-server.crt", "etcd-server.key"}


def test_a_certificate_that_ends_soon_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pki, "CERTIFICATE_DAYS", 29)
    pki.ensure(tmp_path)
    before = contents(tmp_path)
    monkeypatch.undo()
    pki.ensure(tmp_path)
    after = contents(tmp_path)
    assert {name for name in after if after[name] == before[name]} == {
        *(f"{authority}-ca.{part}" for authority in pki.AUTHORITIES for part in ("crt", "key")),
        "service-account.key",
        "service-account.pub",
        "encryption.key",
    }
    assert (load(tmp_path, "admin").not_valid_after_utc - datetime.now(UTC)).days > 360


def test_a_new_authority_makes_all_of_its_certificates_anew(tmp_path: Path) -> None:
    pki.ensure(tmp_path)
    (tmp_path / "etcd-ca.key").unlink()
    before = contents(tmp_path)
    pki.ensure(tmp_path)
    after = contents(tmp_path)
    changed = {name.partition(".")[0] for name in after if after[name] != before.get(name)}
    assert changed == {"etcd-ca", "etcd-server", "apiserver-etcd"}


def test_the_kubeconfig_has_one_context_and_everything_it_needs(folder: Path) -> None:
    document = yaml.safe_load(kubeconfigs.kubeconfig(folder, "admin"))
    assert [context["name"] for context in document["contexts"]] == ["ai-platform-local"]
    assert document["current-context"] == "ai-platform-local"
    assert set(document["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


def test_a_secret_file_is_never_readable_by_others(tmp_path: Path) -> None:
    target = tmp_path / "new" / "secret"
    pki.write_secret(target, b"first")
    pki.write_secret(target, b"second")
    assert target.read_bytes() == b"second"
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(target.parent.iterdir()) == [target]
