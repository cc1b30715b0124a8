"""The number of replicas by their load: the cluster's own autoscaler, and KEDA for what takes its work from a queue.

KEDA asks the queue and leaves the rest to an autoscaler that it makes: both rules behave alike.
"""

from __future__ import annotations

import pulumi_kubernetes as kubernetes
from pulumi import Input, Resource, ResourceOptions

from platforms.kubernetes import network
from platforms.kubernetes.context import Context, KeptSecret, Manifest, grant_of
from platforms.secrets import HeldSecret
from platforms.specs import Queue, Scale, SecretRef, ServiceSpec

KEDA = "keda.sh/v1alpha1"
OPERATOR_NAMESPACE = "keda"
POLLING_SECONDS = 15
SCALE_DOWN_SECONDS = 120
"""Load has to stay low for this long before replicas are taken away."""
BEHAVIOR: Manifest = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Percent", "value": 100, "periodSeconds": 30},
            {"type": "Pods", "value": 2, "periodSeconds": 30},
        ],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": SCALE_DOWN_SECONDS,
        "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
    },
}


def scale(
    context: Context, name: str, spec: ServiceSpec, rule: Scale, deployment: Input[str], *, parent: Resource
) -> None:
    """Let the deployment grow and shrink by the rule."""
    if rule.queue is not None and context.cluster.keda:
        _by_queue(context, name, spec, rule, rule.queue, deployment, parent)
    else:
        _by_load(context, name, spec, rule, deployment, parent)


def _shares(context: Context, rule: Scale) -> list[tuple[str, int]]:
    """Percent of the requests: utilisation counts by them, what is aimed at is a share of the upper bound."""
    cpu = round(rule.cpu * context.cluster.overcommit)
    return [("cpu", cpu), *([("memory", rule.memory)] if rule.memory else [])]


def _by_load(
    context: Context, name: str, spec: ServiceSpec, rule: Scale, deployment: Input[str], parent: Resource
) -> None:
    kubernetes.autoscaling.v2.HorizontalPodAutoscaler(
        f"{name}-scale",
        metadata=context.metadata(f"{name}-scale", spec.service, spec.role),
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
            "minReplicas": rule.min,
            "maxReplicas": rule.max,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": resource, "target": {"type": "Utilization", "averageUtilization": share}},
                }
                for resource, share in _shares(context, rule)
            ],
            "behavior": BEHAVIOR,
        },
        opts=ResourceOptions(parent=parent),
    )


def _by_queue(  # noqa: PLR0913, PLR0917 - what grows, by what
    context: Context,
    name: str,
    spec: ServiceSpec,
    rule: Scale,
    queue: Queue,
    deployment: Input[str],
    parent: Resource,
) -> None:
    grant = grant_of(queue.broker)
    door = network.admit_namespace(context, f"{name}-keda-to-{grant.service}", grant, OPERATOR_NAMESPACE, parent=parent)
    trigger: Manifest = {
        "type": "redis",
        "metadata": {
            # KEDA asks from its own namespace.
            "address": f"{queue.broker.host.partition('.')[0]}.{grant.namespace}.svc:{queue.broker.port}",
            "databaseIndex": str(queue.database),
            "listName": queue.name,
            "listLength": str(queue.waiting),
        },
    }
    waits: list[Input[Resource]] = [door]
    if queue.broker.password is not None:
        login = _login(context, name, spec, queue.broker.password, parent)
        trigger["authenticationRef"] = {"name": login.metadata["name"]}
        waits.append(login)
    loads = [
        # A worker takes jobs off the list before it works on them: the list alone may be short under full load.
        {"type": resource, "metricType": "Utilization", "metadata": {"value": str(share)}}
        for resource, share in _shares(context, rule)
    ]
    kubernetes.apiextensions.CustomResource(
        f"{name}-scale",
        api_version=KEDA,
        kind="ScaledObject",
        metadata=context.metadata(
            f"{name}-scale", spec.service, spec.role, annotations={"pulumi.com/waitFor": "condition=Ready"}
        ),
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
            "minReplicaCount": rule.min,
            "maxReplicaCount": rule.max,
            "pollingInterval": POLLING_SECONDS,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": BEHAVIOR}},
            "triggers": [trigger, *loads],
        },
        opts=ResourceOptions(parent=parent, depends_on=waits),
    )


def _login(
    context: Context, name: str, spec: ServiceSpec, password: SecretRef, parent: Resource
) -> kubernetes.apiextensions.CustomResource:
    """How KEDA logs in at the queue: by a Secret of this namespace."""
    opts = ResourceOptions(parent=parent)
    resource = f"{name}-queue-login"
    source: Manifest
    if isinstance(password, HeldSecret):
        held = kubernetes.core.v1.Secret(
            f"{name}-queue-password",
            type="Opaque",
            immutable=True,
            string_data={"password": password.value},
            metadata=context.metadata(f"{name}-queue-password", spec.service, spec.role),
            opts=opts,
        )
        source = {"name": held.metadata["name"], "key": "password"}
    elif isinstance(password, KeptSecret):
        source = {"name": password.secret, "key": password.key}
    else:
        raise TypeError(f"{name}: the queue's password belongs to another platform")
    return kubernetes.apiextensions.CustomResource(
        resource,
        api_version=KEDA,
        kind="TriggerAuthentication",
        metadata=context.metadata(resource, spec.service, spec.role),
        spec={"secretTargetRef": [{"parameter": "password", **source}]},
        opts=opts,
    )
