"""PostgreSQL outside the cluster: base backups and the write-ahead log in a bucket, for any point in time.

The Barman Cloud plugin of CloudNativePG does the work, from the instances themselves; it stands beside the operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

import pulumi_kubernetes as kubernetes
from pulumi import Resource, ResourceOptions

from platforms.kubernetes import network
from platforms.kubernetes.context import Context, Manifest, ObjectStore
from platforms.kubernetes.pods import compute
from platforms.specs import MIB, BackupPolicy, Resources

BARMAN = "barmancloud.cnpg.io/v1"
CNPG = "postgresql.cnpg.io/v1"
PLUGIN = "barman-cloud.cloudnative-pg.io"
STORE, ORIGIN = "postgres", "origin"
SIDECAR = Resources(cpu=0.5, memory=256 * MIB)
"""Of the process that copies, beside each instance."""
ACCESS_KEY_ID, SECRET_ACCESS_KEY, REGION = "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "REGION"
PARALLEL = 2
"""Files of the write-ahead log that are copied at the same time."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """The bucket as an instance sees it."""

    ready: Resource
    """The store is described."""
    cluster: Manifest
    """What the Cluster is told of it: its plugins, and the archive that it is made from."""
    recovery: Manifest | None
    """How a new server begins; None: empty."""
    egress: list[Manifest]
    """How instances reach it."""


def archive(name: str, context: Context, store: ObjectStore, policy: BackupPolicy, *, parent: Resource) -> Archive:
    """Describe the bucket: each stack and system has a folder of its own in it (ARE-080, ARE-082)."""
    keys = {ACCESS_KEY_ID: store.access_key_id, SECRET_ACCESS_KEY: store.secret_access_key}
    secret = kubernetes.core.v1.Secret(
        f"{name}-store-keys",
        type="Opaque",
        immutable=True,
        string_data=keys | ({REGION: store.region} if store.region else {}),
        metadata=context.metadata(f"{name}-store-keys", "postgres", "data"),
        opts=ResourceOptions(parent=parent),
    )
    credentials = {
        "accessKeyId": {"name": secret.metadata["name"], "key": ACCESS_KEY_ID},
        "secretAccessKey": {"name": secret.metadata["name"], "key": SECRET_ACCESS_KEY},
        **({"region": {"name": secret.metadata["name"], "key": REGION}} if store.region else {}),
    }
    described: Resource = kubernetes.apiextensions.CustomResource(
        f"{name}-store",
        api_version=BARMAN,
        kind="ObjectStore",
        metadata=context.metadata(f"{name}-store", "postgres", "data", name=STORE),
        spec={
            "configuration": {
                "destinationPath": f"s3://{store.bucket}/{context.stack}/{context.system}",
                **({"endpointURL": store.endpoint} if store.endpoint else {}),
                "s3Credentials": credentials,
                "wal": {"compression": "gzip", "maxParallel": PARALLEL},
                "data": {"compression": "gzip", "jobs": PARALLEL},
            },
            # ARE-084: every point of these days can be gone back to.
            "retentionPolicy": f"{policy.keep_days}d",
            "instanceSidecarConfiguration": {"resources": compute(context, SIDECAR)},
        },
        opts=ResourceOptions(parent=parent),
    )
    plugin = {"name": PLUGIN, "enabled": True, "isWALArchiver": True, "parameters": _parameters(store.generation)}
    cluster: Manifest = {"plugins": [plugin]}
    recovery: Manifest | None = None
    if store.recovery is not None:
        generation, time = store.recovery
        origin = {"name": ORIGIN, "plugin": {"name": PLUGIN, "parameters": _parameters(generation)}}
        cluster["externalClusters"] = [origin]
        recovery = {"source": ORIGIN, **({"recoveryTarget": {"targetTime": time}} if time else {})}
    return Archive(ready=described, cluster=cluster, recovery=recovery, egress=[_way(store)])


def _parameters(generation: int) -> dict[str, str]:
    """The folder of one server: none may write into that of another."""
    return {"barmanObjectName": STORE, "serverName": f"postgres-{generation}"}


def schedule(name: str, context: Context, policy: BackupPolicy, cluster: Resource, *, parent: Resource) -> None:
    """Take base backups on time (ARE-077); none with a schedule that is off: the log is archived all the same."""
    if policy.schedule == "off":
        return
    kubernetes.apiextensions.CustomResource(
        f"{name}-base-backups",
        api_version=CNPG,
        kind="ScheduledBackup",
        metadata=context.metadata(f"{name}-base-backups", "postgres", "data", name="postgres"),
        spec={
            # The operator's schedules begin with seconds.
            "schedule": f"0 {policy.schedule}",
            # Without a first base backup, the archived log leads nowhere.
            "immediate": True,
            "cluster": {"name": "postgres"},
            "method": "plugin",
            "pluginConfiguration": {"name": PLUGIN},
            "target": "prefer-standby",
            "backupOwnerReference": "self",
        },
        opts=ResourceOptions(parent=parent, depends_on=[cluster]),
    )


def _way(store: ObjectStore) -> Manifest:
    """A rule of egress: policies know addresses only, and a store has a name, inside or outside."""
    parts = urlsplit(store.endpoint or "https://s3.amazonaws.com")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    anywhere = {"cidr": "0.0.0.0/0", "except": [network.LINK_LOCAL]}
    return {"to": [{"ipBlock": anywhere}], "ports": [{"protocol": "TCP", "port": port}]}
