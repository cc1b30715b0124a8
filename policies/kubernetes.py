"""Kubernetes' pods and their containers as the rules see them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from policies.container import Container, Tag, User, Variable, Words
from policies.values import UNKNOWN, Sensitive, blocks, dig, entries, has_unknown, reveal

PREFIX: Final = "kubernetes:"
DEPLOYMENT: Final = "kubernetes:apps/v1:Deployment"
STATEFUL_SET: Final = "kubernetes:apps/v1:StatefulSet"
DAEMON_SET: Final = "kubernetes:apps/v1:DaemonSet"
REPLICA_SET: Final = "kubernetes:apps/v1:ReplicaSet"
JOB: Final = "kubernetes:batch/v1:Job"
CRON_JOB: Final = "kubernetes:batch/v1:CronJob"
POD: Final = "kubernetes:core/v1:Pod"
DATABASE: Final = "kubernetes:postgresql.cnpg.io/v1:Cluster"
"""CloudNativePG's: its operator makes the pods, and what they may do is the operator's."""
METRICS_SERVER: Final = "kubernetes:monitoring.coreos.com/v1:Prometheus"
"""Its operator makes the pods, as that of `DATABASE` does."""
POOLER: Final = "kubernetes:postgresql.cnpg.io/v1:Pooler"
OPERATED: Final = {
    DATABASE: ("postgres", "imageName"),
    METRICS_SERVER: ("prometheus", "image"),
    POOLER: ("pgbouncer", "image"),
}
"""Types whose operator makes the pods: name of the container, and what the type calls its image."""
PERSISTENT_VOLUME: Final = "kubernetes:core/v1:PersistentVolume"

TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    DEPLOYMENT: ("spec", "template"),
    STATEFUL_SET: ("spec", "template"),
    DAEMON_SET: ("spec", "template"),
    REPLICA_SET: ("spec", "template"),
    JOB: ("spec", "template"),
    CRON_JOB: ("spec", "jobTemplate", "spec", "template"),
    POD: (),
}
"""Types that bear pods, and where the pod stands in them."""
PODS: Final = tuple(TEMPLATES)
FINITE: Final = (JOB, CRON_JOB)
RESTARTS: Final = {"Always": "always", "OnFailure": "on-failure", "Never": "no"}
"""Kubernetes' restart policies in Docker's words."""
PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
ACTIONS: Final = ("httpGet", "tcpSocket", "grpc", "exec")
HOST_NAMESPACES: Final = ("hostPID", "hostIPC")
WORDS: Final = Words(
    memory="`resources.limits.memory`",
    privileged="`securityContext.privileged`",
    drops='`securityContext.capabilities.drop` to ["ALL"]',
    adds="`securityContext.capabilities.add`",
    escalation="set `securityContext.allowPrivilegeEscalation` to false",
    confinement="`securityContext`",
    user="set `securityContext.runAsNonRoot` to true, and `runAsUser` to a number above 10000",
    root="set `securityContext.runAsUser` to a number above 10000",
    read_only="set `securityContext.readOnlyRootFilesystem` to true and mount an emptyDir where it writes",
    health="`readinessProbe`",
    restart="`restartPolicy` to Always",
    end="`restartPolicy` to Never or OnFailure",
    inspect="kubectl describe shows",
    into_variable="put it into a Secret and read it by `valueFrom.secretKeyRef`",
    elsewhere="put it into a Secret, and mount it or read it by `valueFrom.secretKeyRef`",
)

_QUANTITY: Final = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:e([+-]?\d+)|([munkMGTPE]|[KMGTPE]i)?)", re.IGNORECASE)
_FACTORS: Final = {
    **{"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3},
    **{unit: 1000.0**power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{f"{unit}i": 1024.0**power for power, unit in enumerate(("K", "M", "G", "T", "P", "E"), 1)},
}
MEBIBYTE: Final = 2.0**20


def quantity(value: Any) -> Any:
    """A quantity as Kubernetes writes them (`250m`, `512Mi`) as a number; `UNKNOWN` stays, what is none is None."""
    if value is UNKNOWN:
        return value
    match = _QUANTITY.fullmatch(str(value).strip()) if isinstance(value, str | int | float) else None
    if match is None or (match[3] or "") not in _FACTORS:
        return None
    return float(match[1]) * (10.0 ** int(match[2]) if match[2] else _FACTORS[match[3] or ""])


def template(kind: str, tree: Mapping[str, Any]) -> Any:
    """The pod that a resource bears, as it stands in it (`metadata`, `spec`); None for types that bear none."""
    return dig(tree, *TEMPLATES[kind]) if kind in TEMPLATES else None


def pod(kind: str, plain: Mapping[str, Any]) -> Mapping[str, Any]:
    """The spec of the pod that a resource bears; empty where there is none, or it is not known yet."""
    spec = dig(template(kind, plain), "spec")
    return spec if isinstance(spec, Mapping) else {}


def containers(kind: str, marked: Mapping[str, Any], role: str | None) -> tuple[Container, ...]:
    """Containers of the resource's pod, those that prepare others last; of a database what it says about them."""
    if kind in OPERATED:
        described = reveal(dig(marked, "spec"))
        if kind == POOLER:
            # Its pods are described as those of a Deployment are, as far as the operator does not.
            listed = dig(described, "template", "spec", "containers")
            found = [_operated(kind, one, role) for one in blocks(listed) or [{}]]
            return () if has_unknown([described, listed]) else tuple(found)
        return () if described is UNKNOWN else (_operated(kind, described, role),)
    spec = dig(template(kind, marked), "spec")
    made = []
    for key in ("containers", "initContainers"):
        listed = dig(spec, key)
        count = len(inner) if isinstance(inner := reveal(listed), list) else 0
        for index in range(count):
            one = dig(listed, index)
            if isinstance(reveal(one), Mapping):
                made.append(_container(kind, one, reveal(spec), role, prepares=key == "initContainers"))
    return tuple(made)


