"""Data engines: PostgreSQL by CloudNativePG, with a standby and failover; Redis as a StatefulSet with a replica.

High availability is the operator's and the engines' own. Exporters and backups stand beside them as on every platform.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pulumi_kubernetes as kubernetes
from pulumi import Input, Resource, ResourceOptions

from platforms import engines
from platforms.kubernetes import barman, network, pooler
from platforms.kubernetes.context import Context, KeptSecret, Manifest, PodGrant, after
from platforms.kubernetes.pods import compute, template
from platforms.kubernetes.settings import settings_of
from platforms.kubernetes.workloads import KubernetesWorkloads
from platforms.secrets import HeldSecrets
from platforms.specs import (
    MIB,
    BackupPolicy,
    Database,
    Endpoint,
    PostgresSpec,
    RedisSpec,
    Resources,
    SecretRef,
    ServiceSpec,
    Started,
)

CNPG = "postgresql.cnpg.io/v1"
MAJOR = 15
"""ARE-039."""
INSTANCES = 2
"""A primary and a standby, of each engine (ARE-043, ARE-045)."""
PORT, STATUS_PORT = 5432, 8000
"""PostgreSQL's own, and where the operator asks an instance for its state."""
OPERATOR_NAMESPACE = "cnpg-system"
REDIS_START = f"""\
case "$HOSTNAME" in
  *-0) exec redis-server {engines.REDIS_CONFIG} ;;
  *) exec redis-server {engines.REDIS_CONFIG} --replicaof redis-0.redis-pods 6379 ;;
esac
"""
INDEX = "apps.kubernetes.io/pod-index"


