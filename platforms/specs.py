"""What components ask of a platform, as plain data: services, jobs, data engines, routes, scrape targets.

Nothing here belongs to one platform. `platforms.protocols` says which capability takes which of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pulumi import Input, Output, Resource

MIB = 1024**2
GIB = 1024**3
"""Memory and storage are given in bytes."""

BIND_ADDRESS = "$(BIND_ADDRESS)"
"""Stands in a command or a variable for the address to listen at: consumers of the service's endpoint reach it there,
and, where the platform can tell them apart, nobody else does."""

Role = Literal["app", "worker", "scheduler", "data", "job", "proxy", "telemetry"]
"""What a container or pod is for. Policies and dashboards group by it."""

Rollout = Literal["overlap", "exclusive"]
"""`overlap` starts the new before the old stops; `exclusive` (a volume, a host port, a singleton) stops it first."""


class Grant:
    """Permission to reach an endpoint. Opaque: minted and understood by the platform that owns the endpoint."""


class SecretRef:
    """A secret's whereabouts. Opaque: minted by a platform's `Secrets`, resolved by its `Workloads`."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a service answers, and what a client needs to be let in. Never holds a password in plain text."""

    scheme: str
    """URL scheme that clients use: `http`, `postgresql`, `redis`."""
    host: str
    """DNS name inside the system; stable across replacements of the service."""
    port: int
    grant: Grant
    """Handing the endpoint to a consumer (`uses`) is what opens the network between the two."""
    database: str | None = None
    user: str | None = None
    password: SecretRef | None = None
    ca: SecretRef | None = None

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """`scheme://host:port`, without credentials."""
        return f"{self.scheme}://{self.address}"


@dataclass(frozen=True, kw_only=True)
class UrlTemplate:
    """A URL with credentials, put together by the platform where the secret is kept (`scheme://user:password@…`)."""

    endpoint: Endpoint
    scheme: str | None = None
    """Overrides the endpoint's scheme, for example with a driver name."""
    database: str | None = None
    """Overrides the endpoint's database; for Redis the number of the logical database."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Compute of one replica."""

    cpu: float
    """Upper bound, in cores."""
    memory: int
    """Upper bound, in bytes; there is no swap on top."""
    processes: int = 512
    """Upper bound on processes and threads of the service's user."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A list in Redis: its length tells how much work waits."""

    broker: Endpoint
    database: int
    """Number of the logical database."""
    name: str
    """Key of the list."""
    waiting: int
    """Jobs that may wait for each replica; more of them ask for another one."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Bounds between which the platform chooses the number of replicas by their load."""

    min: int
    """Fewest replicas."""
    max: int
    """Most replicas."""
    cpu: int = 70
    """Average load that is aimed at, in percent of `Resources.cpu` (ARE-013, ARE-033)."""
    memory: int | None = 80
    """The same of `Resources.memory`; None: memory says nothing about the load."""
    queue: Queue | None = None
    """What the replicas take their work from, for platforms that can ask it (ARE-033); they count the load besides."""


@dataclass(frozen=True, kw_only=True)
class HttpProbe:
    """Healthy when `GET path` answers with a status below 400."""

    path: str
    port: int


@dataclass(frozen=True, kw_only=True)
class ExecProbe:
    """Healthy when the command exits with 0 inside the container."""

    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Health:
    """How a platform finds out that a replica works. Times are in seconds."""

    probe: HttpProbe | ExecProbe
    interval: int = 5
    timeout: int = 5
    retries: int = 3
    start_period: int = 30
    """Failures in this time after the start do not count."""
    deadline: int = 120
    """A roll-out fails when a replica is not healthy by then."""


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Storage that outlives the replicas of a service."""

    name: str
    """Logical name, unique in the system; the same name is the same volume."""
    size: int | None = None
    """Requested size in bytes, where the platform can reserve it."""
    keeps_data: bool = False
    """Holds what cannot be made again: no clean-up but the stack's own destruction removes it."""
    retain: bool = False
    """Not even the stack's destruction removes it."""


@dataclass(frozen=True, kw_only=True)
class PublishedPort:
    """A port of the service that is opened on the host, at the address that the platform is told to bind."""

    internal: int
    external: int


@dataclass(frozen=True, kw_only=True)
class ServiceSpec:
    """A long-running service."""

    service: str
    """Short name: the DNS name inside the system and the value of the service label."""
    role: Role
    image: str
    resources: Resources
    rollout: Rollout
    user: str | None = None
    """Numeric `uid:gid`, where the image or a volume asks for one; else the platform chooses, and never root."""
    command: tuple[str, ...] = ()
    """Empty: the image's own command. May name `BIND_ADDRESS`."""
    entrypoint: tuple[str, ...] = ()
    """Empty: the image's own entry point."""
    working_dir: str | None = None
    port: int | None = None
    """The port that the service answers on; `None` for one that nobody calls."""
    scheme: str = "http"
    health: Health | None = None
    replicas: int = 1
    scale: Scale | None = None
    """Scaling by load, instead of `replicas`; None where the configuration or the platform fixes their number."""
    env: Mapping[str, Input[str]] = field(default_factory=dict)
    secrets: Mapping[str, SecretRef | UrlTemplate] = field(default_factory=dict)
    """Environment variables whose values are secret."""
    files: Mapping[str, Input[str]] = field(default_factory=dict)
    """Absolute path → text, readable by the service."""
    secret_files: Mapping[str, SecretRef | Output[str]] = field(default_factory=dict)
    """Absolute path → secret text, readable by the service."""
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    """Absolute path → volume."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Absolute path → host folder, read-only: the inner development loop only."""
    scratch: tuple[str, ...] = ("/tmp",)  # noqa: S108 - inside the container
    """Folders that are writable and empty at each start."""
    uses: Sequence[Endpoint] = ()
    """Who may be reached. Nobody else can be."""
    after: Sequence[Started] = ()
    """What must be healthy, or done, before this starts."""
    publish: Sequence[PublishedPort] = ()
    egress: bool = False
    """May open connections to addresses outside the stack."""
    stop_grace: int = 30
    """Seconds between the stop signal and the kill: covers the slowest request."""
    stop_signal: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """A command that runs once per change of this spec, to its end."""

    service: str
    image: str
    command: tuple[str, ...]
    resources: Resources
    user: str | None = None
    entrypoint: tuple[str, ...] = ()
    working_dir: str | None = None
    env: Mapping[str, Input[str]] = field(default_factory=dict)
    secrets: Mapping[str, SecretRef | UrlTemplate] = field(default_factory=dict)
    files: Mapping[str, Input[str]] = field(default_factory=dict)
    secret_files: Mapping[str, SecretRef | Output[str]] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    scratch: tuple[str, ...] = ("/tmp",)  # noqa: S108 - inside the container
    uses: Sequence[Endpoint] = ()
    after: Sequence[Started] = ()


