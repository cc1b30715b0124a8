import datetime
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store

from platforms.certificates import derive

SEED = b"s" * 64
NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)


def chain(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode())


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert derive(SEED, "dev", ["localhost"]) == derive(SEED, "dev", ["localhost"])


def test_another_seed_gives_another_key_and_authority() -> None:
    one, other = derive(SEED, "dev", ["localhost"]), derive(b"t" * 64, "dev", ["localhost"])
    assert one.key != other.key
    assert one.authority != other.authority


def test_the_server_certificate_verifies_against_the_authority_for_every_host() -> None:
    derived = derive(SEED, "dev", ["localhost", "api.example.org"])
    server, *rest = chain(derived.certificate)
    builder = PolicyBuilder().store(Store(chain(derived.authority))).time(NOW)
    for host in ("localhost", "api.example.org"):
        verified = builder.build_server_verifier(x509.DNSName(host)).verify(server, rest)
        assert verified[0] == server
    with pytest.raises(x509.verification.VerificationError):
        builder.build_server_verifier(x509.DNSName("elsewhere.example.org")).verify(server, rest)


def test_an_address_becomes_an_ip_name() -> None:
    server = chain(derive(SEED, "dev", ["127.0.0.1"]).certificate)[0]
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1")]


def test_the_key_belongs_to_the_server_certificate() -> None:
    derived = derive(SEED, "dev", ["localhost"])
    key = serialization.load_pem_private_key(derived.key.encode(), password=None)
    assert key.public_key() == chain(derived.certificate)[0].public_key()


def test_the_authority_may_sign_servers_but_no_further_authority() -> None:
    constraints = chain(derive(SEED, "dev", ["localhost"]).authority)[0].extensions
    basic = constraints.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)


@pytest.mark.parametrize(("seed", "hosts"), [(b"short", ["localhost"]), (SEED, [])])
def test_a_short_seed_or_no_host_is_refused(seed: bytes, hosts: list[str]) -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        derive(seed, "dev", hosts)


def test_the_longest_names_get_certificates_that_verify() -> None:
    stack, host = "s" * 100, ".".join(["h" * 63] * 3 + ["h" * 61])
    derived = derive(SEED, stack, [host])
    server, *rest = chain(derived.certificate)
    builder = PolicyBuilder().store(Store(chain(derived.authority))).time(NOW)
    assert builder.build_server_verifier(x509.DNSName(host)).verify(server, rest)[0] == server
