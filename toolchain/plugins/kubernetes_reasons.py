"""Why pods do not become ready, in the words of the scheduler, the registry, the kubelet and the program itself."""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.plugins.kubernetes_cluster import Cluster
from toolchain.plugins.provider import ProviderError
from toolchain.plugins.schema import Values

LOG_LINES = 20
PODS_SHOWN = 3
HARMLESS = frozenset({"ContainerCreating", "PodInitializing"})


def condition(values: Values, kind: str) -> Values:
    """A condition of an object's status, or nothing."""
    found = (entry for entry in (values.get("status") or {}).get("conditions") or [] if entry.get("type") == kind)
    return next(found, {})


def selector(labels: Values | None) -> str:
    """A label selector as the API takes it; empty for expressions, which a query would need more words for."""
    return ",".join(f"{name}={value}" for name, value in sorted((labels or {}).items()))


def pods_of(cluster: Cluster, live: Values) -> list[Values]:
    """The pods that an object is about, youngest first."""
    if live["kind"] == "Pod" or "namespace" not in live["metadata"]:
        return [live] if live["kind"] == "Pod" else []
    chosen, uid = (live.get("spec") or {}).get("selector"), live["metadata"]["uid"]
    labels = (chosen if live["kind"] == "Service" else chosen.get("matchLabels")) if isinstance(chosen, dict) else None
    found = cluster.items(f"/api/v1/namespaces/{live['metadata']['namespace']}/pods", label=selector(labels))
    if not labels:  # a custom resource: its operator may have made pods of its own
        found = [pod for pod in found if any(one["uid"] == uid for one in pod["metadata"].get("ownerReferences") or [])]
    return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)


def last_warning(cluster: Cluster, live: Values) -> str:
    """The words of the youngest warning event about an object."""
    about = f"involvedObject.uid={live['metadata']['uid']},type=Warning"
    events = cluster.items(f"/api/v1/namespaces/{live['metadata'].get('namespace') or 'default'}/events", field=about)
    youngest = max(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime")), default=None)
    return f"{youngest.get('reason')}: {str(youngest.get('message')).strip()}" if youngest else ""


def explain(cluster: Cluster, live: Values, *, logs: bool) -> str:
    """Why an object is not ready, a line or more; `logs` adds the last lines of crashed containers."""
    try:
        failure = condition(live, "ReplicaFailure").get("message") or condition(live, "Failed").get("message")
        found = [f"{live['kind']}: {failure}"] if failure else []
        for pod in pods_of(cluster, live):
            found += [f"pod {pod['metadata']['name']}: {text}" for text in pod_reasons(cluster, pod, logs)]
            if len(found) >= PODS_SHOWN:
                break
        found = found or [text for text in [last_warning(cluster, live)] if text]
    except ProviderError as error:
        return f"(the reason cannot be read: {error})"
    return "\n".join(dict.fromkeys(found))


def pod_reasons(cluster: Cluster, pod: Values, logs: bool) -> Iterator[str]:
    """What is wrong with one pod; nothing when it is ready, complete or only starting."""
    scheduled, ready = condition(pod, "PodScheduled"), condition(pod, "Ready")
    if scheduled.get("status") == "False":
        yield f"{scheduled.get('reason')}: {scheduled.get('message')}"
        return
    if ready.get("status") == "True" or (pod.get("status") or {}).get("phase") == "Succeeded":
        return
    found = list(container_reasons(cluster, pod, logs))
    yield from found
    if not found and (words := last_warning(cluster, pod)):
        yield words


def container_reasons(cluster: Cluster, pod: Values, logs: bool) -> Iterator[str]:
    """What is wrong with the containers of a pod."""
    status = pod.get("status") or {}
    for seen in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting, ended = ((seen.get("state") or {}).get(name) or {} for name in ("waiting", "terminated"))
        crashed = ended or (seen.get("lastState") or {}).get("terminated") or {}
        failed = bool(crashed) and (crashed.get("exitCode") != 0 or bool(waiting))
        if waiting.get("reason") not in {None, *HARMLESS} or (failed and not seen.get("ready")):
            words = f"container {seen['name']}: {waiting.get('reason') or crashed.get('reason')}"
            words += f": {waiting['message']}" if waiting.get("message") else ""
            words += f" (exit code {crashed.get('exitCode')}, {seen.get('restartCount', 0)} restarts)" if failed else ""
            if failed and logs:
                words += f"\n{log_of(cluster, pod, seen['name'], previous=not ended)}"
            yield words


def log_of(cluster: Cluster, pod: Values, container: str, *, previous: bool) -> str:
    """The last log lines of a container, indented."""
    where = pod["metadata"]
    text = cluster.log(where["namespace"], where["name"], container, previous=previous, lines=LOG_LINES)
    return "\n".join(f"    {line}" for line in (text or "(it wrote nothing)").splitlines())
