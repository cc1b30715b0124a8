"""Logs of one system: Fluent Bit on each node, Elasticsearch and Kibana by Elastic's operator (ARE-065 … ARE-068).

Pods' logs are files of their node that root alone may read: Fluent Bit stands in a namespace of its own, the only
privileged one, sees nothing but the log folder, and reads the files of its system's namespace.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi_kubernetes as kubernetes
import yaml
from pulumi import Output, Resource, ResourceOptions

from platforms.kubernetes import network
from platforms.kubernetes.context import Context, LogImages, Manifest, PodGrant
from platforms.kubernetes.namespaces import Namespaces
from platforms.kubernetes.pods import compute, container_security, pod_security, spread, template
from platforms.kubernetes.settings import settings_of
from platforms.kubernetes.workloads import KubernetesWorkloads
from platforms.secrets import HeldSecret, HeldSecrets
from platforms.specs import GIB, MIB, Endpoint, Health, HttpProbe, JobSpec, Resources, ServiceSpec, Started

ELASTICSEARCH, KIBANA = "elasticsearch.k8s.elastic.co/v1", "kibana.k8s.elastic.co/v1"
OPERATOR_NAMESPACE = "elastic-system"
LOGS_PATH = "/kibana/"
NAME = "logs"
HTTP_PORT, TRANSPORT_PORT, KIBANA_PORT = 9200, 9300, 5601
NODES = 3
"""The fewest that elect a master when one of them is gone."""
NODE = Resources(cpu=1.0, memory=2 * GIB)
STORAGE = 20 * GIB
VIEW = Resources(cpu=1.0, memory=GIB)
SHIPPER = Resources(cpu=0.25, memory=128 * MIB)
USER = "1000:1000"
"""Of the images of Elasticsearch and Kibana."""
WRITER = "writer"
FOLDER = "/var/log/pods"
DAY = 86_400
ROLES = {
    WRITER: {
        "cluster": ["monitor", "manage_ilm", "manage_index_templates"],
        "indices": [{"names": ["logs-*"], "privileges": ["auto_configure", "create_doc", "view_index_metadata"]}],
    }
}
LOGIN = "/run/secrets/login"
SETTINGS = "/etc/logs"
APPLY = f"""\
set -eu
put() {{
  curl --silent --show-error --fail-with-body --retry 60 --retry-delay 5 --retry-all-errors --config {LOGIN} \\
    --header 'Content-Type: application/json' --request PUT "$STORE/$1" --data "@{SETTINGS}/$2"
}}
put _ilm/policy/$STREAM policy.json
put _index_template/$STREAM template.json
"""


@dataclass(frozen=True)
class Logs:
    """Collects the logs of one system's pods."""

    workloads: KubernetesWorkloads
    secrets: HeldSecrets
    namespaces: Namespaces
    images: LogImages

    @property
    def context(self) -> Context:
        """The system's namespace."""
        return self.workloads.context

    @property
    def stream(self) -> str:
        """Data stream that the logs are written to."""
        return f"logs-{self.context.system}-{self.context.stack}"

    def collect(self, name: str, kept: int, external_url: str, *, parent: Resource) -> Endpoint:
        """Keep the logs for `kept` seconds; returns where they are shown."""
        password = self.secrets.generate(f"{name}-password", parent=parent)
        store, endpoint = self._store(name, password, parent)
        view, shown = self._view(name, endpoint, store, external_url, parent)
        del view
        ready = self._lifecycle(name, kept, endpoint, password, store, parent)
        self._shipper(name, endpoint, password, ready, parent)
        return shown

    def _endpoint(self, service: str, host: str, port: int) -> Endpoint:
        pods = self.context.selector(service)
        grant = PodGrant(service=service, namespace=self.context.namespace, pods=pods, port=port)
        # The operator names the Services; the shipper asks from another namespace.
        return Endpoint(scheme="http", host=f"{host}.{self.context.namespace}.svc", port=port, grant=grant)

    def _store(self, name: str, password: HeldSecret, parent: Resource) -> tuple[Resource, Endpoint]:
        context, opts = self.context, ResourceOptions(parent=parent)
        endpoint = self._endpoint("elasticsearch", f"{NAME}-es-http", HTTP_PORT)
        peers = self._endpoint("elasticsearch", f"{NAME}-es-transport", TRANSPORT_PORT)
        policies = network.connect(context, f"{name}-peers", "elasticsearch", [peers], parent=parent, role="data")
        policies.append(self._operator(f"{name}-operator", endpoint, parent))
        login = kubernetes.core.v1.Secret(
            f"{name}-writer",
            type="kubernetes.io/basic-auth",
            string_data={"username": WRITER, "password": password.value, "roles": WRITER},
            metadata=context.metadata(f"{name}-writer", "elasticsearch", "data"),
            opts=opts,
        )
        roles = kubernetes.core.v1.Secret(
            f"{name}-roles",
            type="Opaque",
            string_data={"roles.yml": yaml.safe_dump(ROLES, sort_keys=True)},
            metadata=context.metadata(f"{name}-roles", "elasticsearch", "data"),
            opts=opts,
        )
        store = kubernetes.apiextensions.CustomResource(
            f"{name}-store",
            api_version=ELASTICSEARCH,
            kind="Elasticsearch",
            metadata=self._awaited(f"{name}-store", "elasticsearch", "data", "jsonpath={.status.phase}=Ready"),
            spec={
                **self.images.elasticsearch,
                # Inside the namespace's fence, as the other engines.
                "http": {"tls": {"selfSignedCertificate": {"disabled": True}}},
                "auth": {
                    "fileRealm": [{"secretName": login.metadata["name"]}],
                    "roles": [{"secretName": roles.metadata["name"]}],
                },
                "volumeClaimDeletePolicy": "DeleteOnScaledownAndClusterDeletion",
                "nodeSets": [
                    {
                        "name": "default",
                        "count": NODES,
                        # Else the nodes' kernel would have to be told of more memory maps.
                        "config": {"node.store.allow_mmap": False},
                        "podTemplate": self._pod("elasticsearch", "elasticsearch", "data", NODE),
                        "volumeClaimTemplates": [
                            {
                                # The operator asks for this name.
                                "metadata": {"name": "elasticsearch-data"},
                                "spec": {
                                    "accessModes": ["ReadWriteOnce"],
                                    "resources": {"requests": {"storage": f"{STORAGE // MIB}Mi"}},
                                    **self.context.storage_class,
                                },
                            }
                        ],
                    }
                ],
            },
            opts=ResourceOptions(parent=parent, depends_on=policies),
        )
        return store, endpoint

    def _view(
        self, name: str, endpoint: Endpoint, store: Resource, external_url: str, parent: Resource
    ) -> tuple[Resource, Endpoint]:
        shown = self._endpoint("kibana", f"{NAME}-kb-http", KIBANA_PORT)
        policies = network.connect(self.context, f"{name}-view", "kibana", [endpoint], parent=parent, role="telemetry")
        base = LOGS_PATH.rstrip("/")
        made = kubernetes.apiextensions.CustomResource(
            f"{name}-view",
            api_version=KIBANA,
            kind="Kibana",
            metadata=self._awaited(f"{name}-view", "kibana", "telemetry", "jsonpath={.status.health}=green"),
            spec={
                **self.images.kibana,
                "count": 1,
                "elasticsearchRef": {"name": NAME},
                "http": {"tls": {"selfSignedCertificate": {"disabled": True}}},
                "config": {
                    "server.basePath": base,
                    "server.rewriteBasePath": True,
                    "server.publicBaseUrl": f"{external_url}{base}",
                    "telemetry.optIn": False,
                },
                "podTemplate": self._pod("kibana", "kibana", "telemetry", VIEW),
            },
            opts=ResourceOptions(parent=parent, depends_on=[store, *policies]),
        )
        # For the edge, which stands in front of this namespace's own services.
        return made, Endpoint(scheme="http", host=f"{NAME}-kb-http", port=KIBANA_PORT, grant=shown.grant)

    def _operator(self, name: str, endpoint: Endpoint, parent: Resource) -> Resource:
        grant = PodGrant(
            service="elasticsearch",
            namespace=self.context.namespace,
            pods=self.context.selector("elasticsearch"),
            port=endpoint.port,
        )
        return network.admit_namespace(self.context, name, grant, OPERATOR_NAMESPACE, parent=parent)

    def _lifecycle(  # noqa: PLR0913, PLR0917 - how long, where, as whom
        self, name: str, kept: int, endpoint: Endpoint, password: HeldSecret, store: Resource, parent: Resource
    ) -> Started:
        """ARE-068: a policy and a template; both may be put again at any time."""
        phases = {
            "hot": {"actions": {"rollover": {"max_age": "1d", "max_primary_shard_size": "10gb"}}},
            "delete": {"min_age": f"{kept // DAY}d", "actions": {"delete": {}}},
        }
        index = {
            "index_patterns": [f"{self.stream}*"],
            # Before the template that Elasticsearch has for all logs.
            "priority": 200,
            "data_stream": {},
            "template": {"settings": {"index.lifecycle.name": self.stream, "index.number_of_replicas": 1}},
        }
        job = JobSpec(
            service="logs-lifecycle",
            image=self.images.elasticsearch["image"],
            user=USER,
            entrypoint=("bash", "-c"),
            command=(APPLY,),
            resources=Resources(cpu=0.25, memory=64 * MIB),
            env={"STORE": endpoint.url, "STREAM": self.stream},
            files={
                f"{SETTINGS}/policy.json": json.dumps({"policy": {"phases": phases}}),
                f"{SETTINGS}/template.json": json.dumps(index),
            },
            secret_files={LOGIN: Output.concat(f'user = "{WRITER}:', password.value, '"\n')},
            uses=[endpoint],
            after=[Started(ready=[store])],
        )
        return self.workloads.run_once(f"{name}-lifecycle", job, parent=parent)

    def _shipper(self, name: str, endpoint: Endpoint, password: HeldSecret, ready: Started, parent: Resource) -> None:
        context = self.namespaces.beside(self.context, NAME, f"{name}-nodes", parent=parent)
        workloads = KubernetesWorkloads(context)
        resource = f"{name}-shipper"
        spec = ServiceSpec(
            service="fluent-bit",
            role="telemetry",
            image=self.images.shipper,
            resources=SHIPPER,
            rollout="exclusive",
            user="0:0",
            entrypoint=("/fluent-bit/bin/fluent-bit",),
            command=("--config=/etc/fluent-bit/fluent-bit.yaml",),
            port=2020,
            secrets={"WRITER_PASSWORD": password},
            files={"/etc/fluent-bit/fluent-bit.yaml": self._pipeline(endpoint)},
            scratch=("/tmp", "/var/lib/fluent-bit"),  # noqa: S108 - inside the container
            health=Health(probe=HttpProbe(path="/api/v1/health", port=2020), interval=15),
        )
        policies = network.connect(context, resource, spec.service, [endpoint], parent=parent, role="telemetry")
        pod = template(context, resource, spec, settings_of(context, resource, spec, spec.role, parent=parent))
        pod["spec"]["serviceAccountName"] = workloads.account(resource, spec.service, spec.role, parent=parent)
        # The files are root's. Without any capability, root reads what is its own and no more.
        pod["spec"]["securityContext"] |= {"runAsNonRoot": False}
        pod["spec"]["volumes"].append({"name": NAME, "hostPath": {"path": FOLDER, "type": "Directory"}})
        mount = {"name": NAME, "mountPath": FOLDER, "readOnly": True}
        pod["spec"]["containers"][0]["volumeMounts"].append(mount)
        pod["spec"]["tolerations"] = [{"operator": "Exists", "effect": "NoSchedule"}]
        del pod["spec"]["topologySpreadConstraints"]
        kubernetes.apps.v1.DaemonSet(
            resource,
            metadata=context.metadata(resource, spec.service, spec.role),
            spec={
                "selector": {"matchLabels": context.selector(spec.service)},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
                "revisionHistoryLimit": 3,
                "template": pod,
            },
            opts=ResourceOptions(parent=parent, depends_on=[*ready.ready, *policies]),
        )

    def _pipeline(self, endpoint: Endpoint) -> str:
        """Fluent Bit's configuration; where a line comes from stands in the name of its file."""
        source = {
            "name": "source",
            "format": "regex",
            "regex": r"/(?<namespace>[^/_]+)_(?<pod>[^/_]+)_[^/]+/(?<container>[^/]+)/",
        }
        return yaml.safe_dump(
            {
                "service": {
                    "flush": 5,
                    "log_level": "warn",
                    "http_server": "on",
                    "http_port": 2020,
                    "health_check": "on",
                },
                "parsers": [source],
                "pipeline": {
                    "inputs": [
                        {
                            "name": "tail",
                            "path": f"{FOLDER}/{self.context.namespace}_*/*/*.log",
                            "path_key": "file",
                            "multiline.parser": "cri",
                            "db": "/var/lib/fluent-bit/tail.db",
                            "read_from_head": True,
                            "mem_buf_limit": "16M",
                            "skip_long_lines": True,
                        }
                    ],
                    "filters": [
                        {
                            "name": "parser",
                            "match": "*",
                            "key_name": "file",
                            "parser": "source",
                            "reserve_data": True,
                        },
                        {
                            "name": "modify",
                            "match": "*",
                            "set": [f"system {self.context.system}", f"stack {self.context.stack}"],
                        },
                    ],
                    "outputs": [
                        {
                            "name": "es",
                            "match": "*",
                            "host": endpoint.host,
                            "port": endpoint.port,
                            "http_user": WRITER,
                            "http_passwd": "${WRITER_PASSWORD}",
                            "index": self.stream,
                            # What is sent twice is kept once.
                            "generate_id": True,
                            "write_operation": "create",
                            "suppress_type_name": True,
                            "retry_limit": "no_limits",
                        }
                    ],
                },
            },
            sort_keys=False,
        )

    def _pod(self, service: str, container: str, role: str, resources: Resources) -> Manifest:
        return {
            "metadata": {"labels": self.context.labels(service, role)},
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": pod_security(USER),
                "containers": [
                    {
                        "name": container,
                        "resources": compute(self.context, resources),
                        "securityContext": container_security(),
                    }
                ],
                "topologySpreadConstraints": spread(self.context, service),
            },
        }

    def _awaited(self, resource: str, service: str, role: str, condition: str) -> Manifest:
        annotations = {"pulumi.com/waitFor": condition}
        return self.context.metadata(resource, service, role, name=NAME, annotations=annotations)
