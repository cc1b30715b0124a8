"""KEDA: scaling by events, with the operator and the server of external metrics."""

from __future__ import annotations

from pathlib import Path

from toolchain.cluster.addons.addon import Addon, Images, Object, Program, others, rules
from toolchain.cluster.addons.objects import (
    account,
    binding,
    container,
    deployment,
    http_probe,
    local_role,
    meta,
    namespace,
    service,
)

NAME = "keda"
NAMESPACE = "keda"
OPERATOR = "keda-operator"
ADAPTER = "keda-metrics-apiserver"
MODULE = "github.com/kedacore/keda/v2"
CERTIFICATES = "kedaorg-certs"
METRICS_SERVICE = 9666
READER = "keda:external-metrics"


def _operator(image: str) -> Object:
    arguments = [
        "--zap-log-level=info",
        "--zap-encoder=json",
        "--enable-cert-rotation=true",
        # Its admission webhook is not installed.
        "--enable-webhook-patching=false",
    ]
    return container(
        OPERATOR,
        image,
        ["/keda", *arguments],
        ports={"http": 8080, "grpc": METRICS_SERVICE},
        probe=http_probe(8081, "/readyz"),
        memory=("96Mi", "512Mi"),
        env={"WATCH_NAMESPACE": "", "KEDA_HTTP_DEFAULT_TIMEOUT": ""},
        mounts={"certificates": "/certs"},
    )


def _adapter(image: str) -> Object:
    arguments = [
        "--secure-port=6443",
        "--zap-log-level=error",
        "--client-ca-file=/certs/ca.crt",
        "--tls-cert-file=/certs/tls.crt",
        "--tls-private-key-file=/certs/tls.key",
        "--cert-dir=/certs",
        f"--metrics-service-address={OPERATOR}.{NAMESPACE}.svc:{METRICS_SERVICE}",
    ]
    return container(
        ADAPTER,
        image,
        ["/keda-adapter", *arguments],
        ports={"https": 6443, "http": 8080},
        probe=http_probe(6443, "/readyz", "HTTPS"),
        memory=("64Mi", "256Mi"),
        env={"WATCH_NAMESPACE": "", "KEDA_HTTP_DEFAULT_TIMEOUT": ""},
        mounts={"temporary": "/tmp", "certificates": "/certs"},  # noqa: S108  (in the container)
    )


def _objects(folder: Path, images: Images) -> list[Object]:
    role = folder / "config/rbac/role.yaml"
    own = next(item["rules"] for item in others(role) if item["kind"] == "Role")
    secret = {"secretName": CERTIFICATES}
    autoscaler = binding(
        NAME, "keda:external-metrics", "keda:external-metrics", "horizontal-pod-autoscaler", "kube-system"
    )
    return [
        namespace(NAME, NAMESPACE),
        *account(NAME, OPERATOR, NAMESPACE, rules(role)),
        *local_role(NAME, OPERATOR, NAMESPACE, own),
        binding(NAME, "keda:auth-delegator", "system:auth-delegator", OPERATOR, NAMESPACE),
        _reader(),
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": READER, "labels": meta(NAME, ADAPTER)["labels"]},
            "rules": [{"apiGroups": ["external.metrics.k8s.io"], "resources": ["*"], "verbs": ["get", "list"]}],
        },
        autoscaler,
        service(
            NAME, OPERATOR, NAMESPACE, {"metricsservice": (METRICS_SERVICE, METRICS_SERVICE), "http": (8080, 8080)}
        ),
        service(NAME, ADAPTER, NAMESPACE, {"https": (443, 6443), "http": (8080, 8080)}),
        deployment(
            NAME,
            OPERATOR,
            NAMESPACE,
            [_operator(images[OPERATOR])],
            volumes=[{"name": "certificates", "secret": secret | {"optional": True}}],
        ),
        deployment(
            NAME,
            ADAPTER,
            NAMESPACE,
            [_adapter(images["keda-adapter"])],
            account=OPERATOR,
            volumes=[{"name": "certificates", "secret": secret}, {"name": "temporary", "emptyDir": {}}],
        ),
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": meta(NAME, "v1beta1.external.metrics.k8s.io"),
            # The operator writes its authority into this object.
            "spec": {
                "service": {"name": ADAPTER, "namespace": NAMESPACE, "port": 443},
                "group": "external.metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        },
    ]


def _reader() -> Object:
    """Leave to read whom the API server's front proxy is, as every aggregated API server needs it."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": meta(NAME, "keda-auth-reader", "kube-system"),
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": "extension-apiserver-authentication-reader",
        },
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}],
    }


KEDA = Addon(
    name=NAME,
    module=MODULE,
    namespace=NAMESPACE,
    programs=(
        Program(name=OPERATOR, package=f"{MODULE}/cmd/operator", path="/keda"),
        Program(name="keda-adapter", package=f"{MODULE}/cmd/adapter", path="/keda-adapter"),
    ),
    # With the patches that upstream needs to make the generated schemas valid.
    crds=("config/crd",),
    objects=_objects,
)
