"""The stack file as types: every key, its default, its unit, its bounds.

`StackFile` is what a stack file may say. What depends on more than one key is judged by `config.checks`, and
`config.resolve` fills in what a stack file may leave out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from config.fields import (
    Day,
    Duration,
    EnvName,
    EnvValue,
    HostName,
    Image,
    LogSize,
    Memory,
    RegistryAddress,
    Schedule,
    Secret,
    ServiceUrl,
    Text,
    matching,
)
from config.places import Platform
from config.strict import GIB, MIB, Model

Environment = Literal["development", "staging", "production"]
Engine = Literal[
    "app",
    "postgres",
    "postgres-cnpg",
    "redis",
    "nginx",
    "prometheus",
    "node-exporter",
    "postgres-exporter",
    "redis-exporter",
    "celery-exporter",
    "backup",
    "grafana",
    "pgbouncer",
    "elasticsearch",
    "kibana",
    "fluent-bit",
]
"""Logical names of images; `app` is the example application, which stands in where a service names no image."""
CertificateArn = Annotated[
    str,
    matching(
        r"arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]+",
        "is not the ARN of an ACM certificate",
        "Write it like `arn:aws:acm:eu-central-1:123456789012:certificate/…`.",
    ),
]

BucketName = Annotated[
    str,
    matching(
        r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "is not the name of a bucket",
        "Write 3 to 63 lower-case letters, digits, `-` and `.`, for example `acme-backups`.",
    ),
]

Instant = Annotated[
    str,
    matching(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z",
        "is not a moment in UTC",
        'Write it in quotes, like "2027-03-31T10:15:00Z".',
    ),
]


class LocalCa(Model):
    """A certificate authority of the stack's own, for development."""

    mode: Literal["local-ca"] = Field(examples=["local-ca"])
    """Where the certificate comes from."""
    rotation: int = Field(default=1, ge=1, examples=[1])
    """Another number makes new keys and certificates."""


class CertificateFiles(Model):
    """A certificate that lies on the machine that runs Pulumi."""

    mode: Literal["files"] = Field(examples=["files"])
    """Where the certificate comes from."""
    certificate: Text = Field(examples=["tls/fullchain.pem"])
    """PEM file with the certificate and its chain; relative to the project's folder."""
    key: Text = Field(examples=["tls/key.pem"])
    """PEM file with the private key; relative to the project's folder."""


class CertificateIssuer(Model):
    """cert-manager on Kubernetes."""

    mode: Literal["issuer"] = Field(examples=["issuer"])
    """Where the certificate comes from."""
    cluster_issuer: Text = Field(examples=["letsencrypt"])
    """Name of the ClusterIssuer."""


class AcmCertificate(Model):
    """AWS Certificate Manager."""

    mode: Literal["acm"] = Field(examples=["acm"])
    """Where the certificate comes from."""
    certificate_arn: CertificateArn = Field(
        examples=["arn:aws:acm:eu-central-1:123456789012:certificate/0a1b2c3d-0000-4000-8000-000000000000"]
    )
    """ARN of an issued certificate in the platform's region."""


Tls = LocalCa | CertificateFiles | CertificateIssuer | AcmCertificate


class Scale(Model):
    """Bounds between which the platform scales by load."""

    min: int = Field(ge=1, examples=[2])
    """Fewest replicas."""
    max: int = Field(ge=1, examples=[10])
    """Most replicas."""


