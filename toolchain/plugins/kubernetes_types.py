"""Resource types of the `kubernetes` stand-in: tokens, what is refused, and the fields whose change replaces an object.

Every kind that the cluster serves is a resource type. The replace table follows the API server's own validation of
updates (release 1.34) and, for the data of ConfigMaps and Secrets, the official plugin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from toolchain.plugins.provider import ProviderError
from toolchain.plugins.schema import UNKNOWN, Values

Path = tuple[str | int, ...]
REFUSED_MODULES = ("helm.sh/", "yaml", "kustomize")
PATCH_FORCE, SKIP_AWAIT, WAIT_FOR = "pulumi.com/patchForce", "pulumi.com/skipAwait", "pulumi.com/waitFor"
AUTONAMED, REPLACE_UNREADY = "pulumi.com/autonamed", "pulumi.com/replaceUnready"
PROPAGATION = "pulumi.com/deletionPropagationPolicy"
DATA = frozenset({"data", "binaryData", "stringData"})
"""Fields of ConfigMaps and Secrets; a Secret's are secret."""
REPLACED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("apps/DaemonSet", "apps/Deployment", "apps/ReplicaSet"), ("spec.selector",)),
    "apps/StatefulSet": ("spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"),
    "batch/Job": (
        "spec.selector", "spec.template", "spec.completions", "spec.completionMode", "spec.podFailurePolicy",
        "spec.backoffLimitPerIndex", "spec.managedBy", "spec.manualSelector", "spec.successPolicy",
    ),
    "/ConfigMap": ("data", "binaryData"),
    "/Secret": ("type", "data", "stringData"),
    "/Service": ("spec.clusterIP", "spec.clusterIPs", "spec.loadBalancerClass", "spec.healthCheckNodePort"),
    "/PersistentVolumeClaim": ("spec",),
    "/PersistentVolume": ("spec.csi", "spec.hostPath", "spec.local", "spec.nfs", "spec.volumeMode"),
    "/Pod": ("spec",),
    "/ResourceQuota": ("spec.scopes", "spec.scopeSelector"),
    **{f"rbac.authorization.k8s.io/{name}": ("roleRef",) for name in ("RoleBinding", "ClusterRoleBinding")},
    "storage.k8s.io/StorageClass": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    "storage.k8s.io/CSIDriver": ("spec.attachRequired", "spec.volumeLifecycleModes"),
    "scheduling.k8s.io/PriorityClass": ("value", "preemptionPolicy"),
    "networking.k8s.io/IngressClass": ("spec.controller",),
    "node.k8s.io/RuntimeClass": ("handler",),
    "discovery.k8s.io/EndpointSlice": ("addressType",),
    "apiextensions.k8s.io/CustomResourceDefinition": ("spec.group", "spec.scope", "spec.names.plural"),
}  # fmt: skip
"""Fields (with everything below them) that the API server does not let change, by group and kind."""
CHANGEABLE: Mapping[str, tuple[str, ...]] = {
    "/PersistentVolumeClaim": ("spec.resources", "spec.volumeAttributesClassName"),
    "/Pod": (
        "spec.containers.*.image", "spec.initContainers.*.image", "spec.activeDeadlineSeconds", "spec.tolerations",
        "spec.terminationGracePeriodSeconds",
    ),
}  # fmt: skip
"""Exceptions below the fields of REPLACED."""
BUILT_IN = re.compile(
    r"[a-z]*|(admissionregistration|apiextensions|apiregistration|authentication|authorization|certificates"
    r"|coordination|discovery|events|flowcontrol\.apiserver|networking|node|rbac\.authorization|resource|scheduling"
    r"|storage|storagemigration)\.k8s\.io"
)
"""API groups that need no CustomResourceDefinition."""
IDENTITY = ("kind", "metadata.name", "metadata.namespace")


@dataclass(frozen=True)
class Kind:
    """A resource type: API group ("" for the core), version and kind."""

    group: str
    version: str
    name: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> str:
        return f"{self.group}/{self.name}"


@dataclass(frozen=True)
class Change:
    """One input that differs."""

    path: Path
    old: Any
    new: Any

    @property
    def text(self) -> str:
        """The path as the engine writes it."""
        words = (part if isinstance(part, int) or re.fullmatch(r"\w+", part) else f'"{part}"' for part in self.path)
        return "".join(f".{word}" if str(word).isidentifier() else f"[{word}]" for word in words).lstrip(".")


def kind_of(urn: str) -> Kind:
    """The kind that a URN's type names. Raises ProviderError for what this stand-in does not have."""
    token = urn.split("::")[2].rpartition("$")[2]
    _, module, name = token.split(":")
    group, _, version = module.removeprefix("core/").rpartition("/")
    if module.startswith(REFUSED_MODULES) or (BUILT_IN.fullmatch(group) and name.endswith(("Patch", "List"))):
        raise ProviderError(
            f"{token} is not supported by the kubernetes stand-in: it takes plain objects and CustomResource, "
            "no Helm, YAML or Kustomize types, no ...Patch and no ...List"
        )
    return Kind(group, version, name)


def annotations_of(values: Values) -> Mapping[str, str]:
    """The annotations of inputs or of an object; none while they are not known."""
    metadata = values.get("metadata")
    found = metadata.get("annotations") if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def is_on(values: Values, annotation: str) -> bool:
    """Whether an annotation says "true"."""
    return str(annotations_of(values).get(annotation, "")).lower() == "true"


def changes(old: Any, new: Any, path: Path = ()) -> Iterator[Change]:
    """Every place where two sets of inputs differ, or may differ because a value is not known yet."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from changes(old.get(key), new.get(key), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before, after = (items[index] if index < len(items) else None for items in (old, new))
            yield from changes(before, after, (*path, index))
    elif old != new or new == UNKNOWN:
        yield Change(path, old, new)


def replaces(kind: Kind, change: Change, mutable: frozenset[str], old: Values) -> bool:
    """Whether a change cannot be made in place. `mutable`: kinds whose data the provider may change in place."""
    if within(change.path, IDENTITY) or (change.path[0] == "apiVersion" and group(change.old) != group(change.new)):
        return True
    if old.get("immutable") and kind.key in ("/ConfigMap", "/Secret") and change.path[0] in {*DATA, "immutable"}:
        return True
    if change.path[0] in DATA and kind.name in mutable:
        return False
    if kind.key == "/PersistentVolumeClaim" and change.path == ("spec", "resources", "requests", "storage"):
        return change.new != UNKNOWN and bool(parse_quantity(change.new or 0) < parse_quantity(change.old or 0))
    return within(change.path, REPLACED.get(kind.key, ())) and not within(change.path, CHANGEABLE.get(kind.key, ()))


def group(api_version: Any) -> str:
    """The API group of an apiVersion."""
    return str(api_version).rpartition("/")[0]


def within(path: Path, fields: tuple[str, ...]) -> bool:
    """Whether a path is one of the fields or below it; `*` stands for any list index."""
    steps = [part if isinstance(part, str) else "*" for part in path]
    return any(steps[: field.count(".") + 1] == field.split(".") for field in fields)
