"""Network policies, from the composition: whoever was handed an endpoint reaches it, and nobody else does.

Each namespace refuses everything, in both directions, but questions to the cluster's DNS. A consumer makes two kinds
of policies: one that lets itself out to what it uses, and one for each producer that lets it in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi_kubernetes as kubernetes
from pulumi import Resource, ResourceOptions

from platforms.kubernetes.context import Context, Manifest, PodGrant, grant_of
from platforms.specs import Endpoint

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
DNS_PORTS = (53, 1053)
"""Policies count at the pod: CoreDNS without privileges listens at the second."""
INSIDE = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")
"""Addresses of clusters and of the networks around them."""
LINK_LOCAL = "169.254.0.0/16"
"""Where clouds keep their metadata services."""
PRIVATE = (*INSIDE, LINK_LOCAL)
"""Addresses that are not the Internet's, the metadata services of clouds among them."""

API_PORTS = (443, 6443)


def close(context: Context, name: str, *, parent: Resource) -> list[Resource]:
    """Refuse everything in the namespace but DNS; returns the policies."""
    everybody: Manifest = {}
    opts = ResourceOptions(parent=parent)
    deny = kubernetes.networking.v1.NetworkPolicy(
        f"{name}-default-deny",
        metadata=context.metadata(f"{name}-default-deny", "network", "proxy", name="default-deny"),
        spec={"podSelector": everybody, "policyTypes": ["Ingress", "Egress"]},
        opts=opts,
    )
    dns = kubernetes.networking.v1.NetworkPolicy(
        f"{name}-allow-dns",
        metadata=context.metadata(f"{name}-allow-dns", "network", "proxy", name="allow-dns"),
        spec={
            "podSelector": everybody,
            "policyTypes": ["Egress"],
            "egress": [
                {
                    "to": [
                        {
                            "namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: "kube-system"}},
                            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                        }
                    ],
                    "ports": [
                        {"protocol": protocol, "port": port} for port in DNS_PORTS for protocol in ("UDP", "TCP")
                    ],
                }
            ],
        },
        opts=opts,
    )
    return [deny, dns]


def connect(  # noqa: PLR0913 - who, from where, to whom
    context: Context,
    name: str,
    service: str,
    uses: Sequence[Endpoint],
    *,
    egress: bool = False,
    parent: Resource,
    pods: Mapping[str, str] | None = None,
    role: str = "proxy",
) -> list[Resource]:
    """Let a service's pods reach the endpoints, and the Internet with `egress`; returns the policies."""
    grants = {(grant.namespace, grant.service, grant.port): grant for grant in map(grant_of, uses)}
    own = dict(pods or context.selector(service))
    policies: list[Resource] = []
    outwards = [_rule("to", grant.namespace, grant.pods, grant.port) for _, grant in sorted(grants.items())]
    if egress:
        outwards.append({"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": list(PRIVATE)}}], "ports": [_tcp(443)]})
    if outwards:
        policies.append(
            _policy(
                context,
                f"{name}-egress",
                service,
                role,
                {"podSelector": {"matchLabels": own}, "policyTypes": ["Egress"], "egress": outwards},
                parent,
            )
        )
    policies += [
        admit(context, f"{name}-to-{grant.service}", service, grant, own, parent=parent)
        for _, grant in sorted(grants.items())
        if grant.fenced
    ]
    return policies


def admit(
    context: Context, name: str, service: str, grant: PodGrant, pods: Mapping[str, str], *, parent: Resource
) -> Resource:
    """Let pods of this namespace in to a producer's."""
    return _policy(
        context,
        name,
        service,
        "proxy",
        {
            "podSelector": {"matchLabels": dict(grant.pods)},
            "policyTypes": ["Ingress"],
            "ingress": [_rule("from", context.namespace, pods, grant.port)],
        },
        parent,
        into=grant,
    )


def admit_namespace(context: Context, name: str, grant: PodGrant, namespace: str, *, parent: Resource) -> Resource:
    """Let everything of another namespace in to a producer's pods: the edge's proxy, an operator."""
    peer = {"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: namespace}}}
    return _policy(
        context,
        name,
        grant.service,
        "proxy",
        {
            "podSelector": {"matchLabels": dict(grant.pods)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [peer], "ports": [_tcp(grant.port)]}],
        },
        parent,
        into=grant,
    )


def api_server() -> Manifest:
    """A rule of egress: the API server, by its Service and by where that leads; never the Internet."""
    return {
        "to": [{"ipBlock": {"cidr": cidr}} for cidr in INSIDE],
        "ports": [{"protocol": "TCP", "port": port} for port in API_PORTS],
    }


def _rule(direction: str, namespace: str, pods: Mapping[str, str], port: int) -> Manifest:
    peer = {
        "namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: namespace}},
        "podSelector": {"matchLabels": dict(pods)},
    }
    return {direction: [peer], "ports": [_tcp(port)]}


def _tcp(port: int) -> Manifest:
    return {"protocol": "TCP", "port": port}


def _policy(  # noqa: PLR0913, PLR0917 - one policy
    context: Context,
    name: str,
    service: str,
    role: str,
    spec: Manifest,
    parent: Resource,
    into: PodGrant | None = None,
) -> Resource:
    metadata = context.metadata(name, service, role)
    if into is not None and into.namespace != context.namespace:
        metadata["namespace"] = into.placed or into.namespace
    policy: Resource = kubernetes.networking.v1.NetworkPolicy(
        name, metadata=metadata, spec=spec, opts=ResourceOptions(parent=parent)
    )
    return policy