class ServiceEntry(Model):
    """What a stack file changes about one service; everything left out keeps the system's default."""

    image: Image | None = Field(default=None, examples=["ghcr.io/acme/api:1.4.2"])
    """The service's own image, with a version tag or a digest; left out, the example application."""
    replicas: int | None = Field(default=None, examples=[2])
    """Number of replicas, inside the service's bounds (ARE-012, ARE-032, ARE-103)."""
    scale: Scale | None = Field(default=None, examples=[{"min": 2, "max": 10}])
    """Scaling by load instead of a fixed number; not on Docker."""
    cpu: float | None = Field(default=None, ge=0.01, le=256, examples=[0.5])
    """Upper bound of one replica, in cores."""
    memory: Annotated[Memory, Field(ge=16 * MIB)] | None = Field(default=None, examples=["512Mi"])
    """Upper bound of one replica, at least 16Mi."""
    env: Mapping[EnvName, EnvValue] = Field(default={}, examples=[{"LOG_LEVEL": "info"}])
    """Further environment variables, in plain text: credentials belong under `secrets`."""


class SystemEntry(Model):
    """One system that the stack runs."""

    name: Text = Field(examples=["ai-review-engine"])
    """Which one."""
    profile: Literal["standard", "inner-loop"] = Field(default="standard", examples=["standard"])
    """`inner-loop`: one replica each, no proxy, code mounted from `source` and reloaded (ARE-030, ARE-096, ARE-097)."""
    source: Text | None = Field(default=None, examples=["../ai-review-engine"])
    """Folder of the application's checkout, for `profile: inner-loop`; relative to the project's folder."""
    host: HostName | None = Field(default=None, examples=["review.example.org"])
    """Host name; left out, the stack's domain, or `<name>.<domain>` where the stack runs several systems."""
    services: Mapping[str, ServiceEntry] = Field(default={}, examples=[{"api": {"replicas": 3}}])
    """Changes, by service."""


class Images(Model):
    """Where the images of supporting engines come from."""

    inventory: Text = Field(default=".toolchain/images.json", examples=[".toolchain/images.json"])
    """File that `make images` writes, with the images that this machine has; relative to the project's folder."""
    engines: Mapping[Engine, Image] = Field(default={}, examples=[{"postgres": "postgres:15.14"}])
    """References to use instead of the inventory's."""


class Registry(Model):
    """An image registry that asks for a login; its password stands under `secrets.registries`."""

    address: RegistryAddress = Field(examples=["ghcr.io"])
    """Host, with a port if it is not 443."""
    username: Text = Field(examples=["deploy"])
    """Name of the login."""


class Logs(Model):
    """Rotation of each container's log on Docker, and its collection on Kubernetes."""

    max_size: LogSize = Field(default="10m", examples=["10m"])
    """Size at which a log file is rotated."""
    max_files: int = Field(default=3, ge=1, le=100, examples=[3])
    """Log files that are kept."""
    store: Literal["none", "elasticsearch"] = Field(default="none", examples=["none"])
    """Where pods' logs are collected, searched and shown (ARE-066, ARE-067); Kubernetes, with Elastic's operator."""
    retention: Annotated[Duration, Field(ge=86_400)] = Field(default="30d", validate_default=True, examples=["30d"])
    """How long collected logs are kept, at least 1d (ARE-068)."""


class Observability(Model):
    """Metrics, dashboards and logs."""

    enabled: bool = Field(default=True, examples=[True])
    """Whether metrics are collected at all (ARE-102)."""
    scrape_interval: Annotated[Duration, Field(ge=1, le=300)] = Field(
        default="15s", validate_default=True, examples=["15s"]
    )
    """Time between two scrapes, from 1s to 5m (ARE-058)."""
    retention: Annotated[Duration, Field(ge=3600)] = Field(default="15d", validate_default=True, examples=["15d"])
    """How long series are kept, at least 1h."""
    grafana: Literal["when-available", "required", "off"] = Field(default="when-available", examples=["when-available"])
    """What to do where Grafana's image cannot be had: leave it out, or refuse."""
    logs: Logs = Field(default=Logs(), examples=[{"maxSize": "10m", "maxFiles": 3}])
    """Rotation of each container's log on Docker, and its collection on Kubernetes."""


