"""Namespaces of a stack: each with its Pod Security, quota, limits and closed network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi_kubernetes as kubernetes
from pulumi import Output, Resource, ResourceOptions

from platforms.kubernetes import network
from platforms.kubernetes.context import LABEL, MANAGED_BY, NAME, PART_OF, ClusterSettings, Context
from platforms.specs import MIB

FOUNDATION = "foundation"
"""Value of the system label of what no system owns."""
POD_SECURITY = "pod-security.kubernetes.io"


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Credentials of an image registry."""

    address: str
    username: str
    password: Output[str]


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What one system may request."""

    cpu: float
    """Cores."""
    memory: int
    """Bytes."""
    pods: int


@dataclass(frozen=True, kw_only=True)
class Namespaces:
    """Opens the namespaces of one stack."""

    stack: str
    cluster: ClusterSettings
    quota: Quota
    registries: tuple[Registry, ...]
    after: Sequence[Resource] = ()
    """What everything in them needs: the operators, where the stack installs them."""

    def of(self, system: str, name: str, *, parent: Resource) -> Context:
        """The namespace of a system."""
        return self.open(system, f"{system}-{self.stack}", name, parent=parent)

    def ground(self, name: str, *, parent: Resource) -> Context:
        """The stack's own namespace."""
        return self.open(FOUNDATION, f"ai-platform-{self.stack}", name, parent=parent)

    def beside(self, context: Context, suffix: str, name: str, *, parent: Resource) -> Context:
        """Another namespace of the same system, for pods that must see the node: the only ones that are privileged."""
        namespace = f"{context.namespace}-{suffix}"
        return self.open(context.system, namespace, name, level="privileged", parent=parent)

    def open(
        self,
        system: str,
        namespace: str,
        name: str,
        *,
        level: Literal["restricted", "privileged"] = "restricted",
        parent: Resource,
    ) -> Context:
        """Make a namespace, and everything that bounds it."""
        labels = self._labels(system, "namespace")
        made = kubernetes.core.v1.Namespace(
            f"{name}-namespace",
            metadata={
                "name": namespace,
                "labels": labels | {f"{POD_SECURITY}/enforce": level, f"{POD_SECURITY}/warn": level},
            },
            opts=ResourceOptions(parent=parent, depends_on=list(self.after)),
        )
        context = Context(
            stack=self.stack,
            system=system,
            namespace=namespace,
            namespace_name=made.metadata["name"],
            local=system != FOUNDATION,
            pull_secret=self._pull_secret(name, system, made.metadata["name"], parent),
            cluster=self.cluster,
        )
        network.close(context, name, parent=parent)
        _bound(context, name, self.quota, parent)
        return context

    def _labels(self, system: str, service: str) -> dict[str, str]:
        return {
            PART_OF: system,
            MANAGED_BY: "pulumi",
            f"{LABEL}/stack": self.stack,
            f"{LABEL}/system": system,
            f"{LABEL}/service": service,
            f"{LABEL}/role": "proxy",
        }

    def _pull_secret(self, name: str, system: str, namespace: Output[str], parent: Resource) -> Output[str] | None:
        """Logins of the image registries, for the pods' service accounts."""
        if not self.registries:
            return None
        logins = {
            registry.address: {"username": registry.username, "password": registry.password}
            for registry in self.registries
        }
        secret = kubernetes.core.v1.Secret(
            f"{name}-registries",
            type="kubernetes.io/dockerconfigjson",
            metadata={"namespace": namespace, "labels": self._labels(system, "registries") | {NAME: "registries"}},
            # The passwords make the whole text secret.
            string_data={".dockerconfigjson": Output.json_dumps({"auths": logins})},
            opts=ResourceOptions(parent=parent),
        )
        name_of: Output[str] = secret.metadata["name"]
        return name_of


def _bound(context: Context, name: str, quota: Quota, parent: Resource) -> None:
    """What the system may ask for, and what a container gets that asks for nothing."""
    opts = ResourceOptions(parent=parent)
    kubernetes.core.v1.ResourceQuota(
        f"{name}-quota",
        metadata=context.metadata(f"{name}-quota", "quota", "proxy", name="quota"),
        spec={
            "hard": {
                "requests.cpu": f"{quota.cpu:g}",
                "requests.memory": f"{quota.memory // MIB}Mi",
                "limits.memory": f"{quota.memory // MIB}Mi",
                "pods": str(quota.pods),
            }
        },
        opts=opts,
    )
    kubernetes.core.v1.LimitRange(
        f"{name}-limits",
        metadata=context.metadata(f"{name}-limits", "limits", "proxy", name="limits"),
        spec={
            "limits": [
                {
                    "type": "Container",
                    "default": {"cpu": "500m", "memory": "256Mi", "ephemeral-storage": "512Mi"},
                    "defaultRequest": {"cpu": "50m", "memory": "256Mi", "ephemeral-storage": "64Mi"},
                }
            ]
        },
        opts=opts,
    )
