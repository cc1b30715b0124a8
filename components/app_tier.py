"""A tier of a system that answers requests: N equal replicas behind one name.

Replaced without a gap (new replicas are healthy before old ones stop). Publishing it is `Ingress`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pulumi import ComponentResource, Input, ResourceOptions

from platforms.protocols import Scope
from platforms.specs import (
    Endpoint,
    Health,
    HttpProbe,
    PublishedPort,
    Resources,
    Scale,
    SecretRef,
    ServiceSpec,
    Started,
    UrlTemplate,
    Volume,
)


@dataclass(frozen=True, kw_only=True)
class AppTierArgs:
    """Arguments of `AppTier`."""

    service: str
    """Name of the tier inside the system, and its DNS name there."""
    image: str
    """Image reference or id."""
    command: tuple[str, ...]
    """Start command, as the system's document gives it."""
    working_dir: str
    """Absolute path that the command starts in."""
    port: int
    """Port that the tier answers on."""
    health_path: str
    """Path that answers with a status below 400 when a replica works."""
    resources: Resources
    """Compute of one replica."""
    replicas: int = 2
    """Number of replicas; two, so that losing one loses no request."""
    scale: Scale | None = None
    """Scaling by load instead of a fixed number."""
    env: Mapping[str, Input[str]] = field(default_factory=dict)
    """Plain environment variables."""
    secrets: Mapping[str, SecretRef | UrlTemplate] = field(default_factory=dict)
    """Environment variables with secret values."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Absolute path → text of configuration files."""
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    """Absolute path → storage shared by the replicas, such as logs."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Absolute path → folder of the developer's checkout (inner loop only)."""
    uses: Sequence[Endpoint] = ()
    """Endpoints that the tier may reach."""
    after: Sequence[Started] = ()
    """What must be healthy, or done, first."""
    publish: Sequence[PublishedPort] = ()
    """Ports opened on the host without the edge (inner loop only)."""
    stop_grace: int = 30
    """Seconds for requests under way when a replica stops."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels beyond the platform's own."""


class AppTier(ComponentResource):
    """A tier of a system that answers requests."""

    def __init__(self, name: str, args: AppTierArgs, scope: Scope, opts: ResourceOptions | None = None) -> None:
        super().__init__("ai-platform:components:AppTier", name, None, opts)
        served = scope.workloads.serve(
            name,
            ServiceSpec(
                service=args.service,
                role="app",
                image=args.image,
                command=args.command,
                working_dir=args.working_dir,
                port=args.port,
                health=Health(probe=HttpProbe(path=args.health_path, port=args.port)),
                resources=args.resources,
                replicas=args.replicas,
                scale=args.scale,
                rollout="exclusive" if args.publish else "overlap",
                env=args.env,
                secrets=args.secrets,
                files=args.files,
                volumes=args.volumes,
                sources=args.sources,
                uses=args.uses,
                after=args.after,
                publish=args.publish,
                stop_grace=args.stop_grace,
                labels=args.labels,
            ),
            parent=self,
        )
        self.endpoint: Endpoint = served.reached_at
        self.started: Started = served
        self.register_outputs({"url": self.endpoint.url, "replicas": args.replicas})