class PostgresConfig(Model):
    """PostgreSQL."""

    memory: Annotated[Memory, Field(ge=128 * MIB)] = Field(default="1Gi", validate_default=True, examples=["1Gi"])
    """Upper bound, at least 128Mi."""
    storage: Annotated[Memory, Field(ge=GIB)] = Field(default="20Gi", validate_default=True, examples=["20Gi"])
    """Size of the data volume, at least 1Gi, where the platform reserves it; Docker does not (ARE-050)."""
    pooler: bool = Field(default=False, examples=[False])
    """Whether clients share connections through PgBouncer, by transaction; Kubernetes, from an image that it pulls."""


class RedisConfig(Model):
    """Redis."""

    memory: Annotated[Memory, Field(ge=32 * MIB)] = Field(default="256Mi", validate_default=True, examples=["256Mi"])
    """Upper bound, at least 32Mi."""
    storage: Annotated[Memory, Field(ge=GIB)] = Field(default="5Gi", validate_default=True, examples=["5Gi"])
    """Size of the data volume, at least 1Gi, where the platform reserves it; Docker does not (ARE-050)."""


class Data(Model):
    """The data engines of each system."""

    retain_on_destroy: bool = Field(default=False, examples=[False])
    """Keep the data volumes when the stack is destroyed."""
    postgres: PostgresConfig = Field(default=PostgresConfig(), examples=[{"memory": "1Gi", "storage": "20Gi"}])
    """PostgreSQL."""
    redis: RedisConfig = Field(default=RedisConfig(), examples=[{"memory": "256Mi", "storage": "5Gi"}])
    """Redis."""


class Recovery(Model):
    """From which server's archive a new PostgreSQL is made, and as of when."""

    generation: int = Field(ge=1, examples=[1])
    """Generation of the server whose archive is read; an earlier one than `backups.objectStore.generation`."""
    time: Instant | None = Field(default=None, examples=["2027-03-31T10:15:00Z"])
    """Last moment that is gone back to, in UTC; left out, as far as the archive reaches."""


class ObjectStore(Model):
    """An S3-compatible store outside the cluster; its credentials stand under `secrets.objectStore`."""

    bucket: BucketName = Field(examples=["acme-backups"])
    """Name of the bucket, which must exist; each stack and system has a folder of its own in it."""
    endpoint: ServiceUrl | None = Field(default=None, examples=["https://s3.example.org"])
    """Address of the store; left out, Amazon's own."""
    region: Text | None = Field(default=None, examples=["eu-central-1"])
    """Region of the bucket, where the store has regions."""
    generation: int = Field(default=1, ge=1, examples=[1])
    """Number of the server in the bucket: one that is made anew needs another, none writes over an archive."""
    recovery: Recovery | None = Field(default=None, examples=[{"generation": 1}])
    """How a server that is made anew gets its data (ARE-085); one that is there stays as it is."""


class Backups(Model):
    """Archives of the data engines."""

    volume: bool = Field(default=True, examples=[True])
    """Whether the stack has a volume for backups, and backups at all (ARE-083)."""
    schedule: Schedule = Field(default="0 2 * * *", examples=["0 2 * * *"])
    """When they are taken: five fields of cron, in UTC, or `off` for by hand only (ARE-077, ARE-087)."""
    keep_days: int = Field(default=14, ge=1, le=3650, examples=[14])
    """Days that an archive is kept; the newest stays in any case (ARE-084)."""
    before_deployment: bool | None = Field(default=None, examples=[True])
    """Whether one is taken before a deployment changes anything (ARE-088); left out, everywhere but in development."""
    object_store: ObjectStore | None = Field(default=None, examples=[{"bucket": "acme-backups"}])
    """Where base backups and the write-ahead log go besides, for any point in time (ARE-079 … ARE-082); Kubernetes."""

    def precede(self, environment: Environment) -> bool:
        """Whether one is taken before a deployment to this environment."""
        asked = environment != "development" if self.before_deployment is None else self.before_deployment
        return asked and self.volume


