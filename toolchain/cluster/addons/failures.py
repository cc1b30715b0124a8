"""Why an add-on does not start: what its pods and their logs say."""

from __future__ import annotations

import json

from toolchain.cluster import kubectl
from toolchain.cluster.addons.addon import Addon, Object
from toolchain.console import ToolchainError

LINES = 15
"""Lines of a container's log that an error quotes."""


def explain(addon: Addon, deployment: str) -> str:
    """One text about a Deployment of an add-on that did not become ready."""
    selector = f"app.kubernetes.io/name={deployment}"
    pods = json.loads(kubectl("-n", addon.namespace, "get", "pods", "-l", selector, "-o", "json"))["items"]
    lines = [f"add-on {addon.name}: {addon.namespace}/{deployment} does not become ready"]
    if not pods:
        lines.append(_events(addon))
    for pod in pods:
        name = pod["metadata"]["name"]
        lines += [f"pod {name}: {reason}" for reason in reasons(pod)]
        for extra in ([], ["--previous"]):
            try:
                log = kubectl("-n", addon.namespace, "logs", name, f"--tail={LINES}", *extra).strip()
            except ToolchainError:
                continue
            if log:
                lines.append(log)
                break
    return "\n".join(lines)


def reasons(pod: Object) -> list[str]:
    """What keeps a pod from being ready, as its status says it."""
    status = pod.get("status", {})
    found = [
        f"{row.get('reason', row['type'])}: {row['message']}"
        for row in status.get("conditions", [])
        if row["status"] != "True" and row.get("message")
    ]
    for container in status.get("containerStatuses", []):
        for state in ("state", "lastState"):
            for detail in container.get(state, {}).values():
                if detail.get("reason"):
                    text = f"{detail['reason']}: {detail.get('message') or detail.get('exitCode', '')}"
                    found.append(f"container {container['name']}: {text}")
    return found or [f"phase {status.get('phase', 'unknown')}"]


def _events(addon: Addon) -> str:
    """The namespace's last warnings: where a pod is refused there is no pod to ask."""
    text = kubectl(
        "-n",
        addon.namespace,
        "get",
        "events",
        "--field-selector=type=Warning",
        "--sort-by=.lastTimestamp",
        "-o",
        "custom-columns=OBJECT:.involvedObject.name,REASON:.reason,MESSAGE:.message",
        "--no-headers",
    )
    return "\n".join(text.strip().splitlines()[-LINES:]) or "it has no pods, and no event says why"
