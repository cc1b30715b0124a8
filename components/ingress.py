"""Publishes tiers of a system under one host name, over TLS. The port and the certificate are the foundation's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pulumi import ComponentResource, ResourceOptions

from platforms.protocols import Scope
from platforms.specs import Route


@dataclass(frozen=True, kw_only=True)
class IngressArgs:
    """Arguments of `Ingress`."""

    host: str
    """Host name."""
    routes: Sequence[Route]
    """Path prefixes and where they lead; the longest match wins."""


class Ingress(ComponentResource):
    """The public face of a system."""

    def __init__(self, name: str, args: IngressArgs, scope: Scope, opts: ResourceOptions | None = None) -> None:
        super().__init__("ai-platform:components:Ingress", name, None, opts)
        paths = [route.path for route in args.routes]
        if len(set(paths)) != len(paths) or not all(path.startswith("/") and path.endswith("/") for path in paths):
            raise ValueError(f"{name}: routes need distinct paths that start and end with '/', not {paths}")
        scope.edge.route(name, args.host, args.routes, parent=self)
        self.url: str = scope.edge.url(args.host)
        self.register_outputs({"url": self.url})
