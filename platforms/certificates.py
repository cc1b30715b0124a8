"""TLS without a public authority: a certificate authority of the stack's own, and a certificate under it.

Keys and certificates are computed from one random seed, which is the only thing that is stored: with the same seed and
host names every run gives the same bytes (ECDSA signatures by RFC 6979). So a second `pulumi up` changes nothing, no
key lies in a file, and destroying the stack forgets them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CURVE = ec.SECP256R1()
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of the group of P-256 (SEC 2, 2.4.2): private keys are 1 … order - 1."""
COMMON_LENGTH = 64
"""Of a common name (RFC 5280, ub-common-name)."""
NOT_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2036, 1, 1, tzinfo=UTC)
"""Ten years: it is trusted on one host only, and rotated by changing `tls.rotation`."""


@dataclass(frozen=True)
class Certificates:
    """PEM texts."""

    authority: str
    certificate: str
    """The server's certificate, followed by the authority's."""
    key: str


@dataclass(frozen=True)
class Authority:
    """A certificate authority, as PEM texts."""

    certificate: str
    key: str


def authority(seed: bytes, stack: str) -> Authority:
    """The authority alone, for somebody else to sign with.

    Raises ValueError when the seed is shorter than 32 bytes.
    """
    certificate, key = _authority(seed, stack)
    return Authority(certificate=certificate.public_bytes(serialization.Encoding.PEM).decode(), key=_private(key))


def derive(seed: bytes, stack: str, hosts: Sequence[str]) -> Certificates:
    """The authority, and a server certificate for `hosts` (DNS names or addresses), from a random seed.

    Raises ValueError when the seed is shorter than 32 bytes or there is no host.
    """
    if not hosts:
        raise ValueError("a seed of at least 32 bytes and at least one host name are needed")
    signer, signer_key = _authority(seed, stack)
    server_key = _key(seed, "server")
    server_name = _name(hosts[0])
    purpose = "server " + " ".join(sorted(hosts))
    server = _sign(
        _builder(seed, purpose, server_name, signer.subject, server_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key()), critical=False),
        signer_key,
    )
    pem = serialization.Encoding.PEM
    return Certificates(
        authority=signer.public_bytes(pem).decode(),
        certificate=(server.public_bytes(pem) + signer.public_bytes(pem)).decode(),
        key=_private(server_key),
    )


def _authority(seed: bytes, stack: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    if len(seed) < 32:  # noqa: PLR2004 - 256 bits
        raise ValueError("a seed of at least 32 bytes is needed")
    key, name = _key(seed, "authority"), _name(f"ai-platform {stack} local authority")
    certificate = _sign(
        _builder(seed, "authority", name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False),
        key,
    )
    return certificate, key


def _private(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _name(text: str) -> x509.Name:
    """As much of the text as X.509 takes: only people read it."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:COMMON_LENGTH])])


def _key(seed: bytes, purpose: str) -> ec.EllipticCurvePrivateKey:
    # 64 bytes reduced modulo the order: the bias is below 2^-256.
    number = int.from_bytes(hashlib.blake2b(purpose.encode(), key=seed[:64], digest_size=64).digest())
    return ec.derive_private_key(number % (ORDER - 1) + 1, CURVE)


def _builder(
    seed: bytes, purpose: str, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    serial = int.from_bytes(hashlib.blake2b(f"serial {purpose}".encode(), key=seed[:64], digest_size=16).digest())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial | 1)
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
    )


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
