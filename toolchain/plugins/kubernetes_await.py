"""When an object counts as ready, and when as gone.

A readiness function returns what is missing, "" for nothing; it raises ProviderError for what will not come any more.
Kinds without a function are ready at once. Custom resources wait for a condition Ready if they report one.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from toolchain.plugins.kubernetes_cluster import CONFLICT, ApiError, Cluster, NotFound
from toolchain.plugins.kubernetes_reasons import condition, explain, selector
from toolchain.plugins.kubernetes_types import BUILT_IN, PROPAGATION, SKIP_AWAIT, WAIT_FOR, Kind, annotations_of, is_on
from toolchain.plugins.provider import ProviderError
from toolchain.plugins.schema import Values

POLL_SECONDS = 0.5
EXPLAIN_SECONDS = 3.0
FIRST_STATUS_SECONDS = 5.0
"""How long a custom resource with a status may take to report its first condition."""
PASSING_SECONDS, MISSING_SECONDS = 60.0, 20.0
"""How long a request is repeated while the API server or a webhook does not answer, or a namespace is missing."""
Ready = Callable[[Values, Cluster], str]


class NotReady(ProviderError):
    """An object that exists but did not become ready; `live` is its last state."""

    def __init__(self, message: str, live: Values) -> None:
        super().__init__(message)
        self.live = live


def count(values: Values, name: str) -> int:
    return int(values.get(name) or 0)


def unseen(live: Values, kind: Kind) -> bool:
    """Whether the controller has not looked at the object's latest generation yet."""
    status = live.get("status") or {}
    reports = "observedGeneration" in status or kind.key == "apps/DaemonSet"
    return reports and count(status, "observedGeneration") < count(live["metadata"], "generation")


def deployment(live: Values, _cluster: Cluster) -> str:
    status, progress = live.get("status") or {}, condition(live, "Progressing")
    if progress.get("reason") == "ProgressDeadlineExceeded":
        raise ProviderError(f"no progress within progressDeadlineSeconds: {progress.get('message')}")
    updated, old = count(status, "updatedReplicas"), count(status, "replicas") - count(status, "updatedReplicas")
    lacking = short(updated, live["spec"].get("replicas", 1), "of the new template")
    ending = f"{old} old pods are ending" if old > 0 else ""
    return lacking or ending or short(count(status, "availableReplicas"), updated, "available")


def short(number: int, wanted: int, word: str) -> str:
    return "" if number >= wanted else f"{number} of {wanted} pods are {word}"


def stateful_set(live: Values, _cluster: Cluster) -> str:
    spec, status = live["spec"], live.get("status") or {}
    wanted, strategy = spec.get("replicas", 1), spec.get("updateStrategy") or {}
    lacking = short(count(status, "readyReplicas"), wanted, "ready")
    if lacking or strategy.get("type") == "OnDelete":
        return lacking
    partition = count(strategy.get("rollingUpdate") or {}, "partition")
    if partition == 0 and status.get("updateRevision") == status.get("currentRevision"):
        return ""
    return short(count(status, "updatedReplicas"), wanted - partition, "of the new template")


