"""Certificates of the edge: by cert-manager, from an authority of the stack's own or one of the cluster's, or given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_kubernetes as kubernetes
import pulumi_random as random
from pulumi import Input, Output, Resource, ResourceOptions

from platforms.certificates import authority
from platforms.kubernetes.context import Context, Manifest

CERT_MANAGER = "cert-manager.io/v1"


@dataclass(frozen=True, kw_only=True)
class StackAuthority:
    """Certificates that cert-manager signs by an authority of the stack's own."""

    rotation: int
    """Another number makes another authority."""


@dataclass(frozen=True, kw_only=True)
class Issued:
    """Certificates by an issuer that the cluster has."""

    cluster_issuer: str


@dataclass(frozen=True, kw_only=True)
class Given:
    """A certificate that the configuration names."""

    certificate: str
    """PEM, with its chain."""
    key: Output[str]
    """PEM, secret."""


Tls = StackAuthority | Issued | Given


class Certificates:
    """The certificates of one stack, each in the namespace that its proxy reads it from."""

    def __init__(self, tls: Tls, stack: str) -> None:
        self._tls = tls
        self._stack = stack
        self._key: Output[str] | None = None
        self.authority: Output[str] | None = None
        """PEM, for clients to trust; None where another one signs, and before `begin`."""

    def begin(self, name: str, *, parent: Resource) -> None:
        """Make the authority, where it is the stack's own."""
        if not isinstance(self._tls, StackAuthority):
            return
        # Not RandomBytes: its bytes are its id, too, which the state does not encrypt.
        seed = random.RandomPassword(
            f"{name}-tls-seed",
            length=64,
            special=False,
            keepers={"rotation": str(self._tls.rotation)},
            opts=ResourceOptions(parent=parent),
        )
        made = seed.result.apply(lambda text: authority(text.encode(), self._stack))
        self.authority = Output.unsecret(made.apply(lambda one: one.certificate))
        self._key = made.apply(lambda one: one.key)

    def issue(self, name: str, context: Context, hosts: Sequence[str], *, parent: Resource) -> list[Input[Resource]]:
        """Secrets with a certificate for each host, in the namespace of `context`."""
        tls = self._tls
        if isinstance(tls, Given):
            return [_given(name, context, host, tls, parent) for host in sorted(hosts)]
        issuer: Manifest = {"group": "cert-manager.io", "kind": "ClusterIssuer"}
        after: list[Resource] = []
        if isinstance(tls, Issued):
            issuer["name"] = tls.cluster_issuer
        else:
            after = [self._issuer(name, context, parent)]
            issuer |= {"kind": "Issuer", "name": "authority"}
        return [_certificate(name, context, host, issuer, after, parent) for host in sorted(hosts)]

    def _issuer(self, name: str, context: Context, parent: Resource) -> Resource:
        if self.authority is None or self._key is None:
            raise ValueError("begin() makes the authority that is to sign")
        keys = kubernetes.core.v1.Secret(
            f"{name}-authority",
            type="kubernetes.io/tls",
            metadata=context.metadata(f"{name}-authority", "edge", "proxy"),
            string_data={"tls.crt": self.authority, "tls.key": self._key},
            opts=ResourceOptions(parent=parent),
        )
        issuer: Resource = kubernetes.apiextensions.CustomResource(
            f"{name}-issuer",
            api_version=CERT_MANAGER,
            kind="Issuer",
            metadata=context.metadata(
                f"{name}-issuer",
                "edge",
                "proxy",
                name="authority",
                annotations={"pulumi.com/waitFor": "condition=Ready"},
            ),
            spec={"ca": {"secretName": keys.metadata["name"]}},
            opts=ResourceOptions(parent=parent),
        )
        return issuer


def _certificate(  # noqa: PLR0913, PLR0917 - for whom, by whom, where
    name: str, context: Context, host: str, issuer: Manifest, after: Sequence[Resource], parent: Resource
) -> Resource:
    """ARE-076: renewed by cert-manager a third of its life before it ends."""
    resource = f"{name}-{listener(host)}"
    certificate: Resource = kubernetes.apiextensions.CustomResource(
        resource,
        api_version=CERT_MANAGER,
        kind="Certificate",
        metadata=context.metadata(
            resource, "edge", "proxy", name=secret_of(host), annotations={"pulumi.com/waitFor": "condition=Ready"}
        ),
        spec={
            "secretName": secret_of(host),
            "dnsNames": [host],
            "issuerRef": issuer,
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "usages": ["digital signature", "server auth"],
        },
        opts=ResourceOptions(parent=parent, depends_on=list(after)),
    )
    return certificate


def _given(name: str, context: Context, host: str, tls: Given, parent: Resource) -> Resource:
    resource = f"{name}-{listener(host)}"
    secret: Resource = kubernetes.core.v1.Secret(
        resource,
        type="kubernetes.io/tls",
        metadata=context.metadata(resource, "edge", "proxy", name=secret_of(host)),
        string_data={"tls.crt": tls.certificate, "tls.key": tls.key},
        opts=ResourceOptions(parent=parent),
    )
    return secret


def listener(host: str) -> str:
    """Name of a host's listener: a label of DNS has 63 characters at most, and a host name may be longer."""
    return f"https-{host}".replace("*", "any")[:253]


def secret_of(host: str) -> str:
    """Name of the Secret with a host's certificate."""
    return f"tls-{host}".replace("*", "any")[:253]
