"""Metrics of one system: a Prometheus of its own by the operator, PodMonitors for its targets, its rules, Grafana.

Targets are found through the API server: Prometheus may list pods in the namespaces of its targets, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi_kubernetes as kubernetes
from pulumi import Input, Resource, ResourceOptions

from platforms import grafana
from platforms.kubernetes import network
from platforms.kubernetes.context import LABEL, Context, PodGrant, after, grant_of
from platforms.kubernetes.logs import LOGS_PATH, Logs
from platforms.kubernetes.namespaces import Namespaces
from platforms.kubernetes.pods import compute, container_security, pod_security
from platforms.kubernetes.workloads import KubernetesWorkloads
from platforms.secrets import HeldSecrets
from platforms.specs import (
    GIB,
    MIB,
    Endpoint,
    Resources,
    ScrapeTarget,
    Started,
    TelemetryParts,
    TelemetrySpec,
)

OPERATOR = "monitoring.coreos.com/v1"
METRICS_PATH = "/prometheus/"
DASHBOARDS_PATH = "/grafana/"
PORT = 9090
STORAGE = 5 * GIB
RESOURCES = Resources(cpu=0.5, memory=512 * MIB)


@dataclass(frozen=True)
class KubernetesTelemetry:
    """Implements `platforms.protocols.Telemetry`."""

    workloads: KubernetesWorkloads
    secrets: HeldSecrets
    namespaces: Namespaces

    @property
    def context(self) -> Context:
        """The system's namespace."""
        return self.workloads.context

    def collect(self, name: str, spec: TelemetrySpec, *, parent: Resource) -> TelemetryParts:
        """Scrape the targets, evaluate the rules, show the dashboards."""
        monitors = [self._monitor(name, target, spec.scrape_interval, parent) for target in spec.targets]
        monitors.append(self._rules(name, spec, parent))
        metrics, served = self._prometheus(name, spec, monitors, parent)
        dashboards = None
        if spec.grafana:
            password = self.secrets.generate(f"{name}-grafana-password", parent=parent)
            source = f"{metrics.url}{METRICS_PATH}"
            image = self.context.cluster.engine_image("grafana")
            service = grafana.service(
                image, metrics, source, f"{spec.external_url}{DASHBOARDS_PATH}", password, spec.dashboards, served
            )
            dashboards = self.workloads.serve(f"{name}-grafana", service, parent=parent).reached_at
        shown = None
        if spec.logs_kept is not None and self.context.cluster.logs is not None:
            collector = Logs(self.workloads, self.secrets, self.namespaces, self.context.cluster.logs)
            shown = collector.collect(f"{name}-logs", spec.logs_kept, spec.external_url, parent=parent)
        return TelemetryParts(
            metrics=metrics,
            metrics_path=METRICS_PATH,
            dashboards=dashboards,
            dashboards_path=DASHBOARDS_PATH,
            logs=shown,
            logs_path=LOGS_PATH,
        )

    def _monitor(self, name: str, target: ScrapeTarget, interval: int, parent: Resource) -> Resource:
        grant = grant_of(target.endpoint)
        resource = f"{name}-{target.service}"
        labels = {"job": target.job, "service": target.service, "system": self.context.system}
        monitor: Resource = kubernetes.apiextensions.CustomResource(
            resource,
            api_version=OPERATOR,
            kind="PodMonitor",
            metadata=self.context.metadata(resource, "prometheus", "telemetry"),
            spec={
                "namespaceSelector": {"matchNames": [grant.namespace]},
                "selector": {"matchLabels": dict(grant.pods)},
                "podMetricsEndpoints": [
                    {
                        "portNumber": grant.port,
                        "path": target.path,
                        "interval": f"{interval}s",
                        "relabelings": [
                            {"targetLabel": label, "replacement": value, "action": "replace"}
                            for label, value in sorted(labels.items())
                        ],
                    }
                ],
            },
            opts=ResourceOptions(parent=parent),
        )
        return monitor

    def _rules(self, name: str, spec: TelemetrySpec, parent: Resource) -> Resource:
        rules: Resource = kubernetes.apiextensions.CustomResource(
            f"{name}-rules",
            api_version=OPERATOR,
            kind="PrometheusRule",
            metadata=self.context.metadata(f"{name}-rules", "prometheus", "telemetry"),
            spec={
                "groups": [
                    {
                        "name": self.context.system,
                        "rules": [
                            {
                                "alert": rule.name,
                                "expr": rule.expression,
                                "for": rule.hold,
                                "labels": {"severity": rule.severity},
                                "annotations": {"summary": rule.summary},
                            }
                            for rule in spec.rules
                        ],
                    }
                ]
            },
            opts=ResourceOptions(parent=parent),
        )
        return rules

    def _prometheus(
        self, name: str, spec: TelemetrySpec, monitors: Sequence[Resource], parent: Resource
    ) -> tuple[Endpoint, Started]:
        context = self.context
        resource = f"{name}-prometheus"
        grants = [grant_of(target.endpoint) for target in spec.targets]
        namespaces = {grant.namespace: grant.placed or grant.namespace for grant in grants}
        account = self._account(resource, namespaces, parent)
        uses = [target.endpoint for target in spec.targets]
        policies = network.connect(context, resource, "prometheus", uses, parent=parent, role="telemetry")
        policies.append(self._to_api(resource, parent))
        mine = {"matchLabels": {f"{LABEL}/system": context.system}}
        server = kubernetes.apiextensions.CustomResource(
            resource,
            api_version=OPERATOR,
            kind="Prometheus",
            metadata=context.metadata(
                resource,
                "prometheus",
                "telemetry",
                name="metrics",
                annotations={"pulumi.com/waitFor": "condition=Available"},
            ),
            spec={
                # Without an image, the one that the operator was tried with.
                **context.cluster.metrics_image,
                "imagePullPolicy": "IfNotPresent",
                "replicas": 1,
                "serviceAccountName": account,
                "podMetadata": {"labels": context.labels("prometheus", "telemetry")},
                "podMonitorSelector": mine,
                "ruleSelector": mine,
                "scrapeInterval": f"{spec.scrape_interval}s",
                "evaluationInterval": f"{spec.scrape_interval}s",
                "retention": f"{spec.retention}s",
                "externalLabels": {"stack": context.stack, "system": context.system},
                "externalUrl": f"{spec.external_url}{METRICS_PATH}",
                "routePrefix": METRICS_PATH,
                "resources": compute(context, RESOURCES),
                "securityContext": pod_security(None),
                "containers": [
                    {"name": container, "securityContext": container_security()}
                    for container in ("prometheus", "config-reloader")
                ],
                "storage": {
                    "volumeClaimTemplate": {
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": f"{STORAGE // MIB}Mi"}},
                            **context.storage_class,
                        }
                    }
                },
            },
            opts=ResourceOptions(parent=parent, depends_on=[*after(spec.after), *policies, *monitors]),
        )
        service = self._service(resource, server, parent)
        grant = PodGrant(
            service="prometheus", namespace=context.namespace, pods=context.selector("prometheus"), port=PORT
        )
        endpoint = Endpoint(scheme="http", host=context.host("prometheus"), port=PORT, grant=grant)
        return endpoint, Started(ready=[server, service])

    def _service(self, name: str, server: Resource, parent: Resource) -> Resource:
        service: Resource = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata=self.context.metadata(f"{name}-service", "prometheus", "telemetry", name="prometheus"),
            spec={
                "type": "ClusterIP",
                "selector": self.context.selector("prometheus"),
                "ports": [{"name": "web", "port": PORT, "targetPort": "web", "protocol": "TCP"}],
            },
            opts=ResourceOptions(parent=parent, depends_on=[server]),
        )
        return service

    def _account(self, name: str, namespaces: Mapping[str, Input[str]], parent: Resource) -> Input[str]:
        """An account that may list the pods of the targets' namespaces."""
        context, opts = self.context, ResourceOptions(parent=parent)
        account = kubernetes.core.v1.ServiceAccount(
            f"{name}-account",
            metadata=context.metadata(f"{name}-account", "prometheus", "telemetry"),
            image_pull_secrets=[{"name": context.pull_secret}] if context.pull_secret else None,
            automount_service_account_token=False,
            opts=opts,
        )
        for namespace, placed in sorted(namespaces.items(), key=lambda item: item[0]):
            where = {} if namespace == context.namespace else {"namespace": placed}
            resource = f"{name}-reads-{namespace}"
            role = kubernetes.rbac.v1.Role(
                resource,
                metadata=context.metadata(resource, "prometheus", "telemetry") | where,
                rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
                opts=opts,
            )
            kubernetes.rbac.v1.RoleBinding(
                resource,
                metadata=context.metadata(resource, "prometheus", "telemetry") | where,
                role_ref={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role.metadata["name"]},
                subjects=[
                    {"kind": "ServiceAccount", "name": account.metadata["name"], "namespace": context.namespace_name}
                ],
                opts=opts,
            )
        name_of: Input[str] = account.metadata["name"]
        return name_of

    def _to_api(self, name: str, parent: Resource) -> Resource:
        policy: Resource = kubernetes.networking.v1.NetworkPolicy(
            f"{name}-to-api-server",
            metadata=self.context.metadata(f"{name}-to-api-server", "prometheus", "telemetry"),
            spec={
                "podSelector": {"matchLabels": self.context.selector("prometheus")},
                "policyTypes": ["Egress"],
                "egress": [network.api_server()],
            },
            opts=ResourceOptions(parent=parent),
        )
        return policy
