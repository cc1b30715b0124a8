"""Kubernetes' objects beside each other: which selector finds which pods, who scales whom.

What is not known in a preview is taken to fit, so that a rule about two objects never complains about a name that the
deployment will bring.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from policies.kubernetes import DATABASE, DEPLOYMENT, METRICS_SERVER, PODS, POOLER, REPLICA_SET, STATEFUL_SET, template
from policies.subject import Resource
from policies.values import UNKNOWN, blocks, dig, has_unknown

NAMESPACE: Final = "kubernetes:core/v1:Namespace"
QUOTA: Final = "kubernetes:core/v1:ResourceQuota"
LIMITS: Final = "kubernetes:core/v1:LimitRange"
SERVICE: Final = "kubernetes:core/v1:Service"
SECRET: Final = "kubernetes:core/v1:Secret"  # noqa: S105 - a type
CONFIG_MAP: Final = "kubernetes:core/v1:ConfigMap"
CLAIM: Final = "kubernetes:core/v1:PersistentVolumeClaim"
BUDGET: Final = "kubernetes:policy/v1:PodDisruptionBudget"
AUTOSCALERS: Final = (
    "kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
    "kubernetes:autoscaling/v1:HorizontalPodAutoscaler",
)
SCALED_OBJECT: Final = "kubernetes:keda.sh/v1alpha1:ScaledObject"
SCALERS: Final = (*AUTOSCALERS, SCALED_OBJECT)
NETWORK_POLICY: Final = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
INGRESS: Final = "kubernetes:networking.k8s.io/v1:Ingress"
GATEWAY: Final = "kubernetes:gateway.networking.k8s.io/v1:Gateway"
ROUTE: Final = "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute"
ROLES: Final = ("kubernetes:rbac.authorization.k8s.io/v1:Role", "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole")
REPLICATED: Final = (DEPLOYMENT, STATEFUL_SET, REPLICA_SET)
CLUSTER_WIDE: Final = frozenset(
    {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "StorageClass", "PersistentVolume"}
    | {"PriorityClass", "GatewayClass", "IngressClass", "ClusterIssuer", "APIService", "RuntimeClass"}
    | {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy"}
    | {"ValidatingAdmissionPolicyBinding", "ClusterImageCatalog", "CSIDriver", "VolumeSnapshotClass"}
)
"""Kinds whose objects stand in no namespace."""
DEFAULT_NAMESPACE: Final = "default"


def name(resource: Resource) -> Any:
    """Name of the object; `UNKNOWN` when it is not known yet."""
    found = dig(resource.properties, "metadata", "name")
    return UNKNOWN if found is None else found


def namespace(resource: Resource) -> Any:
    """Namespace of the object; None when it does not say."""
    return dig(resource.properties, "metadata", "namespace")


def same(one: Any, other: Any) -> bool:
    """Two names are the same, or may be."""
    return one == other or one is UNKNOWN or other is UNKNOWN


def pod_labels(resource: Resource) -> Any:
    """Labels of the pods that come of a resource; None when none do, `UNKNOWN` when they are not known yet."""
    if resource.type == DATABASE:
        inherited = dig(resource.properties, "spec", "inheritedMetadata", "labels")
        own = {"cnpg.io/cluster": name(resource), "cnpg.io/podRole": "instance"}
        return inherited if inherited is UNKNOWN else {**(inherited if isinstance(inherited, Mapping) else {}), **own}
    if resource.type == POOLER:
        given = dig(resource.properties, "spec", "template", "metadata", "labels")
        own = {"cnpg.io/poolerName": name(resource)}
        return given if given is UNKNOWN else {**(given if isinstance(given, Mapping) else {}), **own}
    if resource.type == METRICS_SERVER:
        inherited = dig(resource.properties, "spec", "podMetadata", "labels")
        return inherited if inherited is UNKNOWN or isinstance(inherited, Mapping) else {}
    bearer = template(resource.type, resource.properties)
    if resource.type not in PODS or bearer is None:
        return None
    labels = dig(bearer, "metadata", "labels")
    return labels if labels is UNKNOWN or isinstance(labels, Mapping) else {}


def selects(selector: Any, labels: Any) -> bool:
    """A label selector finds pods with these labels, or may; an empty one finds all, none at all finds nothing."""
    if selector is UNKNOWN or labels is UNKNOWN:
        return True
    if not isinstance(selector, Mapping) or not isinstance(labels, Mapping):
        return False
    wanted = selector.get("matchLabels") or {}
    if wanted is not UNKNOWN and not chooses(wanted, labels):
        return False
    return all(_fits(expression, labels) for expression in blocks(selector.get("matchExpressions")))


def chooses(wanted: Any, labels: Any) -> bool:
    """All of these labels are there, or may be: the plain selector of a Service."""
    if wanted is UNKNOWN or labels is UNKNOWN:
        return True
    return all(key in labels and same(labels[key], value) for key, value in wanted.items())


def _fits(expression: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    value, values = labels.get(str(expression.get("key"))), expression.get("values")
    there = value is not None
    unsure = value is UNKNOWN or has_unknown(values)
    among = value in (values if isinstance(values, list) else [])
    answers = {"In": unsure or among, "NotIn": unsure or not among, "Exists": there, "DoesNotExist": not there}
    return answers.get(str(expression.get("operator")), True)


def whole(value: Any) -> int | None:
    """A whole number, however the engine writes it; None for what is none, or not known yet."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(frozen=True)
class Workload:
    """Something that bears pods, with who scales it."""

    resource: Resource
    scaler: Resource | None
    """The autoscaler that decides how many pods there are."""

    @property
    def count(self) -> int | None:
        """The fewest pods that there are in peace; None when it is not known yet."""
        spec = dig(self.resource.properties, "spec")
        if self.scaler is not None:
            wanted = dig(self.scaler.properties, "spec")
            if self.scaler.type == SCALED_OBJECT:
                return _count(wanted, "minReplicaCount", 0)
            return _count(wanted, "minReplicas")
        return _count(spec, "replicas")


def _count(spec: Any, key: str, default: int = 1) -> int | None:
    value = dig(spec, key)
    return default if value is None else whole(value)


def workloads(resources: Sequence[Resource], scalers: Sequence[Resource] | None = None) -> Iterator[Workload]:
    """What bears replicas of a pod, in the order of its names; `scalers` are looked for among all of the stack."""
    there = [one for one in (resources if scalers is None else scalers) if one.type in SCALERS]
    for resource in sorted((one for one in resources if one.type in REPLICATED), key=lambda one: (one.type, one.name)):
        yield Workload(resource, next((one for one in there if scales(one, resource)), None))


def scales(scaler: Resource, resource: Resource) -> bool:
    """The autoscaler's target is this resource."""
    target = dig(scaler.properties, "spec", "scaleTargetRef")
    kind = dig(target, "kind") or ("Deployment" if scaler.type == SCALED_OBJECT else None)
    names = (dig(target, "name"), name(resource))
    meant = names[0] == names[1]
    if UNKNOWN in names:
        # Both belong to one service: nothing else tells yet.
        meant = (scaler.system, scaler.service) == (resource.system, resource.service)
    return meant and same(kind, resource.type.rsplit(":", 1)[-1]) and same(namespace(scaler), namespace(resource))
