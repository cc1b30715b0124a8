"""What the NetworkPolicies of a recorded graph allow, judged as Kubernetes documents it.

A connection needs both: the client's namespace lets it out, and the server's lets it in. A pod that no policy selects
for a direction is open in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Final

from tests.support.recording import Graph, Registration

NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
"""The API server labels each namespace with its name."""
TEMPLATES: Final = (":Deployment", ":StatefulSet", ":DaemonSet", ":Job")
POSTGRES: Final = {"postgresql": 5432, "status": 8000, "metrics": 9187}
"""Ports of an instance under CloudNativePG."""
PROMETHEUS: Final = {"web": 9090, "reloader-web": 8080}
"""Ports of a server under prometheus-operator."""


@dataclass(frozen=True, kw_only=True)
class Pod:
    """One pod, or all replicas of it."""

    name: str
    """Of its service."""
    namespace: str
    labels: Mapping[str, str]
    ports: frozenset[int]


EDGE: Final = Pod(
    name="edge",
    namespace="traefik",
    labels={"app.kubernetes.io/name": "traefik"},
    ports=frozenset({8000, 8443, 9000, 9100}),
)
DNS: Final = Pod(name="dns", namespace="kube-system", labels={"k8s-app": "kube-dns"}, ports=frozenset({53, 1053, 9153}))
OPERATOR: Final = Pod(
    name="cnpg-operator",
    namespace="cnpg-system",
    labels={"app.kubernetes.io/name": "cloudnative-pg"},
    ports=frozenset({9443, 8080}),
)
KEDA: Final = Pod(
    name="keda", namespace="keda", labels={"app.kubernetes.io/name": "keda-operator"}, ports=frozenset({8080, 9666})
)
AROUND: Final = (EDGE, DNS, OPERATOR, KEDA)
"""Pods of the cluster that a stack deals with."""


@dataclass(frozen=True)
class Network:
    """Pods, the labels of their namespaces, and the policies between them."""

    policies: Sequence[Mapping[str, Any]]
    """Each with `namespace` beside its `spec`'s keys."""
    namespaces: Mapping[str, Mapping[str, str]]
    pods: Sequence[Pod]

    def allows(self, client: Pod, server: Pod, port: int, protocol: str = "TCP") -> bool:
        """Whether a connection is let out and in."""
        return self._one_way("Egress", client, server, port, protocol) and self._one_way(
            "Ingress", server, client, port, protocol
        )

    def lets_out(self, client: Pod, address: str, port: int) -> bool:
        """Whether a pod may open a TCP connection to an address that is no pod's."""
        policies = list(self._of("Egress", client))
        return not policies or any(
            _port_fits(rule, port, "TCP") and any(_covers(peer, address) for peer in rule.get("to", [{"ipBlock": {}}]))
            for policy in policies
            for rule in policy.get("egress", ())
        )

    def _one_way(self, direction: str, pod: Pod, peer: Pod, port: int, protocol: str) -> bool:
        policies = list(self._of(direction, pod))
        rules, side = ("egress", "to") if direction == "Egress" else ("ingress", "from")
        return not policies or any(
            _port_fits(rule, port, protocol)
            and (not rule.get(side) or any(self._is(one, peer, policy["namespace"]) for one in rule[side]))
            for policy in policies
            for rule in policy.get(rules, ())
        )

    def _of(self, direction: str, pod: Pod) -> Iterator[Mapping[str, Any]]:
        for policy in self.policies:
            here = policy["namespace"] == pod.namespace and direction in policy["policyTypes"]
            if here and _selects(policy["podSelector"], pod.labels):
                yield policy

    def _is(self, one: Mapping[str, Any], pod: Pod, own: str) -> bool:
        if "ipBlock" in one:
            # Whether it covers pods is up to the network; the pods' own addresses are in none of the plan's.
            return False
        if "namespaceSelector" in one:
            inside = _selects(one["namespaceSelector"], self.namespaces[pod.namespace])
        else:
            inside = pod.namespace == own
        return inside and _selects(one.get("podSelector", {}), pod.labels)


def network_of(graph: Graph, others: Iterable[Pod] = ()) -> Network:
    """The network of a recorded stack, with pods that are not the stack's own."""
    others = list(others)
    namespaces = {
        one.inputs["metadata"]["name"]: {
            **one.inputs["metadata"]["labels"],
            NAMESPACE_NAME: one.inputs["metadata"]["name"],
        }
        for one in graph.of_type(":Namespace")
    }
    for pod in others:
        namespaces.setdefault(pod.namespace, {NAMESPACE_NAME: pod.namespace})
    policies = [
        {**one.inputs["spec"], "namespace": one.inputs["metadata"]["namespace"]}
        for one in graph.of_type(":NetworkPolicy")
    ]
    return Network(policies, namespaces, [*own_pods(graph), *others])


def own_pods(graph: Graph) -> list[Pod]:
    """One pod of each workload of the stack."""
    return [pod for one in graph.resources if (pod := pod_of(one)) is not None]


def pod_of(one: Registration) -> Pod | None:
    """The pod that a resource makes; None where it makes none."""
    spec = one.inputs.get("spec") or {}
    if one.type.endswith(TEMPLATES):
        template = spec["template"]
        named = [port for container in template["spec"]["containers"] for port in container.get("ports", ())]
        return _pod(one, template["metadata"]["labels"], {port["containerPort"] for port in named})
    if one.type.endswith("postgresql.cnpg.io/v1:Cluster"):
        labels = {**spec["inheritedMetadata"]["labels"], "cnpg.io/cluster": one.inputs["metadata"]["name"]}
        return _pod(one, labels, POSTGRES.values())
    if one.type.endswith("monitoring.coreos.com/v1:Prometheus"):
        return _pod(one, spec["podMetadata"]["labels"], PROMETHEUS.values())
    return None


def _pod(one: Registration, labels: Mapping[str, str], ports: Iterable[int]) -> Pod:
    metadata = one.inputs["metadata"]
    return Pod(
        name=labels["ai-platform/service"],
        namespace=metadata["namespace"],
        labels=dict(labels),
        ports=frozenset(ports),
    )


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    unknown = set(selector) - {"matchLabels"}
    if unknown:
        raise NotImplementedError(f"selectors with {sorted(unknown)} are not judged here")
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def _port_fits(rule: Mapping[str, Any], port: int, protocol: str) -> bool:
    if unknown := {key for one in rule.get("ports", ()) for key in one} - {"port", "protocol"}:
        raise NotImplementedError(f"ports with {sorted(unknown)} are not judged here")
    return not rule.get("ports") or any(
        one.get("protocol", "TCP") == protocol and one.get("port", port) == port for one in rule["ports"]
    )


def _covers(peer: Mapping[str, Any], address: str) -> bool:
    block = peer.get("ipBlock")
    if block is None:
        return False
    inside = ip_address(address) in ip_network(block.get("cidr", "0.0.0.0/0"))
    return inside and not any(ip_address(address) in ip_network(one) for one in block.get("except", ()))
