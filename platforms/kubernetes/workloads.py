"""Services and jobs.

A service is a Deployment behind a Service, with its autoscaler and disruption budget; a job is a Job that Pulumi waits
for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi_kubernetes as kubernetes
from pulumi import Input, Output, Resource, ResourceOptions

from platforms.kubernetes import network, scaling
from platforms.kubernetes.context import Context, Manifest, PodGrant, after
from platforms.kubernetes.pods import template
from platforms.kubernetes.settings import settings_of
from platforms.specs import (
    MIB,
    Completed,
    Endpoint,
    JobSpec,
    Served,
    ServiceSpec,
    Volume,
)

HISTORY = 3
"""Releases that `kubectl rollout undo` can go back to."""
JOB_ATTEMPTS, JOB_SECONDS = 2, 600
"""A job is tried again this often, and ends at the latest after this time."""


@dataclass(frozen=True)
class KubernetesWorkloads:
    """Implements `platforms.protocols.Workloads`."""

    context: Context

    def serve(self, name: str, spec: ServiceSpec, *, parent: Resource, endpoint: Endpoint | None = None) -> Served:
        """Run the service's pods, under an endpoint that was reserved before or one of their own."""
        if endpoint is None and spec.port is not None:
            endpoint = self.reserve(spec)
        policies = network.connect(
            self.context, name, spec.service, spec.uses, egress=spec.egress, parent=parent, role=spec.role
        )
        deployment = self._deployment(name, spec, [*after(spec.after), *policies], parent)
        ready: list[Input[Resource]] = [deployment]
        if spec.port is not None:
            # Behind the pods: its creation waits for one that is ready.
            ready.append(self.expose(name, spec, parent=parent, depends_on=[deployment]))
        if spec.scale is not None:
            scaling.scale(self.context, name, spec, spec.scale, deployment.metadata["name"], parent=parent)
        if replicas(spec) > 1:
            self.budget(name, spec.service, spec.role, parent=parent)
        return Served(endpoint=endpoint, ready=ready)

    def run_once(self, name: str, spec: JobSpec, *, parent: Resource) -> Completed:
        """Run the job to its end; a failure stops every dependent, and names the pod's last lines."""
        policies = network.connect(self.context, name, spec.service, spec.uses, parent=parent, role="job")
        settings = settings_of(self.context, name, spec, "job", parent=parent)
        pod = template(self.context, name, spec, settings)
        pod["spec"]["serviceAccountName"] = self.account(name, spec.service, "job", parent=parent)
        job = kubernetes.batch.v1.Job(
            name,
            metadata=self.context.metadata(
                # One that failed is made anew by the next run.
                name,
                spec.service,
                "job",
                annotations={"pulumi.com/replaceUnready": "true"},
            ),
            spec={
                "backoffLimit": JOB_ATTEMPTS,
                "activeDeadlineSeconds": JOB_SECONDS,
                "template": pod,
            },
            opts=ResourceOptions(
                parent=parent, depends_on=[*after(spec.after), *policies, *self._claims(name, spec, parent)]
            ),
        )
        return Completed(ready=[job])

    def on_each_node(self, name: str, spec: ServiceSpec, *, parent: Resource) -> Endpoint:
        """Run one pod of the service on every node; there is no Service: each pod speaks for its node."""
        settings = settings_of(self.context, name, spec, spec.role, parent=parent)
        pod = template(self.context, name, spec, settings)
        pod["spec"]["serviceAccountName"] = self.account(name, spec.service, spec.role, parent=parent)
        del pod["spec"]["topologySpreadConstraints"]
        kubernetes.apps.v1.DaemonSet(
            name,
            metadata=self.context.metadata(name, spec.service, spec.role),
            spec={
                "selector": {"matchLabels": self.context.selector(spec.service)},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
                "revisionHistoryLimit": HISTORY,
                "template": pod,
            },
            opts=ResourceOptions(parent=parent, depends_on=after(spec.after)),
        )
        return self.reserve(spec)

    def reserve(self, spec: ServiceSpec) -> Endpoint:
        """The endpoint of a service before the service is there.

        Raises ValueError for a service without a port.
        """
        if spec.port is None:
            raise ValueError(f"{spec.service} has no port to be reached at")
        grant = PodGrant(
            service=spec.service,
            namespace=self.context.namespace,
            pods=self.context.selector(spec.service),
            port=spec.port,
            placed=self.context.namespace_name,
        )
        return Endpoint(scheme=spec.scheme, host=self.context.host(spec.service), port=spec.port, grant=grant)

    def expose(self, name: str, spec: ServiceSpec, *, parent: Resource, depends_on: list[Input[Resource]]) -> Resource:
        """The Service by the documented name."""
        service: Resource = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata=self.context.metadata(f"{name}-service", spec.service, spec.role, name=spec.service),
            spec={
                "type": "ClusterIP",
                "selector": self.context.selector(spec.service),
                "ports": [{"name": "main", "port": spec.port, "targetPort": "main", "protocol": "TCP"}],
            },
            opts=ResourceOptions(parent=parent, depends_on=depends_on),
        )
        return service

    def account(self, name: str, service: str, role: str, *, parent: Resource) -> Input[str]:
        """A service account of the service's own, without a token and without rights; returns its name."""
        account: Any = kubernetes.core.v1.ServiceAccount(
            f"{name}-account",
            metadata=self.context.metadata(f"{name}-account", service, role),
            automount_service_account_token=False,
            image_pull_secrets=[{"name": self.context.pull_secret}] if self.context.pull_secret else None,
            opts=ResourceOptions(parent=parent),
        )
        name_of: Output[str] = account.metadata["name"]
        return name_of

    def budget(self, name: str, service: str, role: str, *, parent: Resource) -> None:
        """At most one replica at a time goes for the cluster's own reasons, such as a node that is drained."""
        kubernetes.policy.v1.PodDisruptionBudget(
            f"{name}-budget",
            metadata=self.context.metadata(f"{name}-budget", service, role),
            spec={
                "maxUnavailable": 1,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": self.context.selector(service)},
            },
            opts=ResourceOptions(parent=parent),
        )

    def _deployment(self, name: str, spec: ServiceSpec, depends_on: list[Input[Resource]], parent: Resource) -> Any:
        settings = settings_of(self.context, name, spec, spec.role, parent=parent)
        pod = template(self.context, name, spec, settings)
        pod["spec"]["serviceAccountName"] = self.account(name, spec.service, spec.role, parent=parent)
        # The autoscaler owns the number of replicas where there is one.
        number = {} if spec.scale else {"replicas": spec.replicas}
        return kubernetes.apps.v1.Deployment(
            name,
            metadata=self.context.metadata(name, spec.service, spec.role),
            spec={
                **number,
                "selector": {"matchLabels": self.context.selector(spec.service)},
                "strategy": _strategy(spec),
                "revisionHistoryLimit": HISTORY,
                "progressDeadlineSeconds": spec.health.deadline if spec.health else 600,
                "template": pod,
            },
            opts=ResourceOptions(parent=parent, depends_on=[*depends_on, *self._claims(name, spec, parent)]),
        )

    def _claims(self, name: str, spec: ServiceSpec | JobSpec, parent: Resource) -> list[Input[Resource]]:
        return [
            self._claim(name, spec.service, volume, parent) for volume in spec.volumes.values() if volume.keeps_data
        ]

    def _claim(self, name: str, service: str, volume: Volume, parent: Resource) -> Resource:
        claim: Resource = kubernetes.core.v1.PersistentVolumeClaim(
            f"{name}-{volume.name}",
            metadata=self.context.metadata(f"{name}-{volume.name}", service, "data", name=f"{service}-{volume.name}"),
            spec={
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": f"{(volume.size or 5 * 1024 * MIB) // MIB}Mi"}},
                **self.context.storage_class,
            },
            opts=ResourceOptions(parent=parent, retain_on_delete=volume.retain),
        )
        return claim


def replicas(spec: ServiceSpec) -> int:
    """Fewest replicas at any time."""
    return spec.scale.min if spec.scale else spec.replicas


def _strategy(spec: ServiceSpec) -> Manifest:
    if spec.rollout == "exclusive":
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