class Exemption(Model):
    """Permission for some resources to break a policy for some time."""

    policy: Text = Field(examples=["images-reference-forbid-latest"])
    """Name of the policy."""
    resource: Text = Field(examples=["ai-review-engine-web-*"])
    """Logical name of the resource; `*` stands for any text."""
    container: Text | None = Field(default=None, examples=["web"])
    """Service inside the resource, where only that one is meant; `*` stands for any text."""
    reason: str = Field(min_length=10, examples=["Vendor image without a tag until March"])
    """Why, in at least 10 characters."""
    owner: Text = Field(examples=["platform-team"])
    """Who answers for it."""
    expires: Day = Field(examples=["2027-03-31"])
    """Last day on which it counts; after that, the policy reports it."""


class Policies(Model):
    """How strict the policy pack is on this stack."""

    min_replicas: int = Field(default=2, ge=1, examples=[2])
    """Replicas that every app service needs at least (ARE-008 … ARE-010)."""
    levels: Mapping[str, Literal["mandatory", "advisory", "disabled"]] = Field(
        default={}, examples=[{"images-reference-forbid-latest": "advisory"}]
    )
    """Levels that differ from the pack's own, by policy."""
    exemptions: tuple[Exemption, ...] = Field(default=(), examples=[[]])
    """Exceptions, each with a reason, an owner and a last day."""


class ObjectStoreKeys(Model):
    """The key pair that may read and write the bucket."""

    access_key_id: Secret = Field(examples=["…"])
    """Its public half."""
    secret_access_key: Secret = Field(examples=["…"])
    """Its secret half."""


class Secrets(Model):
    """Credentials that only people know. Each is stored encrypted; none has a default."""

    registries: Mapping[RegistryAddress, Secret] = Field(default={}, examples=[{}])
    """Passwords of `registries`, by address."""
    systems: Mapping[str, Mapping[EnvName, Secret]] = Field(default={}, examples=[{}])
    """Secret environment variables of all services of a system, such as keys of model providers."""
    object_store: ObjectStoreKeys | None = Field(default=None, examples=[{"accessKeyId": "…", "secretAccessKey": "…"}])
    """Credentials of `backups.objectStore`."""


class StackFile(Model):
    """One stack's configuration; each field is one key `ai-platform:<field>` of the stack file."""

    environment: Environment = Field(examples=["development"])
    """Which of the systems' own configurations applies (ARE-019, ARE-104)."""
    platform: Platform = Field(discriminator="kind", examples=[{"kind": "docker"}])
    """Where the stack runs."""
    domain: HostName | None = Field(default=None, examples=["localhost"])
    """Host name under which the stack is reached; `localhost` on Docker when left out."""
    tls: Tls | None = Field(default=None, discriminator="mode", examples=[{"mode": "local-ca"}])
    """Where the certificate comes from; a local authority on Docker when left out (ARE-076)."""
    systems: tuple[SystemEntry, ...] = Field(min_length=1, examples=[[{"name": "ai-review-engine"}]])
    """What the stack runs, at least one system."""
    images: Images = Field(default=Images(), examples=[{"engines": {"postgres": "postgres:15.14"}}])
    """Where the images of supporting engines come from."""
    registries: tuple[Registry, ...] = Field(default=(), examples=[[{"address": "ghcr.io", "username": "deploy"}]])
    """Image registries that ask for a login."""
    observability: Observability = Field(default=Observability(), examples=[{"enabled": True}])
    """Metrics, dashboards and logs."""
    data: Data = Field(default=Data(), examples=[{"retainOnDestroy": False}])
    """The data engines of each system."""
    backups: Backups = Field(default=Backups(), examples=[{"volume": True}])
    """Archives of the data engines."""
    policies: Policies = Field(default=Policies(), examples=[{"minReplicas": 2}])
    """How strict the policy pack is on this stack."""
    secrets: Secrets = Field(default=Secrets(), examples=[{}])
    """Credentials that only people know, each stored encrypted."""
