"""Redis' recovery on Kubernetes: a server that has loaded the dump is followed by the primary (ARE-086).

A server with an append-only file reads that one and no dump. Here nothing has to be stopped for it: a pod with the
image, the settings, the password and the memory of the real servers loads the dump from a volume of its own. The
primary becomes its replica, which takes the data whole or not at all, writes its own append-only file and is a primary
again; its replica follows. A dump that cannot be loaded has changed nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

from toolchain.backup.on_kubernetes_cluster import Connected
from toolchain.backup.on_kubernetes_pods import Pod
from toolchain.backup.sides import FOLDER, PATIENCE
from toolchain.console import ToolchainError, step

LABEL = "ai-platform"
RESTORE = "redis-restore"
DEADLINE = 6 * 3600
"""Seconds after which the cluster ends a server that a killed restore has left."""
SAY = """
say() { REDISCLI_AUTH="$(cat /run/secrets/redis-password)" redis-cli "$@" 2>/dev/null | tr -d '\\r'; }
"""
SERVE = """
until [ -e /data/dump.rdb ]; do sleep 0.2; done
exec redis-server /etc/redis/redis.conf --appendonly no --save '' --repl-diskless-sync-delay 0
"""
PING = f'{SAY}\n[ "$(say PING)" = PONG ] && echo ready || echo waiting'
FOLLOW = (
    SAY
    + r"""
set -eu
trap 'say REPLICAOF NO ONE > /dev/null' EXIT
trap 'exit 1' TERM INT HUP
[ "$(say REPLICAOF "$1" 6379)" = OK ] || { echo "Redis does not follow another server" >&2; exit 1; }
lonely=0
until say INFO replication > /tmp/info && grep -q '^master_link_status:up' /tmp/info; do
  if grep -q '^master_sync_in_progress:1' /tmp/info; then lonely=0; else lonely=$((lonely + 1)); fi
  [ "$lonely" -lt 300 ] || { echo "Redis does not reach the server with the archive" >&2; exit 1; }
  sleep 0.2
done
written() {
  say INFO persistence > /tmp/info
  grep -q '^aof_rewrite_in_progress:0' /tmp/info && grep -q '^aof_rewrite_scheduled:0' /tmp/info
}
until written; do sleep 0.2; done
grep -q '^aof_last_bgrewrite_status:ok' /tmp/info || {
  echo "Redis has the archive in memory, and could not write its append-only file" >&2; exit 1; }
