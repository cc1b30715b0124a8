"""Who can be reached from where in a Kubernetes stack: policies, services, routes and namespaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from policies.kubernetes import PODS, ports
from policies.objects import (
    CLUSTER_WIDE,
    DEFAULT_NAMESPACE,
    GATEWAY,
    INGRESS,
    NAMESPACE,
    NETWORK_POLICY,
    ROUTE,
    SERVICE,
    chooses,
    name,
    namespace,
    pod_labels,
    same,
    selects,
)
from policies.rule import Group, Rule
from policies.settings import Settings
from policies.subject import Resource
from policies.values import UNKNOWN, blocks, dig, entries, has_unknown, port_text

SYSTEM_NAMESPACES: Final = ("kube-system", "kube-public", "kube-node-lease")
OUTSIDE_TYPES: Final = ("NodePort", "LoadBalancer")
SECURE: Final = ("HTTPS", "TLS")
OPERATOR_SELECTORS: Final = ("cnpg.io/",)
"""Prefixes of labels that operators put on their pods."""
CONTROLLER_LABELS: Final = ("apps.kubernetes.io/", "statefulset.kubernetes.io/")
"""Prefixes of labels that the cluster itself puts on pods, such as their number in a StatefulSet."""


def check_namespace(resource: Resource, settings: Settings) -> Iterator[str]:
    """Every object says its namespace, and it is one of the stack's own."""
    del settings
    if not resource.on_kubernetes or resource.type.rsplit(":", 1)[-1] in CLUSTER_WIDE:
        return
    where = namespace(resource)
    if not where:
        yield "names no namespace, which means default; set `metadata.namespace`"
    elif where == DEFAULT_NAMESPACE or where in SYSTEM_NAMESPACES:
        yield f"is in the namespace {where}; set `metadata.namespace` to one of the stack"


