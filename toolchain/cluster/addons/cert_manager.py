"""cert-manager: its three parts run the one binary of `modules/cert-manager`.

Roles and webhooks are written here, for upstream publishes them as a chart's templates only: what its controllers
read and write, in one role for each part, without what only OpenShift or leader election needs.
"""

from __future__ import annotations

from pathlib import Path

from toolchain.cluster.addons.addon import Addon, Images, Object, Program
from toolchain.cluster.addons.objects import (
    account,
    container,
    deployment,
    http_probe,
    local_role,
    meta,
    namespace,
    service,
)

NAME = "cert-manager"
NAMESPACE = "cert-manager"
WEBHOOK = "cert-manager-webhook"
INJECTOR = "cert-manager-cainjector"
AUTHORITY = "cert-manager-webhook-ca"
METRICS = 9402

READ = ["get", "list", "watch"]
WRITE = [*READ, "create", "update", "patch", "delete"]
EVENTS: Object = {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]}


def _allow(group: str, resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


CONTROLLER_RULES = [
    _allow(
        "cert-manager.io",
        [kind + part for kind in ("certificates", "certificaterequests") for part in ("", "/status", "/finalizers")],
        WRITE,
    ),
    _allow(
        "cert-manager.io",
        [kind + part for kind in ("issuers", "clusterissuers") for part in ("", "/status")],
        [*READ, "update", "patch"],
    ),
    _allow("cert-manager.io", ["signers"], ["approve"]),
    _allow(
        "acme.cert-manager.io",
        [kind + part for kind in ("orders", "challenges") for part in ("", "/status", "/finalizers")],
        WRITE,
    ),
    _allow("", ["secrets"], WRITE),
    _allow("", ["pods", "services"], [*READ, "create", "delete"]),
    _allow("networking.k8s.io", ["ingresses", "ingresses/finalizers"], [*READ, "create", "update", "delete"]),
    EVENTS,
]
INJECTOR_RULES = [
    _allow("cert-manager.io", ["certificates"], READ),
    _allow("", ["secrets"], READ),
    _allow(
        "admissionregistration.k8s.io",
        ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"],
        [*READ, "update", "patch"],
    ),
    _allow("apiregistration.k8s.io", ["apiservices"], [*READ, "update", "patch"]),
    _allow("apiextensions.k8s.io", ["customresourcedefinitions"], [*READ, "update", "patch"]),
    EVENTS,
]
WEBHOOK_RULES = [_allow("authorization.k8s.io", ["subjectaccessreviews"], ["create"])]
WEBHOOK_SECRETS = [
    _allow("", ["secrets"], ["get", "list", "watch", "update"]) | {"resourceNames": [AUTHORITY]},
    # A creation has no name to be allowed by.
    _allow("", ["secrets"], ["create"]),
]


def _part(name: str, image: str, part: str, probe: Object, ports: dict[str, int]) -> Object:
    memory = ("48Mi", "256Mi")
    ports = ports | {"metrics": METRICS}
    command = ["/cert-manager", part]
    return deployment(NAME, name, NAMESPACE, [container(part, image, command, ports=ports, probe=probe, memory=memory)])


def _webhook(kind: str, path: str, rule: Object) -> Object:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": meta(NAME, WEBHOOK)
        | {"annotations": {"cert-manager.io/inject-ca-from-secret": f"{NAMESPACE}/{AUTHORITY}"}},
        "webhooks": [
            {
                "name": "webhook.cert-manager.io",
                "rules": [{"apiVersions": ["v1"]} | rule],
                "clientConfig": {"service": {"name": WEBHOOK, "namespace": NAMESPACE, "path": path}},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "timeoutSeconds": 30,
            }
        ],
    }


def _objects(_folder: Path, images: Images) -> list[Object]:
    image = images[NAME]
    requests: Object = {
        "apiGroups": ["cert-manager.io"],
        "operations": ["CREATE"],
        "resources": ["certificaterequests"],
    }
    everything: Object = {
        "apiGroups": ["cert-manager.io", "acme.cert-manager.io"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["*/*"],
    }
    metrics = http_probe(METRICS, "/metrics")
    return [
        namespace(NAME, NAMESPACE),
        *account(NAME, NAME, NAMESPACE, CONTROLLER_RULES),
        *account(NAME, INJECTOR, NAMESPACE, INJECTOR_RULES),
        *account(NAME, WEBHOOK, NAMESPACE, WEBHOOK_RULES),
        *local_role(NAME, WEBHOOK, NAMESPACE, WEBHOOK_SECRETS),
        service(NAME, WEBHOOK, NAMESPACE, {"https": (443, 10250), "metrics": (METRICS, METRICS)}),
        _part(WEBHOOK, image, "webhook", http_probe(6080, "/healthz"), {"https": 10250}),
        _part(INJECTOR, image, "cainjector", metrics, {}),
        _part(NAME, image, "controller", metrics, {}),
        _webhook("MutatingWebhookConfiguration", "/mutate", requests),
        _webhook("ValidatingWebhookConfiguration", "/validate", everything),
    ]


CERT_MANAGER = Addon(
    name=NAME,
    module="github.com/cert-manager/cert-manager",
    namespace=NAMESPACE,
    programs=(Program(name=NAME, path="/cert-manager"),),
    crds=("deploy/crds/*.yaml",),
    objects=_objects,
    trial={
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": {"name": "trial", "namespace": NAMESPACE},
        "spec": {"selfSigned": {}},
    },
)