def labels(plain: Mapping[str, Any]) -> dict[str, str]:
    """Labels of the object whose values are known."""
    found = dig(plain, "metadata", "labels")
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, Mapping) else {}


def labels_unknown(plain: Mapping[str, Any], name: str) -> bool:
    """It is not known yet whether there is such a label."""
    return dig(plain, "metadata", "labels", name) is UNKNOWN


def tags(kind: str, marked: Mapping[str, Any]) -> Iterator[Tag]:
    """Labels and annotations of the object and of its pods, with their secret marks."""
    inner = dig(template(kind, marked), "metadata") if TEMPLATES.get(kind) else None
    for where, prefix in ((marked.get("metadata"), ""), (inner, "of its pods: ")):
        for place in ("labels", "annotations"):
            found = dig(where, place)
            if isinstance(found, Sensitive):
                yield Tag(place=f"{prefix}{place}", name=None, value=UNKNOWN, sensitive=True)
                continue
            for name in found if isinstance(found, Mapping) else ():
                value = found[name]
                sensitive = isinstance(value, Sensitive)
                yield Tag(place=f"{prefix}{place}", name=name, value=reveal(value), sensitive=sensitive)


def host_paths(kind: str, plain: Mapping[str, Any]) -> list[str]:
    """Folders and files of the node that a pod mounts, or that a persistent volume stands for."""
    volumes = blocks(pod(kind, plain).get("volumes"))
    if kind == PERSISTENT_VOLUME:
        spec = dig(plain, "spec")
        volumes = [spec, {"hostPath": spec.get("local")}] if isinstance(spec, Mapping) else []
    paths = [dig(volume, "hostPath", "path") for volume in volumes]
    return [path for path in paths if isinstance(path, str) and path]


def shared_namespaces(kind: str, plain: Mapping[str, Any]) -> dict[str, str]:
    """Property → whose namespace it is, for namespaces that are not the pod's own."""
    return {key: "the host" for key in HOST_NAMESPACES if pod(kind, plain).get(key) is True}


def shared_network(kind: str, plain: Mapping[str, Any]) -> tuple[str, str] | None:
    """Whose network the pod uses instead of one of its own, and what to do about it."""
    return ("the host", "remove `hostNetwork`") if pod(kind, plain).get("hostNetwork") is True else None


def setting(container: Mapping[str, Any], spec: Mapping[str, Any], *path: str) -> Any:
    """A value of the container's security context, else of its pod's."""
    own = dig(container, "securityContext", *path)
    return own if own is not None else dig(spec, "securityContext", *path)