"""
)
ALONE = f"{SAY}\nsay REPLICAOF NO ONE"
JOINED = f"{SAY}\nsay INFO replication"


def load(cluster: Connected, namespace: str, stack: str, system: str, keeper: Pod, archive: str) -> None:
    """Replace the data of a system's Redis by an archive that was checked.

    Raises ToolchainError when that fails: with the old data, unless it says otherwise.
    """
    servers = _servers(cluster, namespace, stack, system)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    if cluster.get(f"{pods}/{RESTORE}") is not None:
        advice = f"wait for it; where it was killed: kubectl delete pod {RESTORE} -n {namespace}"
        raise ToolchainError(f"a restore of {system}'s Redis still runs: {advice}")
    primary = cluster.pod(namespace, f"{servers['metadata']['name']}-0", "redis")
    cluster.create(pods, restorer(servers))
    try:
        with step("load the archive"):
            address = _serve(cluster, namespace, keeper, archive)
        with step("hand it to Redis"):
            _follow(primary, address)
            _await_replicas(primary, int(servers["spec"]["replicas"]) - 1)
    finally:
        cluster.delete(f"{pods}/{RESTORE}", seconds=1)


def restorer(servers: dict[str, Any]) -> dict[str, Any]:
    """The pod that loads a dump: one more of the servers, but for its data and for who is led to it."""
    pod = deepcopy(servers["spec"]["template"])
    (claim,) = servers["spec"]["volumeClaimTemplates"]
    (container,) = pod["spec"]["containers"]
    for key in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
        container.pop(key, None)
    container |= {"command": ["sh", "-c"], "args": [SERVE]}
    labels = pod["metadata"]["labels"] | {f"{LABEL}/role": "job"}
    template = {"metadata": {"labels": labels}, "spec": claim["spec"]}
    pod["spec"] |= {
        # As large as the servers' own; it goes with the pod.
        "volumes": [*pod["spec"]["volumes"], {"name": "data", "ephemeral": {"volumeClaimTemplate": template}}],
        "restartPolicy": "Never",
        "activeDeadlineSeconds": DEADLINE,
    }
    owner = {key: servers[key] for key in ("apiVersion", "kind")} | {
        key: servers["metadata"][key] for key in ("name", "uid")
    }
    # Network policies and quotas know it by the servers' labels; their Services choose by what only they have.
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": RESTORE, "labels": labels, "ownerReferences": [owner]},
        "spec": pod["spec"],
    }


def _servers(cluster: Connected, namespace: str, stack: str, system: str) -> dict[str, Any]:
    chosen = f"{LABEL}/stack={stack},{LABEL}/system={system},{LABEL}/service=redis"
    found = cluster.items(f"/apis/apps/v1/namespaces/{namespace}/statefulsets", labels=chosen)
    if len(found) != 1:
        raise ToolchainError(f"{len(found)} StatefulSets are the Redis of {system}: run make up first")
    # Members of a list do not say what they are.
    return found[0] | {"apiVersion": "apps/v1", "kind": "StatefulSet"}


def _serve(cluster: Connected, namespace: str, keeper: Pod, archive: str) -> str:
    """Address of the server, once it has the archive's data."""
    server = cluster.pod(namespace, RESTORE, "redis")
    _await(cluster, namespace, lambda status: status.get("phase") == "Running")
    size = int(keeper.run("stat", "-c", "%s", f"{FOLDER}/{archive}"))
    server.write("/data/dump.rdb", keeper.read("cat", f"{FOLDER}/{archive}"), size)
    # For as long as it takes: a large one loads for minutes.
    status = _await(cluster, namespace, lambda _: server.run("sh", "-c", PING).strip() == "ready", seconds=DEADLINE)
    return str(status["podIP"])


def _follow(primary: Pod, address: str) -> None:
    try:
        primary.run("sh", "-c", FOLLOW, "sh", address)
    except BaseException:
        # An interrupt ends this process only: the primary must not wait for a server that goes now.
        with suppress(ToolchainError):
            primary.run("sh", "-c", ALONE)
        raise


def _await(
    cluster: Connected, namespace: str, done: Callable[[dict[str, Any]], bool], seconds: float = PATIENCE
) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while True:
        pod = cluster.get(f"/api/v1/namespaces/{namespace}/pods/{RESTORE}") or {}
        status: dict[str, Any] = pod.get("status", {})
        if status.get("phase") not in ("Pending", "Running"):
            reason = cluster.log(namespace, RESTORE, "redis") if pod else "its pod is gone"
            raise ToolchainError(f"Redis did not load it; its data is as it was\n{reason}")
        if _done(status, done):
            return status
        if time.monotonic() > end:
            raise ToolchainError(f"no server for the archive after {seconds:.0f} s: kubectl describe pod {RESTORE}")
        time.sleep(0.3)


def _done(status: dict[str, Any], done: Callable[[dict[str, Any]], bool]) -> bool:
    try:
        return bool(done(status))
    except ToolchainError:
        # It may have ended between the question for its phase and this one.
        return False


def _await_replicas(primary: Pod, count: int) -> None:
    end = time.monotonic() + PATIENCE
    while primary.run("sh", "-c", JOINED).count("state=online") < count:
        if time.monotonic() > end:
            raise ToolchainError(f"Redis is restored, but not {count} replicas follow it after {PATIENCE} s")
        time.sleep(0.5)
