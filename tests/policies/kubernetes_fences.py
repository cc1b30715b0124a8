"""Cases of the rules of network, security and labels on Kubernetes; `kubernetes_tables.py` has the others."""

from __future__ import annotations

from policies.kubernetes import DEPLOYMENT, PERSISTENT_VOLUME
from policies.objects import NAMESPACE, ROLES, ROUTE, SERVICE
from tests.policies.support import MISSING, UNKNOWN, kube, kube_labels
from tests.policies.tables import Table

FENCES: dict[str, Table] = {
    "network-port-forbid-host": Table(
        kind=DEPLOYMENT,
        passes=[{}],
        fails=[({"container": {"ports": [{"containerPort": 8000, "hostPort": 80}]}}, "port 80 of its node")],
        missing=("container.ports", 0),
        unknown=("container.ports",),
    ),
    "network-container-forbid-host": Table(
        kind=DEPLOYMENT,
        passes=[{}, {"pod": {"hostNetwork": False}}],
        fails=[({"pod": {"hostNetwork": True}}, "remove `hostNetwork`")],
        missing=("pod.hostNetwork", 0),
        unknown=("pod.hostNetwork",),
    ),
    "network-namespace-forbid-default": Table(
        kind=SERVICE,
        base=kube({}),
        passes=[{}],
        fails=[
            ({"metadata": {"namespace": "default"}}, "is in the namespace default"),
            ({"metadata": {"namespace": "kube-system"}}, "one of the stack"),
        ],
        missing=("metadata.namespace", 1),
        unknown=("metadata", "metadata.namespace"),
    ),
    "network-service-restrict-type": Table(
        kind=SERVICE,
        base=kube({"type": "ClusterIP"}),
        passes=[{}, {"metadata": {"labels": kube_labels(role="proxy")}, "spec": {"type": "LoadBalancer"}}],
        fails=[
            ({"spec": {"type": "NodePort"}}, "set `spec.type` to ClusterIP"),
            ({"spec": {"type": "LoadBalancer"}}, "is of type LoadBalancer"),
            ({"spec": {"externalIPs": ["10.0.0.1"]}}, "externalIPs"),
        ],
        missing=("spec.type", 0),
        unknown=("spec", "spec.type"),
    ),
    "network-route-require-host": Table(
        kind=ROUTE,
        base=kube({"hostnames": ["shop.example.org"]}),
        passes=[{}],
        fails=[({"spec": {"hostnames": []}}, "set `spec.hostnames`"), ({"spec": {"hostnames": [""]}}, "every host")],
        missing=("spec.hostnames", 1),
        unknown=("spec", "spec.hostnames"),
    ),
    "security-container-forbid-privileged": Table(
        kind=DEPLOYMENT,
        passes=[{}, {"container": {"securityContext": {"privileged": False}}}],
        fails=[({"container": {"securityContext": {"privileged": True}}}, "remove `securityContext.privileged`")],
        missing=("container.securityContext", 0),
        unknown=("container.securityContext", "container.securityContext.privileged"),
    ),
    "security-mount-forbid-socket": Table(
        kind=DEPLOYMENT,
        passes=[{}, {"pod": {"volumes": [{"name": "tmp", "emptyDir": {}}]}}],
        fails=[
            ({"pod": {"volumes": [{"name": "s", "hostPath": {"path": "/run/containerd/containerd.sock"}}]}}, "host;")
        ],
        missing=("pod.volumes", 0),
        unknown=("pod.volumes",),
    ),
    "security-mount-forbid-host": Table(
        kind=PERSISTENT_VOLUME,
        base=kube({"csi": {"driver": "ebs"}}),
        passes=[{}],
        fails=[
            ({"spec": {"hostPath": {"path": "/srv"}}}, "mounts /srv of the host"),
            ({"spec": {"local": {"path": "/disk"}}}, "mounts /disk of the host"),
        ],
        missing=("spec", 0),
        unknown=("spec",),
    ),
    "security-container-forbid-namespaces": Table(
        kind=DEPLOYMENT,
        passes=[{}, {"pod": {"hostPID": False}}],
        fails=[({"pod": {"hostPID": True}}, "remove `hostPID`"), ({"pod": {"hostIPC": True}}, "remove `hostIPC`")],
        missing=("pod.hostPID", 0),
        unknown=("pod.hostPID",),
    ),
    "security-container-drop-capabilities": Table(
        kind=DEPLOYMENT,
        passes=[{}],
        fails=[
            ({"container": {"securityContext": {"capabilities": {"drop": ["NET_RAW"]}}}}, '["ALL"]'),
            ({"container": {"securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}}}}, "NET_BIND_SERVICE"),
        ],
        missing=("container.securityContext", 1),
        unknown=("container.securityContext", "container.securityContext.capabilities"),
    ),
    "security-container-forbid-escalation": Table(
        kind=DEPLOYMENT,
        passes=[{}],
        fails=[
            (
                {"container": {"securityContext": {"allowPrivilegeEscalation": True}}},
                "allowPrivilegeEscalation` to false",
            ),
            (
                {"container": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}},
                "seccompProfile Unconfined",
            ),
            ({"container": {"securityContext": {"procMount": "Unmasked"}}}, "procMount Unmasked"),
        ],
        missing=("container.securityContext", 1),
        unknown=("container.securityContext", "container.securityContext.allowPrivilegeEscalation"),
    ),
    "security-container-require-seccomp": Table(
        kind=DEPLOYMENT,
        passes=[
            {},
            {
                "container": {"securityContext": {"seccompProfile": MISSING}},
                "pod": {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
            },
        ],
        fails=[({"container": {"securityContext": {"seccompProfile": MISSING}}}, "RuntimeDefault")],
        missing=("container.securityContext", 1),
        unknown=("container.securityContext", "container.securityContext.seccompProfile"),
    ),
    "security-container-require-user": Table(
        kind=DEPLOYMENT,
        passes=[
            {},
            {"container": {"securityContext": MISSING}, "pod": {"securityContext": {"runAsNonRoot": True}}},
        ],
        fails=[
            ({"container": {"securityContext": {"runAsUser": 0}}}, "runs as root"),
            ({"container": {"securityContext": {"runAsNonRoot": False}}}, "set `securityContext.runAsNonRoot`"),
        ],
        missing=("container.securityContext", 1),
        unknown=("container.securityContext", "container.securityContext.runAsUser"),
    ),
    "security-container-suggest-uid": Table(
        kind=DEPLOYMENT,
        passes=[{}],
        fails=[
            ({"container": {"securityContext": {"runAsUser": 999}}}, "user 999"),
            ({"container": {"securityContext": {"runAsUser": MISSING}}}, "its image names"),
        ],
        missing=("container.securityContext", 1),
        unknown=("container.securityContext", "container.securityContext.runAsUser"),
    ),
    "security-container-require-readonly": Table(
        kind=DEPLOYMENT,
        passes=[{}],
        fails=[({"container": {"securityContext": {"readOnlyRootFilesystem": False}}}, "emptyDir")],
        missing=("container.securityContext", 1),
        unknown=("container.securityContext", "container.securityContext.readOnlyRootFilesystem"),
    ),
    "security-pod-forbid-token": Table(
        kind=DEPLOYMENT,
        passes=[{}, {"pod": {"automountServiceAccountToken": True}}],
        fails=[
            ({"pod": {"automountServiceAccountToken": True, "serviceAccountName": MISSING}}, "serviceAccountName"),
            ({"pod": {"automountServiceAccountToken": True, "serviceAccountName": "default"}}, "of its own"),
        ],
        missing=("pod.automountServiceAccountToken", 1),
        unknown=("pod", "pod.automountServiceAccountToken"),
    ),
    "security-pod-require-account": Table(
        kind=DEPLOYMENT,
        passes=[{}],
        fails=[({"pod": {"serviceAccountName": "default"}}, "set `serviceAccountName`")],
        missing=("pod.serviceAccountName", 1),
        unknown=("pod", "pod.serviceAccountName"),
    ),
    "security-role-forbid-secrets": Table(
        kind=ROLES[0],
        base=kube(rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]),
        passes=[{}, {"rules": [{"resources": ["secrets"], "verbs": ["create"]}]}],
        fails=[
            ({"rules": [{"resources": ["pods", "secrets"], "verbs": ["get"]}]}, "reads Secrets"),
            ({"rules": [{"resources": ["*"], "verbs": ["get"]}]}, "(*)"),
            ({"rules": [{"resources": ["pods"], "verbs": ["*"]}]}, "name the `resources`"),
        ],
        missing=("rules", 0),
        unknown=("rules",),
    ),
    "security-pod-forbid-sysctls": Table(
        kind=DEPLOYMENT,
        passes=[{}],
        fails=[
            ({"pod": {"securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}}}, "somaxconn")
        ],
        missing=("pod.securityContext", 0),
        unknown=("pod.securityContext",),
    ),
    "security-namespace-require-level": Table(
        kind=NAMESPACE,
        base={"metadata": {"name": "shop", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
        passes=[{}],
        fails=[
            ({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}, "at level baseline"),
            ({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": MISSING}}}, "to restricted"),
        ],
        missing=("metadata.labels", 1),
        unknown=("metadata", "metadata.labels"),
    ),
    "labels-resource-require": Table(
        kind=SERVICE,
        base=kube({}),
        passes=[{}, {"metadata": {"labels": {"ai-platform/role": UNKNOWN}}}],
        fails=[
            ({"metadata": {"labels": {"ai-platform/role": MISSING}}}, "ai-platform/role"),
            ({"metadata": {"labels": {"ai-platform/role": "database"}}}, "one of app, worker"),
        ],
        missing=("metadata.labels", 4),
        unknown=("metadata", "metadata.labels"),
    ),
    "labels-pod-require": Table(
        kind=DEPLOYMENT,
        passes=[{}],
        fails=[
            ({"pod_metadata": {"labels": {"ai-platform/service": "web"}}}, "with ai-platform/service web"),
            ({"pod_metadata": {"labels": {"ai-platform/role": MISSING}}}, "without the label ai-platform/role"),
        ],
        missing=("pod_metadata.labels", 4),
        unknown=("pod_metadata", "pod_metadata.labels"),
    ),
}
