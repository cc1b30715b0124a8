"""The edge by plain Ingresses for ingress-nginx: the same routes, as annotations (ARE-052 … ARE-056).

Annotations hold for a whole Ingress, so every route has one of its own. What only the controller's own configuration
can say is left to it: headers on every response, and the port that a redirect to TLS names, which is 443.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi_kubernetes as kubernetes
from pulumi import Output, Resource, ResourceOptions

from platforms.kubernetes import network
from platforms.kubernetes.certificates import Certificates, secret_of
from platforms.kubernetes.context import Context, Manifest, PodGrant, grant_of
from platforms.kubernetes.edge import COOKIE, HTTPS, NOBODY, RETRIES, EdgeSettings
from platforms.specs import Endpoint, Route

NGINX = "nginx.ingress.kubernetes.io"
METRICS_PORT = 10254
BELOW = "(/|$)(.*)"
"""The rest of a path behind a prefix of whole segments."""
CONNECT_SECONDS = 5


@dataclass
class Ingresses:
    """What the Ingresses of a stack share."""

    context: Context
    """Of the foundation."""
    settings: EdgeSettings
    _hosts: dict[str, Context] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._certificates = Certificates(self.settings.tls, self.context.stack)

    @property
    def authority(self) -> Output[str] | None:
        """The stack's own authority, for clients to trust; None where another one signs."""
        return self._certificates.authority

    @property
    def metrics(self) -> Endpoint:
        """The controller's own metrics; its namespace is not the stack's."""
        namespace = self.settings.gateway_namespace
        pods = {"app.kubernetes.io/name": "ingress-nginx"}
        grant = PodGrant(
            service="edge",
            namespace=namespace,
            pods=pods,
            port=METRICS_PORT,
            placed=self.context.namespace_name.apply(lambda _: namespace),
            fenced=False,
        )
        host = f"ingress-nginx-controller-metrics.{namespace}.svc"
        return Endpoint(scheme="http", host=host, port=METRICS_PORT, grant=grant)

    def edge(self, context: Context) -> IngressEdge:
        """The edge of one system."""
        return IngressEdge(context, self)

    def add(self, host: str, context: Context) -> None:
        """Take a host of a system in. Raises ValueError when the host is routed already."""
        if host in self._hosts:
            raise ValueError(f"host {host!r} is published twice; give each system a host name of its own")
        self._hosts[host] = context

    def open(self, name: str, *, parent: Resource) -> None:
        """Make the certificates, each beside the Ingresses that name it; without a host there is nothing to open."""
        if not self._hosts:
            return
        self._certificates.begin(name, parent=parent)
        for host, context in sorted(self._hosts.items()):
            self._certificates.issue(f"{name}-{context.system}", context, [host], parent=parent)


@dataclass(frozen=True)
class IngressEdge:
    """Implements `platforms.protocols.Edge` for one system."""

    context: Context
    front: Ingresses

    def url(self, host: str) -> str:
        """Where `host` is reached, without a slash at the end."""
        port = self.front.settings.https_port
        return f"https://{host}" + ("" if port == HTTPS else f":{port}")

    def route(self, name: str, host: str, routes: Sequence[Route], *, parent: Resource) -> None:
        """Publish `routes` under `host`."""
        self.front.add(host, self.context)
        namespace = self.front.settings.gateway_namespace
        grants = {grant_of(route.endpoint).service: grant_of(route.endpoint) for route in routes}
        doors = [
            network.admit_namespace(self.context, f"{name}-edge-to-{service}", grant, namespace, parent=parent)
            for service, grant in sorted(grants.items())
        ]
        for route in routes:
            slug = route.path.strip("/").replace("/", "-") or "root"
            prefix = route.path.rstrip("/")
            rewritten = f"{prefix}{BELOW}" if route.strip_prefix else None
            self._ingress(f"{name}-{slug}", host, route, [rewritten or prefix or "/"], notes_of(route), doors, parent)
            if route.private:
                hidden = [f"{prefix}/{path}{BELOW}" for path in route.private]
                nobody = _prefixed({"use-regex": "true", "whitelist-source-range": NOBODY})
                self._ingress(f"{name}-{slug}-private", host, route, hidden, nobody, doors, parent)

    def _ingress(  # noqa: PLR0913, PLR0917 - one of them
        self,
        name: str,
        host: str,
        route: Route,
        paths: Sequence[str],
        notes: dict[str, str],
        doors: Sequence[Resource],
        parent: Resource,
    ) -> None:
        service = {"name": route.endpoint.host, "port": {"number": route.endpoint.port}}
        kubernetes.networking.v1.Ingress(
            name,
            metadata=self.context.metadata(name, "ingress", "proxy", annotations=notes),
            spec={
                "ingressClassName": self.front.settings.gateway_class,
                "tls": [{"hosts": [host], "secretName": secret_of(host)}],
                "rules": [{"host": host, "http": {"paths": [_path(path, service) for path in paths]}}],
            },
            opts=ResourceOptions(parent=parent, depends_on=list(doors)),
        )


def notes_of(route: Route) -> dict[str, str]:
    """A route's settings in the controller's words; websockets need none."""
    notes = {
        "ssl-redirect": "true",
        "force-ssl-redirect": "true",
        "proxy-body-size": str(route.max_body),
        "proxy-connect-timeout": str(CONNECT_SECONDS),
        "proxy-read-timeout": str(route.timeout),
        "proxy-send-timeout": str(route.timeout),
        "proxy-next-upstream": "error timeout",
        "proxy-next-upstream-tries": str(RETRIES),
    }
    if route.strip_prefix:
        notes |= {"use-regex": "true", "rewrite-target": "/$2"}
    if route.sticky:
        # ARE-055: a client stays on one pod, by a cookie.
        notes |= {
            "affinity": "cookie",
            "affinity-mode": "persistent",
            "session-cookie-name": COOKIE,
            "session-cookie-samesite": "Lax",
            "session-cookie-secure": "true",
        }
    return _prefixed(notes)


def _prefixed(notes: dict[str, str]) -> dict[str, str]:
    return {f"{NGINX}/{key}": value for key, value in notes.items()}


def _path(path: str, service: Manifest) -> Manifest:
    kind = "ImplementationSpecific" if path.endswith(BELOW) else "Prefix"
    return {"path": path, "pathType": kind, "backend": {"service": service}}
