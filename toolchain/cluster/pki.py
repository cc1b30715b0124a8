"""Keys and certificates of the cluster: made once, renewed before they end, readable by their owner alone."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from toolchain.cluster.settings import API_ADDRESS, DOMAIN, NODE, NODE_ADDRESS

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
RENEWAL = timedelta(days=30)
"""A certificate that ends sooner than this is made anew."""
MASTERS = "system:masters"
AUTHORITIES = ("cluster", "etcd", "front-proxy")
"""Three, so that a key for one of them opens neither of the others."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What one certificate says."""

    name: str
    authority: str
    common_name: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    """Names and addresses that it serves; a client's has none."""


LOOPBACK = ("localhost", "127.0.0.1")
CERTIFICATES = (
    Certificate(
        name="apiserver",
        authority="cluster",
        common_name="kube-apiserver",
        hosts=(
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{DOMAIN}",
            str(API_ADDRESS),
            str(NODE_ADDRESS),
            *LOOPBACK,
        ),
    ),
    Certificate(
        name="apiserver-kubelet", authority="cluster", common_name="kube-apiserver-kubelet-client", groups=(MASTERS,)
    ),
    Certificate(name="apiserver-etcd", authority="etcd", common_name="kube-apiserver-etcd-client"),
    Certificate(name="front-proxy-client", authority="front-proxy", common_name="front-proxy-client"),
    Certificate(name="etcd-server", authority="etcd", common_name="etcd", hosts=LOOPBACK),
    Certificate(
        name="metrics-server",
        authority="cluster",
        common_name="metrics-server",
        hosts=("metrics-server.kube-system.svc", f"metrics-server.kube-system.svc.{DOMAIN}"),
    ),
    Certificate(name="admin", authority="cluster", common_name="ai-platform-admin", groups=(MASTERS,)),
    Certificate(name="controller-manager", authority="cluster", common_name="system:kube-controller-manager"),
    Certificate(name="scheduler", authority="cluster", common_name="system:kube-scheduler"),
    Certificate(name="kube-proxy", authority="cluster", common_name="system:kube-proxy"),
    Certificate(name="kube-router", authority="cluster", common_name="ai-platform:kube-router"),
    Certificate(name="kwok", authority="cluster", common_name="ai-platform:kwok"),
    Certificate(name="kubelet", authority="cluster", common_name=f"system:node:{NODE}", groups=("system:nodes",)),
    Certificate(
        name="kubelet-server",
        authority="cluster",
        common_name=f"system:node:{NODE}",
        groups=("system:nodes",),
        hosts=(NODE, str(NODE_ADDRESS), *LOOPBACK),
    ),
)


def write_secret(path: Path, content: bytes) -> None:
    """Replace a file, which only its owner can read from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as sink:
        sink.write(content)
    fresh.rename(path)


def ensure(folder: Path) -> None:
    """Make what is missing or about to end; what is there and good stays as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for authority in AUTHORITIES:
        if not _valid(folder / f"{authority}-ca.crt", folder / f"{authority}-ca.key"):
            _make_authority(folder, authority)
    for wanted in CERTIFICATES:
        if not _current(folder, wanted):
            _make_certificate(folder, wanted)
    if not (folder / "service-account.key").is_file():
        _make_service_account_key(folder)
    if not (folder / "encryption.key").is_file():
        write_secret(folder / "encryption.key", secrets.token_bytes(32))


def _valid(certificate: Path, key: Path) -> bool:
    if not (certificate.is_file() and key.is_file()):
        return False
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc - datetime.now(UTC) > RENEWAL


def _current(folder: Path, wanted: Certificate) -> bool:
    file = folder / f"{wanted.name}.crt"
    if not _valid(file, folder / f"{wanted.name}.key"):
        return False
    found = x509.load_pem_x509_certificate(file.read_bytes())
    authority = x509.load_pem_x509_certificate((folder / f"{wanted.authority}-ca.crt").read_bytes())
    try:
        found.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001  (cryptography raises one kind per reason; each means: not of this authority)
        return False
    return found.subject == _subject(wanted.common_name, wanted.groups) and _hosts(found) == _names(wanted.hosts)


def _hosts(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(IPv4Address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _subject(common_name: str, groups: Sequence[str]) -> x509.Name:
    organisations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organisations, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # A clock that is set back a little must not make it invalid.
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _make_authority(folder: Path, name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"ai-platform local cluster: {name}", ())
    certificate = (
        _builder(subject, subject, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(folder, f"{name}-ca", certificate, key)


def _make_certificate(folder: Path, wanted: Certificate) -> None:
    authority = x509.load_pem_x509_certificate((folder / f"{wanted.authority}-ca.crt").read_bytes())
    signer = serialization.load_pem_private_key((folder / f"{wanted.authority}-ca.key").read_bytes(), None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{wanted.authority}-ca.key is no elliptic curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if wanted.hosts:
        uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
    builder = (
        _builder(_subject(wanted.common_name, wanted.groups), authority.subject, key.public_key(), CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
    )
    if wanted.hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(_names(wanted.hosts)), critical=False)
    _write(folder, wanted.name, builder.sign(signer, hashes.SHA256()), key)


def _make_service_account_key(folder: Path) -> None:
    # RS256 is what every reader of service-account tokens understands.
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_secret(folder / "service-account.pub", public)
    write_secret(folder / "service-account.key", _private(key))


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    # The key first: a certificate without its key would be taken for good after an interruption.
    (folder / f"{name}.crt").unlink(missing_ok=True)
    write_secret(folder / f"{name}.key", _private(key))
    write_secret(folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))
