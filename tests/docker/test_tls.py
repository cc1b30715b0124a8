"""The edge's TLS as a scanner sees it: current versions and ciphers, a certificate that fits, HSTS, a redirect."""

from __future__ import annotations

import socket
import ssl
import warnings
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.docker.conftest import HTTP_PORT
from tests.docker.stack import Stack

STRONG = {
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
}
"""What TLS 1.2 may speak with an ECDSA key: forward secrecy and authenticated encryption."""


def anything() -> ssl.SSLContext:
    """A client that would take whatever this OpenSSL can still speak."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    return context


def shake(stack: Stack, context: ssl.SSLContext, name: str = "localhost") -> ssl.SSLSocket:
    """A finished handshake. Raises OSError when the server refuses."""
    return context.wrap_socket(socket.create_connection(("127.0.0.1", stack.port), timeout=5), server_hostname=name)


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_old_versions_are_refused(stack: Stack, version: str) -> None:
    context = anything()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with pytest.raises((ssl.SSLError, ConnectionError)) as refused:
        shake(stack, context)
    assert "NO_PROTOCOLS_AVAILABLE" not in str(refused.value), "this client cannot speak it: nothing was tried"


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_current_versions_are_spoken(stack: Stack, version: str) -> None:
    context = anything()
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with shake(stack, context) as connection:
        assert connection.version() == version.replace("_", ".")


def test_of_all_ciphers_that_this_client_knows_only_the_strong_are_accepted(stack: Stack) -> None:
    names = {str(one["name"]) for one in anything().get_ciphers() if one["protocol"] != "TLSv1.3"}
    assert names > STRONG
    assert len(names) > 30
    accepted = set()
    for name in names:
        context = anything()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"{name}:@SECLEVEL=0")
        try:
            shake(stack, context).close()
        except OSError:
            continue
        accepted.add(name)
    assert accepted == STRONG


def test_the_certificate_is_for_this_host_signed_by_the_stacks_authority_and_not_for_ever(stack: Stack) -> None:
    with shake(stack, stack.trust()) as connection:
        raw = connection.getpeercert(binary_form=True)
        assert connection.compression() is None
    assert raw is not None
    certificate = x509.load_der_x509_certificate(raw)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    now = datetime.now(UTC)
    assert certificate.not_valid_before_utc < now < certificate.not_valid_after_utc
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc < timedelta(days=3660)


def test_nobody_else_is_taken_for_this_host(stack: Stack) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(stack, ssl.create_default_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(stack, stack.trust(), name="another.example")


def test_browsers_are_told_to_come_back_over_tls_only(stack: Stack) -> None:
    for path in ("/", "/api/health", "/no/such/page", "/dashboard/"):
        policy = stack.get(path).headers["Strict-Transport-Security"]
        assert int(policy.partition("max-age=")[2].split(";")[0]) >= 31_536_000, path


@pytest.mark.parametrize("path", ["/", "/api/jobs?x=1", "/dashboard/"])
def test_plain_http_answers_with_the_way_to_tls_and_nothing_else(stack: Stack, path: str) -> None:
    answer = stack.request(f"http://localhost:{HTTP_PORT}{path}")
    assert (answer.status, answer.headers["Location"]) == (308, f"{stack.url}{path}")


def test_plain_http_on_the_tls_port_is_refused(stack: Stack) -> None:
    assert stack.request(f"http://localhost:{stack.port}/api/health").status == 400


def test_an_unknown_host_name_gets_no_content(stack: Stack) -> None:
    assert stack.get("/", headers={"Host": "another.example"}).status == 421
