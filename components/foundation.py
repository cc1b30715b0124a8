"""What a stack has once: the edge with the public ports, and the exporters of the host or the nodes.

Systems open their scopes on it. It leaves to `System` everything that a single system owns.
"""

from __future__ import annotations

from dataclasses import dataclass

from pulumi import ComponentResource, Output, ResourceOptions

from platforms.protocols import Platform, Scope
from platforms.specs import Endpoint


@dataclass(frozen=True, kw_only=True)
class FoundationArgs:
    """Arguments of `Foundation`."""

    domain: str
    """Host name under which the stack is reached."""


class Foundation(ComponentResource):
    """The ground that the systems of a stack stand on."""

    def __init__(
        self, name: str, args: FoundationArgs, platform: Platform, opts: ResourceOptions | None = None
    ) -> None:
        self.providers_of_children = ResourceOptions(providers=dict(platform.providers()))
        """Handed on to the systems: the platform's explicit providers, never the default ones."""
        super().__init__(
            "ai-platform:components:Foundation", name, None, ResourceOptions.merge(self.providers_of_children, opts)
        )
        self._ground = platform.ground(name, parent=self)
        self.domain = args.domain
        self.host_metrics: Endpoint = self._ground.host_metrics
        self.edge_metrics: Endpoint = self._ground.edge_metrics
        self.register_outputs({"domain": self.domain})

    def scope(self, system: str, parent: ComponentResource) -> Scope:
        """Open the scope of one system."""
        return self._ground.scope(system, parent=parent)

    def open(self) -> None:
        """Start to answer; called when every system has published its routes."""
        self._ground.open_edge(parent=self)

    @property
    def authority(self) -> Output[str] | None:
        """PEM certificate of the local authority, once the edge is open; None where a public one signs."""
        return self._ground.authority