@dataclass(frozen=True, kw_only=True)
class Started:
    """Something that others can start after."""

    ready: Sequence[Input[Resource]]
    """Resolves when every replica is healthy, or the job has succeeded; fails when the job failed."""


@dataclass(frozen=True, kw_only=True)
class Served(Started):
    """A running service."""

    endpoint: Endpoint | None
    """`None` for a service without a port."""

    @property
    def reached_at(self) -> Endpoint:
        """The endpoint. Raises LookupError for a service without a port."""
        if self.endpoint is None:
            raise LookupError("a service without a port cannot be reached")
        return self.endpoint


@dataclass(frozen=True, kw_only=True)
class Completed(Started):
    """A job that has run to its end with exit code 0."""


@dataclass(frozen=True, kw_only=True)
class BackupPolicy:
    """How an engine is archived."""

    volume: Volume
    """Where the archives lie (ARE-083)."""
    schedule: str
    """Five fields of cron, in UTC; `off`: by hand only."""
    keep_days: int
    """Days that an archive is kept (ARE-084)."""


@dataclass(frozen=True, kw_only=True)
class PostgresSpec:
    """A PostgreSQL server with one database and its owner."""

    database: str
    user: str
    resources: Resources
    storage: int
    """Size of the data volume in bytes, where the platform can reserve it."""
    retain: bool
    """Keep the data when the stack is destroyed."""
    pooled: bool = False
    """Offer an endpoint whose connections are shared by transaction, where the platform has one."""
    backups: BackupPolicy | None = None
    """None: there are none."""
    after: Sequence[Started] = ()


@dataclass(frozen=True, kw_only=True)
class RedisSpec:
    """A Redis server that persists by append-only file and daily snapshot."""

    resources: Resources
    storage: int
    retain: bool
    backups: BackupPolicy | None = None
    """None: there are none."""
    after: Sequence[Started] = ()


@dataclass(frozen=True, kw_only=True)
class Database(Started):
    """A data engine: where to write, where to read, where to scrape."""

    primary: Endpoint
    replica: Endpoint | None
    pooled: Endpoint | None
    """The primary through a pool; nothing that outlives a transaction holds there (locks, temporary tables)."""
    metrics: Endpoint
    backups: Endpoint | None
    """Age and state of the backups, as metrics; None where there are none."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """Requests for `path` go to `endpoint`."""

    path: str
    """Path prefix, starting and ending with `/`."""
    endpoint: Endpoint
    strip_prefix: bool = False
    """The service sees the path without the prefix."""
    websocket: bool = False
    sticky: bool = False
    """A client stays on one replica, by cookie."""
    timeout: int = 60
    """Longest wait between two reads or writes, in seconds."""
    max_body: int = 10 * 1024 * 1024
    """Largest request body, in bytes."""
    private: tuple[str, ...] = ("metrics",)
    """Paths below the prefix that are for the inside only."""


@dataclass(frozen=True, kw_only=True)
class ScrapeTarget:
    """One metrics endpoint; every replica behind its name is scraped."""

    job: str
    endpoint: Endpoint
    path: str = "/metrics"
    service: str
    """Value of the `service` label on each series."""


@dataclass(frozen=True, kw_only=True)
class AlertRule:
    """A condition over metrics that somebody must look at."""

    name: str
    expression: str
    """PromQL."""
    hold: str
    """How long the condition must hold, in Prometheus' notation."""
    severity: Literal["page", "ticket"]
    summary: str


@dataclass(frozen=True, kw_only=True)
class TelemetrySpec:
    """Metrics of one system: collection, alert rules, dashboards."""

    targets: Sequence[ScrapeTarget]
    rules: Sequence[AlertRule]
    dashboards: Mapping[str, str]
    """File name → Grafana dashboard as JSON."""
    scrape_interval: int
    """Seconds."""
    retention: int
    """Seconds that series are kept."""
    external_url: str
    """Where the metrics UI is reached through the edge."""
    grafana: bool
    logs_kept: int | None = None
    """Seconds that the pods' collected logs are kept; None: they are not collected."""
    after: Sequence[Started] = ()


@dataclass(frozen=True, kw_only=True)
class TelemetryParts:
    """What a system's telemetry offers to the edge."""

    metrics: Endpoint
    metrics_path: str
    dashboards: Endpoint | None
    dashboards_path: str
    logs: Endpoint | None = None
    """Where collected logs are searched and shown; None where there are none."""
    logs_path: str = "/kibana/"