def daemon_set(live: Values, _cluster: Cluster) -> str:
    status = live.get("status") or {}
    wanted = count(status, "desiredNumberScheduled")
    on_delete = (live["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
    lacking = "" if on_delete else short(count(status, "updatedNumberScheduled"), wanted, "of the new template")
    return lacking or short(count(status, "numberAvailable"), wanted, "available")


def job(live: Values, _cluster: Cluster) -> str:
    failure, status = condition(live, "Failed"), live.get("status") or {}
    if failure.get("status") == "True":
        raise ProviderError(f"the job failed: {failure.get('reason')}: {failure.get('message')}")
    if live["spec"].get("suspend") or condition(live, "Complete").get("status") == "True":
        return ""
    return f"{count(status, 'succeeded')} of {live['spec'].get('completions', 1)} completions"


def pod(live: Values, _cluster: Cluster) -> str:
    phase = (live.get("status") or {}).get("phase")
    if phase == "Failed":
        raise ProviderError("the pod failed")
    return "" if phase == "Succeeded" or condition(live, "Ready").get("status") == "True" else f"it is {phase}"


def service(live: Values, cluster: Cluster) -> str:
    spec, metadata = live["spec"], live["metadata"]
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None" or not spec.get("selector"):
        return ""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{metadata['namespace']}/endpointslices"
    slices = cluster.items(path, label=selector({"kubernetes.io/service-name": metadata["name"]}))
    endpoints = [endpoint for item in slices for endpoint in item.get("endpoints") or []]
    if all((endpoint.get("conditions") or {}).get("ready") is False for endpoint in endpoints):
        return "no pod that it selects is ready"
    balanced = (live.get("status") or {}).get("loadBalancer", {}).get("ingress")
    return "the load balancer has no address" if spec.get("type") == "LoadBalancer" and not balanced else ""


def volume_claim(live: Values, cluster: Cluster) -> str:
    phase, name = (live.get("status") or {}).get("phase"), live["spec"].get("storageClassName")
    storage = (cluster.get(f"/apis/storage.k8s.io/v1/storageclasses/{name}") if name else None) or {}
    late = storage.get("volumeBindingMode") == "WaitForFirstConsumer"
    return "" if phase == "Bound" or late else f"it is {phase or 'Pending'}"


def met(kind: str, wanted: str, live: Values, _cluster: Cluster) -> str:
    """Whether a condition has a status that it took from the latest generation."""
    found = condition(live, kind)
    late = count(found, "observedGeneration") < count(live["metadata"], "generation") and "observedGeneration" in found
    if str(found.get("status")).lower() == wanted.lower() and not late:
        return ""
    words = ": ".join(str(found[name]) for name in ("reason", "message") if found.get(name))
    return f"condition {kind} is not {wanted}" + (f" ({words})" if words else "")


def custom(has_status: bool, begun: float, live: Values, cluster: Cluster) -> str:
    """A custom resource: ready once its condition Ready is, if it reports conditions at all."""
    if has_status and not live.get("status") and time.monotonic() - begun < FIRST_STATUS_SECONDS:
        return "waiting for a first status"
    return met("Ready", "True", live, cluster) if condition(live, "Ready") else ""


READY: Mapping[str, Ready] = {
    "apps/Deployment": deployment,
    "apps/StatefulSet": stateful_set,
    "apps/DaemonSet": daemon_set,
    "batch/Job": job,
    "/Pod": pod,
    "/Service": service,
    "/PersistentVolumeClaim": volume_claim,
    "apiextensions.k8s.io/CustomResourceDefinition": partial(met, "Established", "True"),
}


def wait_for(annotation: str) -> list[Ready]:
    """The readiness that a waitFor annotation asks for. Raises ProviderError for one that is not understood."""
    try:
        wishes = json.loads(annotation) if annotation.lstrip().startswith("[") else [annotation]
        return [wish(text) for text in wishes]
    except (ValueError, TypeError):
        raise ProviderError(
            f"{WAIT_FOR} must be `condition=<type>[=<status>]`, `jsonpath={{.path}}[=<value>]` or a JSON list of these"
        ) from None


def wish(text: str) -> Ready:
    """One element of a waitFor annotation. Raises ValueError."""
    if match := re.fullmatch(r"condition=([\w./-]+)(?:=(\w+))?", text):
        return partial(met, match[1], match[2] or "True")
    if match := re.fullmatch(r"jsonpath=\{((?:\.[\w-]+)+)\}(?:=(.*))?", text):
        return partial(holds, match[1], match[2])
    raise ValueError(text)


def holds(path: str, wanted: str | None, live: Values, _cluster: Cluster) -> str:
    """Whether the value at a path is there, or is the wanted one."""
    found: Any = live
    for step in path[1:].split("."):
        found = found.get(step) if isinstance(found, dict) else None
    text = found if isinstance(found, str) else json.dumps(found)
    if found is not None and wanted in (None, text):
        return ""
    return f"{path} is {'not there' if found is None else text}" + (f", not {wanted}" if wanted else "")


@dataclass(frozen=True)
class Watch:
    """One object that is waited for. `tell` shows the user what is missing; `timeout` is in seconds."""

    cluster: Cluster
    kind: Kind
    metadata: Values
    timeout: float
    cancelled: threading.Event
    tell: Callable[[str], None]

    def until_ready(self, live: Values) -> Values:
        """The object once it is ready. Raises NotReady with the reason that the cluster gives."""
        if is_on(live, SKIP_AWAIT):
            return live
        begun, told, explained, failure = time.monotonic(), "", time.monotonic(), ""
        # A deadline that an earlier template exceeded is told until the new one makes progress.
        checks, earlier = self.checks(live, begun), (unseen(live, self.kind) and condition(live, "Progressing")) or None
        while True:
            try:
                late = "waiting for the controller" if unseen(live, self.kind) else ""
                missing = late or "; ".join(filter(None, (check(live, self.cluster) for check in checks)))
            except ProviderError as error:
                passing = isinstance(error, ApiError) or condition(live, "Progressing") == earlier
                missing, failure = str(error), "" if passing else str(error)
            if not missing:
                return live
            if failure or time.monotonic() - begun > self.timeout:
                words = failure or f"not ready after {self.timeout:.0f} s: {missing}"
                raise NotReady("\n".join(filter(None, (words, explain(self.cluster, live, logs=True)))), live)
            if time.monotonic() - explained > EXPLAIN_SECONDS:
                explained = time.monotonic()
                missing = "\n".join(filter(None, (missing, explain(self.cluster, live, logs=False))))
            elif told.startswith(missing):
                missing = told
            if missing != told:
                self.tell(missing)
                told = missing
            live = self.again(live)

    def checks(self, live: Values, begun: float) -> list[Ready]:
        """What makes this object ready."""
        if WAIT_FOR in annotations_of(live):
            return wait_for(annotations_of(live)[WAIT_FOR])
        if BUILT_IN.fullmatch(self.kind.group):
            return [READY[self.kind.key]] if self.kind.key in READY else []
        return [partial(custom, self.cluster.find(self.kind)["status"], begun)]

    def again(self, live: Values) -> Values:
        """The object a little later; the same where the API server does not answer just now."""
        if self.cancelled.wait(POLL_SECONDS):
            raise NotReady("cancelled while waiting for it to become ready", live)
        try:
            found = self.cluster.look(self.kind, self.metadata)
        except ApiError as error:
            if error.passing:
                return live
            raise NotReady(f"its state cannot be read: {error}", live) from None
        if found is None:
            raise NotReady("it was deleted by somebody else while waiting for it to become ready", live)
        return found

    def until_gone(self, live: Values) -> None:
        """Delete the object and wait for its end. Raises ProviderError with what holds it."""
        policy = annotations_of(live).get(PROPAGATION, "Foreground").capitalize()
        about = {"uid": live["metadata"].get("uid")}
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy, "preconditions": about}
        try:
            self.repeat(lambda: self.cluster.request("DELETE", self.cluster.path(self.kind, self.metadata), body=body))
        except ApiError as error:
            if error.status != CONFLICT and not isinstance(error, NotFound):
                raise  # a conflict means that another object has this name by now
        begun, told = time.monotonic(), ""
        while not is_on(live, SKIP_AWAIT):
            now = self.repeat(lambda: self.cluster.look(self.kind, self.metadata))
            if now is None or now["metadata"]["uid"] != about["uid"]:
                return
            if (held := holders(now)) != told:
                told = held
                self.tell(f"waiting for its end: {held}")
            if time.monotonic() - begun > self.timeout:
                raise ProviderError(f"still there {self.timeout:.0f} s after its deletion: {held}")
            if self.cancelled.wait(POLL_SECONDS):
                raise ProviderError(f"cancelled while waiting for its end: {held}")

    def repeat(self, action: Callable[[], Any], *, early: bool = False) -> Any:
        """Do a request again while it may succeed a little later; `early`: what it needs may be on its way."""
        begun = time.monotonic()
        while True:
            try:
                return action()
            except ApiError as error:
                patience = MISSING_SECONDS if isinstance(error, NotFound) else PASSING_SECONDS
                passing = error.passing or (early and error.early)
                if not passing or time.monotonic() - begun > min(patience, self.timeout):
                    raise
                self.tell(f"trying again: {error}")
            if self.cancelled.wait(POLL_SECONDS):
                raise ProviderError("cancelled")


def holders(live: Values) -> str:
    """What keeps a deleted object from going."""
    named = [name for part in ("metadata", "spec") for name in (live.get(part) or {}).get("finalizers") or []]
    found = [f"finalizers {', '.join(map(str, named))}"] if named else []
    for entry in (live.get("status") or {}).get("conditions") or [] if live["kind"] == "Namespace" else []:
        found += [str(entry.get("message"))] if entry.get("status") == "True" else []
    return "; ".join(found) or "its processes are ending"