def check_default_deny(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """In each namespace a policy allows nothing, so that what may be reached is what other policies say."""
    del settings
    policies = [one for one in resources if one.type == NETWORK_POLICY and _denies_all(dig(one.properties, "spec"))]
    for place in (one for one in resources if one.type == NAMESPACE):
        if not any(same(namespace(policy), name(place)) for policy in policies):
            yield (
                Group.of(place),
                "lets everybody in and out; add a NetworkPolicy with an empty `podSelector`, `policyTypes` "
                "[Ingress, Egress] and no rules",
            )


def check_selected(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """Each pod is selected by a policy for what comes in and one for what goes out."""
    del settings
    policies = [one for one in resources if one.type == NETWORK_POLICY]
    for resource in resources:
        labels = pod_labels(resource)
        if labels is None:
            continue
        found = [
            _directions(dig(policy.properties, "spec"))
            for policy in policies
            if same(namespace(policy), namespace(resource))
            and selects(dig(policy.properties, "spec", "podSelector"), labels)
        ]
        open_ways = [way for way in ("Ingress", "Egress") if not any(way in ways for ways in found)]
        if open_ways:
            yield (
                Group.of(resource),
                f"has pods that no NetworkPolicy selects for {' and '.join(open_ways)}; add one to its namespace whose "
                "`podSelector` finds its labels",
            )


def check_service_type(resource: Resource, settings: Settings) -> Iterator[str]:
    """Services are reached inside the cluster; from outside by the gateway, which is the proxy's."""
    del settings
    kind = dig(resource.properties, "spec", "type")
    if kind in OUTSIDE_TYPES and resource.role != "proxy":
        yield f"is of type {kind}, so that it is reached past the gateway; set `spec.type` to ClusterIP"
    if entries(dig(resource.properties, "spec", "externalIPs")):
        yield "takes addresses outside of the cluster; remove `spec.externalIPs`"


def check_service_target(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """A Service finds pods of the stack, and they declare the ports that it sends to."""
    del settings
    bearers = [(one, labels) for one in resources if (labels := pod_labels(one)) is not None]
    for service in (one for one in resources if one.type == SERVICE):
        selector = dig(service.properties, "spec", "selector")
        if not isinstance(selector, Mapping) or any(key.startswith(OPERATOR_SELECTORS) for key in selector):
            continue
        given = {key: value for key, value in selector.items() if not key.startswith(CONTROLLER_LABELS)}
        found = [one for one, labels in bearers if same(namespace(one), namespace(service)) and chooses(given, labels)]
        if selector and not found:
            yield Group.of(service), "selects no pods of the stack; set `spec.selector` to labels of theirs"
        for port in blocks(dig(service.properties, "spec", "ports")):
            target = port.get("targetPort") or port.get("port")
            if found and target is not UNKNOWN and not any(_declares(one, target) for one in found):
                yield (
                    Group.of(service),
                    f"sends to port {port_text(target)}, which no pod of it declares; add it to their `ports`",
                )


def check_tls(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Group, str]]:
    """What comes from outside is encrypted: routes hang on a TLS listener, or only send there."""
    del settings
    gateways = [one for one in resources if one.type == GATEWAY]
    for gateway in gateways:
        for listener in blocks(dig(gateway.properties, "spec", "listeners")):
            tls = dig(listener, "tls")
            if listener.get("protocol") in SECURE and tls is not UNKNOWN and not _certified(tls):
                yield (
                    Group.of(gateway),
                    f"has no certificate for its listener {listener.get('name')}; set `tls.certificateRefs`",
                )
    for route in (one for one in resources if one.type == ROUTE):
        for parent in blocks(dig(route.properties, "spec", "parentRefs")):
            plain = _plain_listener(gateways, route, parent)
            if plain and not _only_redirects(route):
                yield (
                    Group.of(route),
                    f"answers on {plain} without TLS; set `parentRefs[].sectionName` to one with TLS, or redirect",
                )
    for ingress in (one for one in resources if one.type == INGRESS):
        tls = dig(ingress.properties, "spec", "tls")
        if tls is not UNKNOWN and not tls:
            yield Group.of(ingress), "answers without TLS; set `spec.tls`"


def check_host(resource: Resource, settings: Settings) -> Iterator[str]:
    """A route answers for hosts that it names, not for whatever is asked."""
    del settings
    hosts = dig(resource.properties, "spec", "hostnames")
    place = "`spec.hostnames`"
    if resource.type == INGRESS:
        rules = dig(resource.properties, "spec", "rules")
        hosts = rules if rules is UNKNOWN else [rule.get("host") for rule in blocks(rules)]
        place = "`host` of each rule"
    if has_unknown(hosts):
        return
    if not entries(hosts) or any(host in (None, "", "*") for host in entries(hosts)):
        yield f"answers for every host; set {place}"


def _denies_all(spec: Any) -> bool:
    if has_unknown([spec, dig(spec, "podSelector"), dig(spec, "policyTypes")]):
        return True
    selector, everything = dig(spec, "podSelector"), {"Ingress", "Egress"}
    selects_all = isinstance(selector, Mapping) and not any(selector.values())
    return selects_all and _directions(spec) == everything and not (dig(spec, "ingress") or dig(spec, "egress"))


def _directions(spec: Any) -> set[str]:
    types = dig(spec, "policyTypes")
    if has_unknown(types):
        return {"Ingress", "Egress"}
    return set(map(str, entries(types))) or ({"Ingress", "Egress"} if dig(spec, "egress") else {"Ingress"})


def _declares(resource: Resource, target: Any) -> bool:
    if resource.type not in PODS:  # An operator makes the pods.
        return True
    declared = [port for one in resource.containers for port in ports(one.raw)]
    unknown = any(has_unknown(one.raw.get("ports")) for one in resource.containers)
    return unknown or any(
        port_text(target) in (port_text(port.get("containerPort")), port.get("name")) for port in declared
    )


def _certified(tls: Any) -> bool:
    references = dig(tls, "certificateRefs")
    return references is UNKNOWN or bool(references) or dig(tls, "mode") == "Passthrough"


def _plain_listener(gateways: Sequence[Resource], route: Resource, parent: Mapping[str, Any]) -> str | None:
    """Name of a listener without TLS that the route hangs on; None when there is none, or it cannot be told."""
    section, where = parent.get("sectionName"), parent.get("namespace") or namespace(route)
    if section is UNKNOWN or parent.get("name") is UNKNOWN:
        return None
    for gateway in gateways:
        if name(gateway) != parent.get("name") or not same(namespace(gateway), where):
            continue
        for listener in blocks(dig(gateway.properties, "spec", "listeners")):
            if section in (None, listener.get("name")) and listener.get("protocol") == "HTTP":
                return f"{gateway.name}/{listener.get('name')}"
    return None


def _only_redirects(route: Resource) -> bool:
    rules = blocks(dig(route.properties, "spec", "rules"))
    return bool(rules) and all(
        any(entry.get("type") == "RequestRedirect" for entry in blocks(rule.get("filters"))) for rule in rules
    )


RULES: Final = (
    Rule(
        name="network-namespace-forbid-default",
        description="Every object of Kubernetes is in a namespace of the stack.",
        check=check_namespace,
        scanners="LKCT",
    ),
    Rule(
        name="network-namespace-deny-default",
        description="In each namespace nothing may be reached unless a policy says so.",
        check_stack=check_default_deny,
        scanners="K",
    ),
    Rule(
        name="network-pod-require-policy",
        description="A NetworkPolicy selects each pod, for both directions.",
        check_stack=check_selected,
        scanners="LSPKC",
    ),
    Rule(
        name="network-service-restrict-type",
        description="A Service is reached inside of the cluster only, the proxy's excepted.",
        types=(SERVICE,),
        check=check_service_type,
        scanners="LSKU",
    ),
    Rule(
        name="network-service-require-target",
        description="A Service finds pods of the stack and ports that they declare.",
        check_stack=check_service_target,
        scanners="LS",
    ),
    Rule(
        name="network-route-require-tls",
        description="Routes from outside are encrypted, or send to one that is.",
        check_stack=check_tls,
        scanners="PK",
    ),
    Rule(
        name="network-route-require-host",
        description="A route names the hosts that it answers for.",
        types=(ROUTE, INGRESS),
        check=check_host,
        scanners="K",
    ),
)
