"""Whether the cluster's programs answer; each question takes two seconds at most."""

from __future__ import annotations

import http.client
import socket
import ssl
from pathlib import Path

from toolchain.cluster.settings import PKI

TIMEOUT = 2.0


def get(address: str, port: int, path: str, *, tls: ssl.SSLContext | None = None) -> tuple[int, str]:
    """Status and body of a request.

    Raises OSError when nobody answers in time.
    """
    kind = http.client.HTTPConnection(address, port, timeout=TIMEOUT)
    if tls is not None:
        kind = http.client.HTTPSConnection(address, port, timeout=TIMEOUT, context=tls)
    try:
        kind.request("GET", path)
        answer = kind.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        kind.close()


def trusting(authority: str, certificate: str | None = None) -> ssl.SSLContext:
    """A context that trusts one of the cluster's authorities, and shows a certificate where one is named."""
    context = ssl.create_default_context(cafile=str(PKI / f"{authority}-ca.crt"))
    if certificate:
        context.load_cert_chain(PKI / f"{certificate}.crt", PKI / f"{certificate}.key")
    return context


def own_certificate() -> ssl.SSLContext:
    """A context for programs that make their own certificate at every start: only their health is asked for."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def listens(path: Path) -> bool:
    """Whether somebody accepts connections on a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(TIMEOUT)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def is_free(address: str, port: int) -> bool:
    """Whether a TCP port of an address of this machine can be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
