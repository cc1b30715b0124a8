"""No request is lost while the stack changes: the API, its environment, its size, the web page, and NGINX itself."""

from __future__ import annotations

import datetime
import io
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.docker.conftest import PLATFORM
from tests.docker.stack import Stack, eventually
from tests.support.traffic import CLIENTS, KINDS, Traffic, trust

RELEASE = "ai-platform-e2e/release:2"


@pytest.fixture(scope="module")
def release(stack: Stack) -> Iterator[str]:
    """Another release of the application: the same, with a label."""
    app = stack.containers("api")[0].attrs["Image"]
    dockerfile = f"FROM {app}\nLABEL release=2\n"
    stack.engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=RELEASE, rm=True)
    yield RELEASE
    stack.engine.images.remove(RELEASE, force=True)


@pytest.fixture(scope="module")
def changed(stack: Stack) -> Iterator[dict[str, Any]]:
    """What the tests of this module have changed so far: each adds a change to it, and the end takes all back."""
    keys: dict[str, Any] = {}
    yield keys
    stack.configure(platform=PLATFORM)
    stack.make("up")


def roll_out(stack: Stack, changed: dict[str, Any], service: str, **keys: Any) -> None:
    """`make up` with other keys of a service, under traffic."""
    changed.setdefault(service, {}).update(keys)
    traffic = Traffic(stack, trust(stack))
    stack.configure(platform=PLATFORM, systems=[{"name": "ai-review-engine", "services": changed}])
    with traffic:
        stack.make("up")
        traffic.reach()
    traffic.assert_lossless()


def ids(stack: Stack, service: str) -> set[str]:
    """The containers of a service."""
    return {str(one.id) for one in stack.containers(service)}


def test_another_image_of_the_api_loses_no_request(stack: Stack, changed: dict[str, Any], release: str) -> None:
    before = ids(stack, "api")
    roll_out(stack, changed, "api", image=release)
    assert len(ids(stack, "api")) == 2
    assert ids(stack, "api").isdisjoint(before)
    assert {one.labels.get("release") for one in stack.containers("api")} == {"2"}


def test_another_environment_of_the_api_loses_no_request(stack: Stack, changed: dict[str, Any]) -> None:
    roll_out(stack, changed, "api", env={"LOG_LEVEL": "debug"})
    assert len(stack.containers("api")) == 2
    assert all("LOG_LEVEL=debug" in one.attrs["Config"]["Env"] for one in stack.containers("api"))


@pytest.mark.parametrize("replicas", [3, 2])
def test_another_number_of_replicas_loses_no_request(stack: Stack, changed: dict[str, Any], replicas: int) -> None:
    before = ids(stack, "api")
    roll_out(stack, changed, "api", replicas=replicas)
    assert len(ids(stack, "api")) == replicas
    assert ids(stack, "api") > before or ids(stack, "api") < before


def test_another_image_of_the_web_page_loses_no_request(stack: Stack, changed: dict[str, Any], release: str) -> None:
    before = ids(stack, "web")
    roll_out(stack, changed, "web", image=release)
    assert len(ids(stack, "web")) == 2
    assert ids(stack, "web").isdisjoint(before)


def test_another_certificate_is_taken_over_by_a_reload_that_loses_no_request(
    stack: Stack, changed: dict[str, Any], tmp_path: Path
) -> None:
    """A renewed certificate changes NGINX's configuration, and nothing else of the stack."""
    (edge,) = stack.containers("edge")
    certificate, key = self_signed()
    (tmp_path / "tls.crt").write_text(certificate, encoding="ascii")
    (tmp_path / "tls.key").write_text(key, encoding="ascii")
    traffic = Traffic(stack, trust(stack, certificate))
    stack.configure(
        platform=PLATFORM,
        systems=[{"name": "ai-review-engine", "services": changed}],
        tls={"mode": "files", "certificate": str(tmp_path / "tls.crt"), "key": str(tmp_path / "tls.key")},
    )
    with traffic:
        stack.make("up")
        eventually(lambda: shown(stack) == certificate, what="the new certificate is shown")
        traffic.reach()
    # A reload closes the idle connections of clients: each may have been sending just then.
    kept = CLIENTS * sum(kept for _, _, kept in KINDS)
    traffic.assert_lossless(resent=lambda count: count <= kept)
    (after,) = stack.containers("edge")
    assert (after.id, after.attrs["State"]["StartedAt"]) == (edge.id, edge.attrs["State"]["StartedAt"])


def shown(stack: Stack) -> str:
    """The certificate that the proxy shows to a new client."""
    return ssl.get_server_certificate(("localhost", stack.port))


def self_signed() -> tuple[str, str]:
    """A certificate for localhost that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), secret.decode()
