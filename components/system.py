"""What a system has once: its scope (namespace or networks), under which all of its components stand."""

from __future__ import annotations

from dataclasses import dataclass

from pulumi import ComponentResource, ResourceOptions

from components.foundation import Foundation
from platforms.protocols import Scope


@dataclass(frozen=True, kw_only=True)
class SystemArgs:
    """Arguments of `System`."""

    host: str
    """Host name under which the system is published."""


class System(ComponentResource):
    """One of the systems of a stack."""

    def __init__(
        self, name: str, args: SystemArgs, foundation: Foundation, opts: ResourceOptions | None = None
    ) -> None:
        # Resources of a system belong to it, not to the foundation, but share the foundation's providers.
        super().__init__(
            "ai-platform:components:System", name, None, ResourceOptions.merge(foundation.providers_of_children, opts)
        )
        self.host = args.host
        self.scope: Scope = foundation.scope(name, self)
        self.url: str = self.scope.edge.url(args.host)
        self.register_outputs({"url": self.url})
