"""The edge: one Gateway for the stack, an HTTPRoute for each host, certificates by cert-manager (ARE-052 … ARE-056).

Gateway API where it says what is needed; Traefik's own objects for the rest: body size, stickiness, retries, and paths
that are for the inside only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import pulumi_kubernetes as kubernetes
from pulumi import Input, Output, Resource, ResourceOptions

from platforms.headers import SECURITY
from platforms.kubernetes import network
from platforms.kubernetes.certificates import Certificates, Tls, listener, secret_of
from platforms.kubernetes.context import LABEL, Context, Manifest, PodGrant, grant_of
from platforms.specs import Endpoint, Route

GATEWAY_API = "gateway.networking.k8s.io/v1"
TRAEFIK = "traefik.io/v1alpha1"
METRICS_PORT = 9100
GATEWAY = "edge"
HTTPS = 443
COOKIE = "ai_platform_replica"
NOBODY = "255.255.255.255/32"
"""No client has this address."""
RETRIES = 3
"""A connection that a pod refuses because it just ended goes to another one."""


@dataclass(frozen=True, kw_only=True)
class EdgeSettings:
    """Which gateway, on which ports, as whom."""

    kind: Literal["gateway", "ingress"]
    """Routes of the Gateway API for Traefik, or Ingresses for ingress-nginx."""
    gateway_class: str
    """GatewayClass or IngressClass."""
    gateway_namespace: str
    """Where the proxy's pods are."""
    http_port: int
    https_port: int
    """Ports that clients use."""
    http_listener: int
    https_listener: int
    """Ports of the proxy's entry points, which listeners must name."""
    tls: Tls


