"""Cases of every resource rule on Kubernetes: what passes, what fails and with which advice, what may be missing.

Changes to a pod-bearing object are given by place: `container`, `pod`, `spec`, `metadata`, `pod_metadata`.
"""

from __future__ import annotations

from policies.kubernetes import CRON_JOB, DATABASE, DEPLOYMENT, JOB, STATEFUL_SET
from policies.objects import BUDGET, CONFIG_MAP, SECRET
from tests.policies.kubernetes_fences import FENCES
from tests.policies.support import MISSING, UNKNOWN, kube, kube_labels, secret
from tests.policies.tables import URL, Table

WORKER = {"labels": kube_labels(role="worker", service="worker")}
SCHEDULER = {"labels": kube_labels(role="scheduler", service="beat")}
HASH = "9fceb02d0ae598e95dc970b74767f19372d61af8"
RANDOM = "Zk29xQ7vLm4TpW8sYb3N"
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}

KUBERNETES: dict[str, Table] = {
    "resources-container-limit-memory": Table(
        kind=DEPLOYMENT,
        passes=[{}, {"container": {"resources": {"limits": {"memory": "1G"}}}}],
        fails=[
            ({"container": {"resources": {"limits": {"memory": "8Mi"}}}}, "at least 16"),
            ({"container": {"resources": {"limits": {"memory": "lots"}}}}, "set `resources.limits.memory`"),
            ({"container": {"resources": {"limits": {"memory": "0"}}}}, "no memory limit"),
        ],
        missing=("container.resources", 1),
        unknown=("container.resources", "container.resources.limits.memory"),
    ),
    "resources-container-request-memory": Table(
        kind=STATEFUL_SET,
        passes=[{}, {"container": {"resources": {"limits": {"memory": "0.5Gi"}}}}],
        fails=[
            ({"container": {"resources": {"limits": {"memory": "1Gi"}}}}, "requests 512Mi of memory"),
            ({"container": {"resources": {"requests": {"memory": MISSING}}}}, "to 512Mi, as its limit"),
        ],
        missing=("container.resources", 1),
        unknown=("container.resources", "container.resources.requests.memory"),
    ),
    "resources-container-request-cpu": Table(
        kind=CRON_JOB,
        passes=[{}, {"container": {"resources": {"requests": {"cpu": 1}}}}],
        fails=[
            ({"container": {"resources": {"requests": {"cpu": "0"}}}}, "set `resources.requests.cpu`"),
            ({"container": {"resources": {"requests": {"cpu": MISSING}}}}, "set `resources.requests.cpu`"),
        ],
        missing=("container.resources", 1),
        unknown=("container.resources.requests",),
    ),
    "resources-container-suggest-cpu": Table(
        kind=DATABASE,
        base=kube({"resources": {"limits": {"cpu": "1"}}}),
        passes=[{}],
        fails=[({"spec": {"resources": {"limits": {"cpu": MISSING}}}}, "set `resources.limits.cpu`")],
        missing=("spec", 1),
        unknown=("spec", "spec.resources"),
    ),
    "resources-container-suggest-storage": Table(
        kind=DEPLOYMENT,
        passes=[{}],
        fails=[({"container": {"resources": {"limits": {"ephemeral-storage": MISSING}}}}, "ephemeral-storage")],
        missing=("container.resources", 1),
        unknown=("container.resources",),
    ),
    "replicas-budget-free-unhealthy": Table(
        kind=BUDGET,
        base=kube({"unhealthyPodEvictionPolicy": "AlwaysAllow"}),
        passes=[{}],
        fails=[({"spec": {"unhealthyPodEvictionPolicy": "IfHealthyBudget"}}, "AlwaysAllow")],
        missing=("spec.unhealthyPodEvictionPolicy", 1),
        unknown=("spec", "spec.unhealthyPodEvictionPolicy"),
    ),
    "secrets-environment-require-secret": Table(
        kind=DEPLOYMENT,
        passes=[
            {},
            {"container": {"env": [{"name": "PASSWORD", "value": "$(DB_PASSWORD)"}]}},
            {"container": {"env": [{"name": "DB_PASSWORD_FILE", "value": "/run/secrets/db"}]}},
            {"container": {"env": [{"name": "DB_PASSWORD", "value": UNKNOWN}]}},
        ],
        fails=[
            ({"container": {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}}, "valueFrom.secretKeyRef"),
            ({"container": {"env": [{"name": "DB_PASSWORD", "value": secret("hunter2")}]}}, "kubectl describe"),
            ({"container": {"env": [secret({"name": "NOTE", "value": "hunter2"})]}}, "NOTE holds a secret"),
            ({"container": {"env": secret([{"name": "NOTE", "value": "hunter2"}])}}, "`env` holds a secret"),
            ({"container": {"env": [{"name": "DATABASE_URL", "value": URL}]}}, "a URL with a password"),
        ],
        missing=("container.env", 0),
        unknown=("container.env", "container"),
    ),
    "secrets-label-forbid": Table(
        kind=DEPLOYMENT,
        passes=[
            {},
            {"pod_metadata": {"annotations": {"ai-platform/checksum-secret": HASH}}},
            {"metadata": {"annotations": {"note": UNKNOWN}}},
        ],
        fails=[
            ({"metadata": {"annotations": {"db-password": "hunter2"}}}, "annotation db-password"),
            ({"metadata": {"labels": {"token": "hunter2"}}}, "label token"),
            ({"metadata": {"annotations": secret({"note": "hunter2"})}}, "`annotations` hold a secret"),
            ({"pod_metadata": {"annotations": {"note": secret("hunter2")}}}, "of its pods: annotation note"),
            ({"pod_metadata": {"annotations": {"checksum/config": URL}}}, "a URL with a password"),
        ],
        missing=("metadata.labels", 0),
        unknown=("metadata", "metadata.labels", "pod_metadata"),
    ),
    "secrets-command-forbid": Table(
        kind=JOB,
        passes=[
            {},
            {"container": {"args": ["--requirepass", "$(REDIS_PASSWORD)"]}},
            {"container": {"command": ["psql", "postgresql://app:$(PGPASSWORD)@postgres/shop"]}},
        ],
        fails=[
            ({"container": {"args": ["--requirepass", "hunter2"]}}, "`args` holds a value for --requirepass"),
            ({"container": {"command": ["psql", URL]}}, "a URL with a password"),
            ({"container": {"command": ["app", secret("quiet")]}}, "`command` holds a secret"),
            (
                {"container": {"livenessProbe": {"exec": {"command": ["redis-cli", "-a", "hunter2"]}}}},
                "`livenessProbe.exec.command`",
            ),
            (
                {"container": {"lifecycle": {"preStop": {"exec": {"command": ["app", "--token=hunter2"]}}}}},
                "`lifecycle.preStop.exec.command`",
            ),
        ],
        missing=("container.command", 0),
        unknown=("container.command", "container.livenessProbe"),
    ),
    "secrets-configmap-forbid": Table(
        kind=CONFIG_MAP,
        base=kube(data={"app.yml": "debug: false\npassword_file: /run/secrets/p\n", "LEVEL": "info"}),
        passes=[
            {},
            {"data": {"app.yml": "password: ${DB_PASSWORD}\n"}},
            {"binaryData": {"logo.png": "iVBORw0KGgo="}},
            {"data": {"app.yml": UNKNOWN}},
        ],
        fails=[
            ({"data": {"app.yml": "db:\n  password: hunter2\n"}}, "entry app.yml holds a value for password"),
            ({"data": {"DB_PASSWORD": "hunter2"}}, "entry DB_PASSWORD"),
            ({"data": {"url": URL}}, "a URL with a password"),
            ({"data": {"note": secret("hunter2")}}, "entry note holds a secret"),
            ({"data": secret({"note": "hunter2"})}, "`data` holds a secret"),
            ({"binaryData": {"x": "cGFzc3dvcmQ6IGh1bnRlcjIK"}}, "put it into a Secret"),
        ],
        missing=("data", 0),
        unknown=("data",),
    ),
    "secrets-secret-require-secret": Table(
        kind=SECRET,
        base=kube(stringData=secret({"password": "hunter2"})),
        passes=[
            {},
            {"stringData": {"password": secret("hunter2")}},
            {"stringData": {"ca.crt": "-----BEGIN CERTIFICATE-----\nMIIB\n"}},
            {"data": {"tls.crt": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="}},
        ],
        fails=[
            ({"stringData": {"password": "hunter2"}}, "entry password is in plain text"),
            ({"data": {"password": "aHVudGVyMg=="}}, "Pulumi secret"),
        ],
        missing=("stringData", 0),
        unknown=("stringData", "data"),
    ),
    "secrets-input-require-secret": Table(
        kind=DATABASE,
        base=kube({"certificates": {"serverTLSSecret": "shop-tls"}, "superuserSecret": {"name": "shop-root"}}),
        passes=[{}, {"spec": {"bootstrap": {"initdb": {"secret": {"name": "shop-app"}}}}}],
        fails=[
            ({"spec": {"password": "hunter2"}}, "input spec.password"),
            ({"spec": {"certificates": {"serverTLSSecret": RANDOM + "hunter2"}}}, "serverTLSSecret"),
            ({"spec": {"externalClusters": [{"connection": URL}]}}, "a URL with a password"),
        ],
        missing=("spec", 0),
        unknown=("spec",),
    ),
    "secrets-config-require-secret": Table(kind=CONFIG_MAP, passes=[{}], fails=[], missing=("data", 0)),
    "lifecycle-container-require-restart": Table(
        kind=JOB,
        passes=[{}, {"pod": {"restartPolicy": "OnFailure"}}],
        fails=[({"pod": {"restartPolicy": "Always"}}, "`restartPolicy` to Never or OnFailure")],
        missing=("pod.restartPolicy", 1),
        unknown=("pod.restartPolicy",),
    ),
    "lifecycle-container-require-healthcheck": Table(
        kind=DEPLOYMENT,
        passes=[{}, SCHEDULER | {"container": {"readinessProbe": MISSING}}],
        fails=[({"container": {"readinessProbe": {"httpGet": MISSING}}}, "set `readinessProbe`")],
        missing=("container.readinessProbe", 1),
        unknown=("container.readinessProbe",),
    ),
    "lifecycle-container-suggest-healthcheck": Table(
        kind=DEPLOYMENT,
        base=SCHEDULER,
        passes=[{}],
        fails=[({"container": {"readinessProbe": {"httpGet": MISSING}}}, "hung")],
        missing=("container.readinessProbe", 1),
        unknown=("container.readinessProbe",),
    ),
    "lifecycle-container-require-liveness": Table(
        kind=DEPLOYMENT,
        passes=[{}, WORKER, SCHEDULER | {"container": {"livenessProbe": MISSING}}],
        fails=[
            ({"container": {"livenessProbe": MISSING}}, "set `livenessProbe`"),
            (WORKER | {"container": {"livenessProbe": {"httpGet": MISSING, "periodSeconds": 5}}}, "role worker"),
        ],
        missing=("container.livenessProbe", 1),
        unknown=("container.livenessProbe", "container"),
    ),
    "lifecycle-probe-require-difference": Table(
        kind=DEPLOYMENT,
        passes=[
            {},
            {
                "container": {
                    p: {"exec": {"command": ["ping"]}, "httpGet": MISSING} for p in ("readinessProbe", "livenessProbe")
                }
            },
        ],
        fails=[({"container": {"readinessProbe": {"httpGet": {"path": "/health", "port": 8000}}}}, "another path")],
        missing=("container.readinessProbe", 0),
        unknown=("container.readinessProbe",),
    ),
    "lifecycle-probe-declare-port": Table(
        kind=DEPLOYMENT,
        passes=[{}, {"container": {"livenessProbe": {"httpGet": {"port": UNKNOWN}}}}],
        fails=[
            ({"container": {"livenessProbe": {"httpGet": {"port": 9000}}}}, "livenessProbe on port 9000"),
            ({"container": {"readinessProbe": {"httpGet": {"port": "web"}}}}, "add it to `ports`"),
        ],
        missing=("container.ports", 2),
        unknown=("container.ports", "container.livenessProbe"),
    ),
    "lifecycle-job-limit-life": Table(
        kind=CRON_JOB,
        passes=[{}, {"spec": {"concurrencyPolicy": "Replace"}}],
        fails=[
            ({"spec": {"startingDeadlineSeconds": MISSING}}, "startingDeadlineSeconds"),
            ({"spec": {"concurrencyPolicy": "Allow"}}, "Forbid or Replace"),
            ({"spec": {"jobTemplate": {"spec": {"ttlSecondsAfterFinished": MISSING}}}}, "ttlSecondsAfterFinished"),
        ],
        missing=("spec.startingDeadlineSeconds", 1),
        unknown=("spec", "spec.jobTemplate", "spec.concurrencyPolicy"),
    ),
    "lifecycle-rollout-keep-answering": Table(
        kind=DEPLOYMENT,
        passes=[{}, WORKER | {"spec": {"strategy": ROLLING}}, SCHEDULER | {"spec": {"strategy": {"type": "Recreate"}}}],
        fails=[
            ({"spec": {"strategy": ROLLING}}, "maxUnavailable` to 0"),
            ({"spec": {"strategy": {"type": "Recreate"}}}, "set it to RollingUpdate"),
            (SCHEDULER, "`strategy.type` to Recreate"),
        ],
        missing=("spec.strategy", 1),
        unknown=("spec.strategy", "spec"),
    ),
    "images-reference-forbid-latest": Table(
        kind=DEPLOYMENT,
        passes=[{}, {"container": {"image": "postgres:15.14"}}],
        fails=[
            ({"container": {"image": "postgres:latest"}}, "version's tag"),
            ({"container": {"image": "registry.example:5000/team/app"}}, "without a tag"),
        ],
        missing=("container.image", 0),
        unknown=("container.image",),
    ),
    "images-reference-forbid-bitnami": Table(
        kind=DATABASE,
        base=kube({"imageName": "ai-platform/postgres:15.14"}),
        passes=[{}],
        fails=[({"spec": {"imageName": "docker.io/bitnami/postgresql:15"}}, "official image")],
        missing=("spec.imageName", 0),
        unknown=("spec", "spec.imageName"),
    ),
    "images-reference-suggest-digest": Table(
        kind=STATEFUL_SET,
        passes=[{}, {"container": {"image": "redis:7.0@sha256:" + "ab" * 32}}],
        fails=[({"container": {"image": "redis:7.0"}}, "add its digest")],
        missing=("container.image", 0),
        unknown=("container.image",),
    ),
    "images-container-set-pull": Table(
        kind=DEPLOYMENT,
        passes=[{}, {"container": {"imagePullPolicy": "Always"}}],
        fails=[({"container": {"imagePullPolicy": "Never"}}, "pull policy Never")],
        missing=("container.imagePullPolicy", 1),
        unknown=("container.imagePullPolicy",),
    ),
    **FENCES,
}
"""By rule. Rules about the stack are tried in `test_kubernetes.py`."""