def _container(kind: str, marked: Any, spec: Any, role: str | None, *, prepares: bool) -> Container:
    raw: Mapping[str, Any] = reveal(marked)
    shared: Mapping[str, Any] = spec if isinstance(spec, Mapping) else {}
    name = raw.get("name")
    restart = shared.get("restartPolicy")
    context = raw.get("securityContext")
    read_only = dig(context, "readOnlyRootFilesystem")
    escalation = dig(context, "allowPrivilegeEscalation")
    return Container(
        name=name if isinstance(name, str) else "?",
        role=role,
        words=WORDS,
        lasting=kind not in FINITE and (not prepares or raw.get("restartPolicy") == "Always"),
        image=raw.get("image"),
        memory=mebibytes(dig(raw, "resources", "limits", "memory")),
        privileged=dig(context, "privileged"),
        drops=dig(context, "capabilities", "drop"),
        adds=dig(context, "capabilities", "add"),
        escalates=UNKNOWN if escalation is UNKNOWN else escalation is not False,
        unconfined=tuple(_unconfined(raw, shared)),
        user=_user(raw, shared),
        writable=UNKNOWN if read_only is UNKNOWN else read_only is not True,
        restart=UNKNOWN if restart is UNKNOWN else RESTARTS.get(str(restart or "Always"), restart),
        health=raw.get("readinessProbe") is UNKNOWN or action(raw.get("readinessProbe")) is not None,
        variables=tuple(_variables(dig(marked, "env"))),
        variables_hidden=False,
        commands=dict(_commands(marked)),
        raw=raw,
        pod=shared,
    )


def _operated(kind: str, spec: Any, role: str | None) -> Container:
    raw: Mapping[str, Any] = spec if isinstance(spec, Mapping) else {}
    name, image = OPERATED[kind]
    return Container(
        name=str(raw.get("name") or name),
        role=role,
        words=WORDS,
        image=dig(spec, image),
        memory=mebibytes(dig(spec, "resources", "limits", "memory")),
        variables=tuple(_variables(raw.get("env"))),
        raw=raw,
    )


def mebibytes(value: Any) -> Any:
    """A quantity of bytes in MiB; `UNKNOWN` stays, what is none is None."""
    number = quantity(value)
    return number / MEBIBYTE if isinstance(number, float) else number


def _unconfined(raw: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[str]:
    for profile in ("seccompProfile", "appArmorProfile"):
        if setting(raw, spec, profile, "type") == "Unconfined":
            yield f"{profile} Unconfined"
    if dig(raw, "securityContext", "procMount") == "Unmasked":
        yield "procMount Unmasked"


def _user(raw: Mapping[str, Any], spec: Mapping[str, Any]) -> User:
    user, non_root = setting(raw, spec, "runAsUser"), setting(raw, spec, "runAsNonRoot")
    if user is not None and user is not UNKNOWN and str(user).strip() in ("0", "0.0"):
        return "root"
    if non_root is UNKNOWN or (non_root and user is UNKNOWN):
        return "unknown"
    return "ordinary" if non_root is True else "unset"


def _variables(env: Any) -> Iterator[Variable]:
    if isinstance(env, Sensitive):
        yield Variable(name="", value=UNKNOWN, sensitive=True)
        return
    for entry in entries(env):
        block = reveal(entry)
        if isinstance(block, Mapping) and block.get("value") is not None:
            sensitive = isinstance(entry, Sensitive) or isinstance(entry.get("value"), Sensitive)
            yield Variable(name=str(block.get("name")), value=block["value"], sensitive=sensitive)


def _commands(marked: Any) -> Iterator[tuple[str, Any]]:
    yield from ((key, dig(marked, key)) for key in ("command", "args"))
    for probe in PROBES:
        yield f"{probe}.exec.command", dig(marked, probe, "exec", "command")
    for hook in ("postStart", "preStop"):
        yield f"lifecycle.{hook}.exec.command", dig(marked, "lifecycle", hook, "exec", "command")


def action(probe: Any) -> tuple[str, Mapping[str, Any]] | None:
    """What a probe does and with which settings; None when there is no probe, or one that does nothing."""
    for key in ACTIONS:
        settings = dig(probe, key)
        if settings is not None:
            return key, settings if isinstance(settings, Mapping) else {}
    return None


def ports(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The ports that a container declares and that are known."""
    yield from blocks(raw.get("ports"))


def is_object(kind: str) -> bool:
    """The type is one of Kubernetes' objects, not its provider or a component of the provider's package."""
    return kind.startswith(PREFIX) and kind.split(":")[1] not in (
        "helm.sh/v3",
        "helm.sh/v4",
        "yaml",
        "yaml/v2",
        "kustomize",
    )