@dataclass
class Gateway:
    """The one Gateway of the stack."""

    context: Context
    """Of the foundation."""
    settings: EdgeSettings
    _hosts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._certificates = Certificates(self.settings.tls, self.context.stack)

    @property
    def authority(self) -> Output[str] | None:
        """The stack's own authority, for clients to trust; None where another one signs."""
        return self._certificates.authority

    def edge(self, context: Context) -> KubernetesEdge:
        """The edge of one system."""
        return KubernetesEdge(context, self)

    @property
    def metrics(self) -> Endpoint:
        """The proxy's own metrics; its namespace is not the stack's."""
        namespace = self.settings.gateway_namespace
        grant = PodGrant(
            service="edge",
            namespace=namespace,
            pods={"app.kubernetes.io/name": "traefik"},
            port=METRICS_PORT,
            # Operators that the stack installs are there before its own namespaces.
            placed=self.context.namespace_name.apply(lambda _: namespace),
            fenced=False,
        )
        return Endpoint(scheme="http", host=f"traefik.{namespace}.svc", port=METRICS_PORT, grant=grant)

    def add(self, host: str) -> str:
        """Take a host in; returns the name of its listener. Raises ValueError when the host is routed already."""
        if host in self._hosts:
            raise ValueError(f"host {host!r} is published twice; give each system a host name of its own")
        self._hosts.append(host)
        return listener(host)

    def open(self, name: str, *, parent: Resource) -> None:
        """Listen for every host; without one there is nothing to open."""
        if not self._hosts:
            return
        self._certificates.begin(name, parent=parent)
        certificates = self._certificates.issue(name, self.context, self._hosts, parent=parent)
        gateway = kubernetes.apiextensions.CustomResource(
            name,
            api_version=GATEWAY_API,
            kind="Gateway",
            metadata=self.context.metadata(
                name, "edge", "proxy", name=GATEWAY, annotations={"pulumi.com/waitFor": "condition=Programmed"}
            ),
            spec={
                "gatewayClassName": self.settings.gateway_class,
                "listeners": [
                    {
                        "name": "http",
                        "protocol": "HTTP",
                        "port": self.settings.http_listener,
                        "allowedRoutes": {"namespaces": {"from": "Same"}},
                    },
                    *(self._listener(host) for host in sorted(self._hosts)),
                ],
            },
            opts=ResourceOptions(parent=parent, depends_on=certificates),
        )
        kubernetes.apiextensions.CustomResource(
            f"{name}-redirect",
            api_version=GATEWAY_API,
            kind="HTTPRoute",
            metadata=self.context.metadata(f"{name}-redirect", "edge", "proxy", name="redirect-to-https"),
            spec={
                "parentRefs": [{"name": GATEWAY, "sectionName": "http"}],
                "hostnames": sorted(self._hosts),
                "rules": [
                    {
                        "filters": [
                            {
                                "type": "RequestRedirect",
                                "requestRedirect": {
                                    "scheme": "https",
                                    "port": self.settings.https_port,
                                    "statusCode": 301,
                                },
                            }
                        ]
                    }
                ],
            },
            opts=ResourceOptions(parent=parent, depends_on=[gateway]),
        )

    def _listener(self, host: str) -> Manifest:
        return {
            "name": listener(host),
            "protocol": "HTTPS",
            "port": self.settings.https_listener,
            "hostname": host,
            "tls": {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": secret_of(host)}]},
            "allowedRoutes": {
                "namespaces": {
                    "from": "Selector",
                    "selector": {"matchLabels": {f"{LABEL}/stack": self.context.stack}},
                }
            },
        }


@dataclass(frozen=True)
class KubernetesEdge:
    """Implements `platforms.protocols.Edge` for one system: the Gateway is the stack's."""

    context: Context
    gateway: Gateway

    def url(self, host: str) -> str:
        """Where `host` is reached, without a slash at the end."""
        port = self.gateway.settings.https_port
        return f"https://{host}" + ("" if port == HTTPS else f":{port}")

    def route(self, name: str, host: str, routes: Sequence[Route], *, parent: Resource) -> None:
        """Publish `routes` under `host`."""
        section = self.gateway.add(host)
        waits: list[Input[Resource]] = list(self._middlewares(name, routes, parent))
        waits += [self._sticky(name, route, parent) for route in routes if route.sticky]
        grants = {grant_of(route.endpoint).service: grant_of(route.endpoint) for route in routes}
        waits += [
            network.admit_namespace(
                self.context,
                f"{name}-edge-to-{service}",
                grant,
                self.gateway.settings.gateway_namespace,
                parent=parent,
            )
            for service, grant in sorted(grants.items())
        ]
        kubernetes.apiextensions.CustomResource(
            name,
            api_version=GATEWAY_API,
            kind="HTTPRoute",
            metadata=self.context.metadata(name, "ingress", "proxy"),
            spec={
                "parentRefs": [
                    {
                        "name": GATEWAY,
                        "namespace": self.gateway.context.namespace,
                        "sectionName": section,
                    }
                ],
                "hostnames": [host],
                "rules": [rule for route in _longest_first(routes) for rule in self._rules(route)],
            },
            opts=ResourceOptions(parent=parent, depends_on=waits),
        )

    def _rules(self, route: Route) -> list[Manifest]:
        backend: Manifest = {"name": route.endpoint.host, "port": route.endpoint.port}
        if route.sticky:
            backend = {"group": "traefik.io", "kind": "TraefikService", "name": f"{route.endpoint.host}-sticky"}
        headers = [{"name": name, "value": value} for name, value in SECURITY]
        filters: list[Manifest] = [
            {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": headers}},
            _extension("retry"),
            _extension(_body_limit(route)),
        ]
        if route.strip_prefix:
            rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
            filters.append({"type": "URLRewrite", "urlRewrite": rewrite})
        hidden = [_match(f"{route.path}{path}") for path in route.private]
        rules: list[Manifest] = []
        if hidden:
            rules.append({"matches": hidden, "filters": [_extension("nobody")], "backendRefs": [backend]})
        rules.append({"matches": [_match(route.path)], "filters": filters, "backendRefs": [backend]})
        return rules

    def _middlewares(self, name: str, routes: Sequence[Route], parent: Resource) -> list[Resource]:
        specs: dict[str, Manifest] = {
            "retry": {"retry": {"attempts": RETRIES, "initialInterval": "100ms"}},
            "nobody": {"ipAllowList": {"sourceRange": [NOBODY], "rejectStatusCode": 404}},
            **{_body_limit(route): {"buffering": {"maxRequestBodyBytes": route.max_body}} for route in routes},
        }
        return [
            kubernetes.apiextensions.CustomResource(
                f"{name}-{middleware}",
                api_version=TRAEFIK,
                kind="Middleware",
                metadata=self.context.metadata(f"{name}-{middleware}", "ingress", "proxy", name=middleware),
                spec=spec,
                opts=ResourceOptions(parent=parent),
            )
            for middleware, spec in sorted(specs.items())
        ]

    def _sticky(self, name: str, route: Route, parent: Resource) -> Resource:
        """ARE-055: a client stays on one pod, by a cookie."""
        host = route.endpoint.host
        cookie = {"name": COOKIE, "httpOnly": True, "secure": True, "sameSite": "lax"}
        service: Resource = kubernetes.apiextensions.CustomResource(
            f"{name}-{host}-sticky",
            api_version=TRAEFIK,
            kind="TraefikService",
            metadata=self.context.metadata(f"{name}-{host}-sticky", "ingress", "proxy", name=f"{host}-sticky"),
            spec={
                "weighted": {
                    "services": [
                        {"name": host, "port": route.endpoint.port, "weight": 1, "sticky": {"cookie": cookie}}
                    ],
                }
            },
            opts=ResourceOptions(parent=parent),
        )
        return service


def _longest_first(routes: Sequence[Route]) -> list[Route]:
    return sorted(routes, key=lambda route: (-len(route.path), route.path))


def _match(path: str) -> Manifest:
    # The specification takes `/api/` and `/api` for the same prefix, of whole segments.
    return {"path": {"type": "PathPrefix", "value": path.rstrip("/") or "/"}}


def _body_limit(route: Route) -> str:
    return f"body-{route.max_body}"


def _extension(middleware: str) -> Manifest:
    reference = {"group": "traefik.io", "kind": "Middleware", "name": middleware}
    return {"type": "ExtensionRef", "extensionRef": reference}
