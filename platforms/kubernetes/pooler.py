"""PgBouncer before PostgreSQL's primary, by the operator: many clients share few connections.

A connection is lent for one transaction. What lives longer than that (advisory locks, temporary tables, LISTEN) needs
the primary itself: migrations go there.
"""

from __future__ import annotations

from dataclasses import replace

import pulumi_kubernetes as kubernetes
from pulumi import Resource, ResourceOptions

from platforms.kubernetes import network
from platforms.kubernetes.context import PodGrant
from platforms.kubernetes.pods import compute, container_security, spread
from platforms.kubernetes.workloads import KubernetesWorkloads
from platforms.specs import MIB, Endpoint, Resources, Started

CNPG = "postgresql.cnpg.io/v1"
POOLER = "postgres-pooler"
INSTANCES = 2
"""One may go at any time."""
RESOURCES = Resources(cpu=0.5, memory=128 * MIB)
PARAMETERS = {
    "max_client_conn": "1000",
    # Of 200 that the server has: two instances leave enough for jobs, exporters and backups.
    "default_pool_size": "40",
    "reserve_pool_size": "10",
    # Drivers prepare statements on one connection and run them on another.
    "max_prepared_statements": "200",
    "server_idle_timeout": "60",
}


def pool(name: str, workloads: KubernetesWorkloads, primary: Endpoint, server: Started, *, parent: Resource) -> Started:
    """Run the pool in front of `primary`; `pooled` is where it answers."""
    context = workloads.context
    resource = f"{name}-pooler"
    policies = network.connect(context, resource, POOLER, [primary], parent=parent, role="data")
    policies.append(
        kubernetes.networking.v1.NetworkPolicy(
            f"{resource}-to-api-server",
            metadata=context.metadata(f"{resource}-to-api-server", POOLER, "data"),
            spec={
                "podSelector": {"matchLabels": context.selector(POOLER)},
                "policyTypes": ["Egress"],
                # Its instance manager reads its configuration there.
                "egress": [network.api_server()],
            },
            opts=ResourceOptions(parent=parent),
        )
    )
    made = kubernetes.apiextensions.CustomResource(
        resource,
        api_version=CNPG,
        kind="Pooler",
        metadata=context.metadata(resource, POOLER, "data", name=POOLER),
        spec={
            "cluster": {"name": "postgres"},
            "type": "rw",
            "instances": INSTANCES,
            "deploymentStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "pgbouncer": {"poolMode": "transaction", "parameters": PARAMETERS},
            "template": {
                "metadata": {"labels": context.labels(POOLER, "data")},
                "spec": {
                    "containers": [
                        {
                            "name": "pgbouncer",
                            "image": context.cluster.engine_image("pgbouncer"),
                            "imagePullPolicy": "IfNotPresent",
                            "resources": compute(context, RESOURCES),
                            "securityContext": container_security()
                            | {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                        }
                    ],
                    "topologySpreadConstraints": spread(context, POOLER),
                },
            },
        },
        opts=ResourceOptions(parent=parent, depends_on=[*server.ready, *policies]),
    )
    workloads.budget(resource, POOLER, "data", parent=parent)
    return Started(ready=[made])


def pooled(workloads: KubernetesWorkloads, primary: Endpoint) -> Endpoint:
    """The primary by way of the pool."""
    context = workloads.context
    grant = PodGrant(service=POOLER, namespace=context.namespace, pods=context.selector(POOLER), port=primary.port)
    return replace(primary, host=context.host(POOLER), grant=grant)