@dataclass(frozen=True)
class KubernetesData:
    """Implements `platforms.protocols.Data`."""

    workloads: KubernetesWorkloads
    secrets: HeldSecrets

    @property
    def context(self) -> Context:
        """The system's namespace."""
        return self.workloads.context

    def postgres(self, name: str, spec: PostgresSpec, *, parent: Resource) -> Database:
        """PostgreSQL 15 (ARE-039) on port 5432 (ARE-040), with a standby that takes over (ARE-043, ARE-044)."""
        cluster = self._cluster(name, spec, parent)
        password = KeptSecret(secret="postgres-app", key="password")  # noqa: S106 - names
        grant = PodGrant(
            service="postgres",
            namespace=self.context.namespace,
            pods=self.context.selector("postgres"),
            port=PORT,
        )
        primary = Endpoint(
            scheme="postgresql",
            host=self.context.host("postgres-rw"),
            port=PORT,
            grant=grant,
            database=spec.database,
            user=spec.user,
            password=password,
            ca=KeptSecret(secret="postgres-ca", key="ca.crt"),  # noqa: S106 - names
        )
        standby = replace(primary, host=self.context.host("postgres-ro"))
        served = Started(ready=[cluster])
        image = self.context.cluster.engine_image
        exporter = engines.postgres_exporter(image("postgres-exporter"), primary, password, served)
        metrics = self.workloads.serve(f"{name}-exporter", exporter, parent=parent).reached_at
        backups = self._backups(name, "postgres", primary, password, spec.backups, served, parent)
        ready, pooled = [*served.ready], None
        if spec.pooled:
            ready += pooler.pool(name, self.workloads, primary, served, parent=parent).ready
            pooled = pooler.pooled(self.workloads, primary)
        return Database(primary=primary, replica=standby, pooled=pooled, metrics=metrics, backups=backups, ready=ready)

    def redis(self, name: str, spec: RedisSpec, *, parent: Resource) -> Database:
        """Redis 7, persisted by append-only file and snapshot, with a replica (ARE-045, ARE-046, ARE-050)."""
        password = self.secrets.generate(f"{name}-password", parent=parent)
        service = ServiceSpec(
            service="redis",
            role="data",
            image=self.context.cluster.engine_image("redis"),
            entrypoint=("sh", "-c"),
            command=(REDIS_START,),
            port=6379,
            scheme="redis",
            resources=spec.resources,
            replicas=INSTANCES,
            rollout="exclusive",
            secret_files={
                engines.REDIS_CONFIG: engines.redis_config(password.value, spec.resources.memory, replicated=True),
                engines.REDIS_PASSWORD: password,
            },
            after=spec.after,
            health=engines.REDIS_HEALTH,
            stop_grace=60,
        )
        ready = self._stateful(name, service, spec, parent)
        primary = replace(self.workloads.reserve(service), password=password, database="0")
        replica = replace(primary, host=self.context.host("redis-replica"))
        served = Started(ready=ready)
        image = self.context.cluster.engine_image
        exporter = engines.redis_exporter(image("redis-exporter"), primary, password, served)
        metrics = self.workloads.serve(f"{name}-exporter", exporter, parent=parent).reached_at
        backups = self._backups(name, "redis", primary, password, spec.backups, served, parent)
        return Database(primary=primary, replica=replica, pooled=None, metrics=metrics, backups=backups, ready=ready)

    def _backups(  # noqa: PLR0913, PLR0917 - what is archived, by whom, where
        self,
        name: str,
        engine: str,
        target: Endpoint,
        password: SecretRef,
        policy: BackupPolicy | None,
        served: Started,
        parent: Resource,
    ) -> Endpoint | None:
        if policy is None:
            return None
        image = self.context.cluster.engine_image("backup")
        spec = engines.backups(engine, image, self.context.system, target, password, policy, served)
        return self.workloads.serve(f"{name}-backup", spec, parent=parent).reached_at

    def _archive(self, name: str, spec: PostgresSpec, parent: Resource) -> barman.Archive | None:
        store = self.context.cluster.object_store
        if store is None or spec.backups is None:
            return None
        return barman.archive(name, self.context, store, spec.backups, parent=parent)

    def _cluster(self, name: str, spec: PostgresSpec, parent: Resource) -> Resource:
        archive = self._archive(name, spec, parent)
        policies = self._operator_policies(name, archive.egress if archive else [], parent)
        catalog = kubernetes.apiextensions.CustomResource(
            f"{name}-images",
            api_version=CNPG,
            kind="ImageCatalog",
            metadata=self.context.metadata(f"{name}-images", "postgres", "data", name="postgres"),
            spec={"images": [{"major": MAJOR, "image": self.context.cluster.engine_image("postgres-cnpg")}]},
            opts=ResourceOptions(parent=parent),
        )
        cluster: Resource = kubernetes.apiextensions.CustomResource(
            name,
            api_version=CNPG,
            kind="Cluster",
            metadata=self.context.metadata(
                name, "postgres", "data", name="postgres", annotations={"pulumi.com/waitFor": "condition=Ready"}
            ),
            spec={
                "instances": INSTANCES,
                "imageCatalogRef": {
                    "apiGroup": "postgresql.cnpg.io",
                    "kind": "ImageCatalog",
                    "name": "postgres",
                    "major": MAJOR,
                },
                "imagePullPolicy": "IfNotPresent",
                "bootstrap": _bootstrap(spec, archive.recovery if archive else None),
                "storage": self._storage(spec.storage),
                "resources": compute(self.context, spec.resources),
                "seccompProfile": {"type": "RuntimeDefault"},
                "enablePDB": True,
                "primaryUpdateStrategy": "unsupervised",
                "postgresql": {
                    "parameters": _postgres_parameters(spec.resources),
                    # A row is acknowledged once the standby has it, as long as there is one.
                    "synchronous": {"method": "any", "number": 1, "dataDurability": "preferred"},
                },
                "affinity": {
                    "enablePodAntiAffinity": True,
                    "podAntiAffinityType": "preferred",
                    "topologyKey": "kubernetes.io/hostname",
                },
                "inheritedMetadata": {"labels": self.context.labels("postgres", "data")},
                **(archive.cluster if archive else {}),
            },
            opts=ResourceOptions(
                parent=parent,
                depends_on=[catalog, *policies, *([archive.ready] if archive else []), *after(spec.after)],
                retain_on_delete=spec.retain,
            ),
        )
        if archive is not None and spec.backups is not None:
            barman.schedule(name, self.context, spec.backups, cluster, parent=parent)
        return cluster

    def _operator_policies(self, name: str, outwards: list[Manifest], parent: Resource) -> list[Resource]:
        """Instances speak to one another, to the API server and where `outwards` leads, and the operator to them."""
        grant = PodGrant(
            service="postgres",
            namespace=self.context.namespace,
            pods=self.context.selector("postgres"),
            port=STATUS_PORT,
        )
        own: Manifest = {"podSelector": {"matchLabels": dict(grant.pods)}}
        ports = [{"protocol": "TCP", "port": port} for port in (PORT, STATUS_PORT)]
        instances = kubernetes.networking.v1.NetworkPolicy(
            f"{name}-instances",
            metadata=self.context.metadata(f"{name}-instances", "postgres", "data"),
            spec={
                **own,
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": [own], "ports": ports}],
                "egress": [
                    {"to": [own], "ports": ports},
                    # Instances keep their state in the API server.
                    network.api_server(),
                    *outwards,
                ],
            },
            opts=ResourceOptions(parent=parent),
        )
        operator = network.admit_namespace(self.context, f"{name}-operator", grant, OPERATOR_NAMESPACE, parent=parent)
        return [instances, operator]

    def _stateful(self, name: str, service: ServiceSpec, spec: RedisSpec, parent: Resource) -> list[Input[Resource]]:
        context = self.context
        settings = settings_of(context, name, service, "data", parent=parent)
        pod = template(context, name, service, settings)
        pod["spec"]["serviceAccountName"] = self.workloads.account(name, "redis", "data", parent=parent)
        pod["spec"]["containers"][0]["volumeMounts"].append({"name": "data", "mountPath": "/data"})
        grant = PodGrant(
            service="redis", namespace=context.namespace, pods=context.selector("redis"), port=service.port or 0
        )
        peer = Endpoint(scheme="redis", host="redis-pods", port=grant.port, grant=grant)
        policies = network.connect(context, name, "redis", [peer], parent=parent, role="data")
        headless = self._service(name, service, "redis-pods", {}, parent, [], headless=True)
        pods = kubernetes.apps.v1.StatefulSet(
            name,
            # Its pods carry its name: `redis-0`, `redis-1`.
            metadata=context.metadata(name, "redis", "data", name="redis"),
            spec={
                "serviceName": "redis-pods",
                "replicas": service.replicas,
                "selector": {"matchLabels": context.selector("redis")},
                "updateStrategy": {"type": "RollingUpdate"},
                "revisionHistoryLimit": 3,
                "template": pod,
                "persistentVolumeClaimRetentionPolicy": {
                    "whenDeleted": "Retain" if spec.retain else "Delete",
                    "whenScaled": "Retain",
                },
                "volumeClaimTemplates": [
                    {
                        "metadata": {"name": "data", "labels": context.labels("redis", "data")},
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": self._storage(spec.storage)["size"]}},
                            **self.context.storage_class,
                        },
                    }
                ],
            },
            opts=ResourceOptions(parent=parent, depends_on=[*after(service.after), *policies, headless]),
        )
        self.workloads.budget(name, "redis", "data", parent=parent)
        primary = self._service(name, service, "redis", {INDEX: "0"}, parent, [pods])
        replica = self._service(name, service, "redis-replica", {INDEX: "1"}, parent, [pods])
        return [pods, primary, replica]

    def _service(  # noqa: PLR0913, PLR0917 - three of them
        self,
        name: str,
        spec: ServiceSpec,
        service: str,
        pods: dict[str, str],
        parent: Resource,
        depends_on: list[Input[Resource]],
        *,
        headless: bool = False,
    ) -> Resource:
        made: Resource = kubernetes.core.v1.Service(
            f"{name}-service-{service}",
            metadata=self.context.metadata(f"{name}-service-{service}", "redis", "data", name=service),
            spec={
                "type": "ClusterIP",
                "selector": self.context.selector("redis") | pods,
                "ports": [{"name": "main", "port": spec.port, "targetPort": "main", "protocol": "TCP"}],
                # Replicas look for their primary before it is ready.
                **({"clusterIP": "None", "publishNotReadyAddresses": True} if headless else {}),
            },
            opts=ResourceOptions(parent=parent, depends_on=depends_on),
        )
        return made

    def _storage(self, size: int) -> Manifest:
        storage = self.context.cluster.storage_class
        return {"size": f"{size // MIB}Mi", **({"storageClass": storage} if storage else {})}


def _bootstrap(spec: PostgresSpec, recovery: Manifest | None) -> Manifest:
    """How a new server begins; one that is there does not ask (ARE-085)."""
    owned = {"database": spec.database, "owner": spec.user}
    return {"recovery": owned | recovery} if recovery else {"initdb": {**owned, "dataChecksums": True}}


def _postgres_parameters(resources: Resources) -> dict[str, str]:
    """A quarter of the memory for shared buffers, as PostgreSQL's manual advises for a server of its own."""
    return {
        "shared_buffers": f"{resources.memory // 4 // MIB}MB",
        "max_connections": "200",
        # ARE-079.
        "archive_timeout": "300s",
    }
