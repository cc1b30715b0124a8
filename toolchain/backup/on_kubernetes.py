"""A stack on a Kubernetes cluster: its deployments and pods that take part in a backup or a restore."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from toolchain.backup import on_kubernetes_redis
from toolchain.backup.on_kubernetes_cluster import Connected
from toolchain.backup.on_kubernetes_pods import CHUNK, Pod
from toolchain.backup.sides import APPLICATIONS, FOLDER, KEEPERS, PATIENCE, Keeper, Side
from toolchain.console import ToolchainError, step

Object = Mapping[str, Any]
LABEL = "ai-platform"
REPLICAS = f"{LABEL}/restore-replicas"
"""Annotation of what a restore has stopped: how many replicas there were. A killed restore leaves it to the next."""
PAUSED = "autoscaling.keda.sh/paused"
SCALED_OBJECTS = "/apis/keda.sh/v1alpha1/namespaces/{}/scaledobjects"
STOPPED = 300
"""Seconds that pods have to end: workers finish their jobs."""


class KubernetesKeeper(Keeper):
    """The Deployment that archives one engine of one system, with its one pod."""

    def __init__(self, cluster: Connected, deployment: Object) -> None:
        labels = deployment["metadata"]["labels"]
        self.cluster = cluster
        self.namespace = str(deployment["metadata"]["namespace"])
        self.system = str(labels[f"{LABEL}/system"])
        self.service = str(labels[f"{LABEL}/service"])
        self.engine = self.service.removesuffix("-backup")

    def pod(self) -> Pod:
        """The pod that runs now. Raises ToolchainError where there is none."""
        chosen = f"{LABEL}/system={self.system},{LABEL}/service={self.service}"
        pods = self.cluster.items(f"/api/v1/namespaces/{self.namespace}/pods", labels=chosen)
        running = [one for one in pods if one["status"].get("phase") == "Running" and not _ends(one)]
        if not running:
            advice = f"`kubectl get pods -n {self.namespace} -l {LABEL}/service={self.service}` shows why"
            raise ToolchainError(f"no pod of {self.service} runs: {advice}")
        return self.cluster.pod(self.namespace, running[0]["metadata"]["name"], self.service)

    def run(self, *command: str) -> str:
        """What a command prints in the pod. Raises ToolchainError with its last words when it fails."""
        return self.pod().run(*command)

    def receive(self, file: Path, name: str) -> None:
        """Copy a file of this host beside the archives."""
        with file.open("rb") as content:
            self.pod().write(f"{FOLDER}/{name}", iter(lambda: content.read(CHUNK), b""), file.stat().st_size)


class KubernetesSide(Side):
    """One cluster."""

    def __init__(self, stack: str, context: str) -> None:
        self.stack, self.context = stack, context
        self.cluster = Connected(context)

    @property
    def place(self) -> str:
        """Where the stack was looked for."""
        return f"the cluster of context {self.context}"

    def found(self) -> Sequence[Keeper]:
        """Every keeper of the stack."""
        chosen = f"{LABEL}/service in ({','.join(KEEPERS)})"
        return [KubernetesKeeper(self.cluster, one) for one in self._deployments(chosen)]

    def is_up(self) -> bool:
        """Whether anything of the stack runs."""
        return bool(self._deployments())

    def load_redis(self, keeper: Keeper, name: str) -> None:
        """Let the primary follow a server that has loaded the archive."""
        mine = cast("KubernetesKeeper", keeper)
        on_kubernetes_redis.load(self.cluster, mine.namespace, self.stack, mine.system, mine.pod(), name)

    @contextmanager
    def applications_stopped(self, keeper: Keeper) -> Iterator[None]:
        """Nothing of the system writes meanwhile; afterwards as many replicas run again, whatever happened."""
        system = f"{LABEL}/system={keeper.system}"
        chosen = f"{system},{LABEL}/role in ({','.join(APPLICATIONS)})"
        deployments = self._deployments(chosen)
        scaled = self._scaled(deployments)
        try:
            with step(f"stop {len(deployments)} deployments of the applications"):
                # KEDA would start them again; the cluster's own autoscaler leaves alone what has no replica.
                for one in scaled:
                    self._annotate(one, PAUSED, "true")
                self._wait_paused(scaled)
                for one in deployments:
                    self._stop(one)
                self._wait_ended(deployments, chosen)
            yield
        finally:
            with step("start the applications again"):
                _each(deployments, self._start)
                _each(scaled, lambda one: self._annotate(one, PAUSED, None))
                self._wait_ready(deployments)

    def _deployments(self, chosen: str = "") -> list[Object]:
        stack = f"{LABEL}/stack={self.stack}"
        found = self.cluster.items("/apis/apps/v1/deployments", labels=f"{stack},{chosen}".rstrip(","))
        return [one | {"path": _path(one)} for one in found]

    def _scaled(self, deployments: Sequence[Object]) -> list[Object]:
        """KEDA's rules for them; none where the cluster has no KEDA."""
        names = {one["metadata"]["name"] for one in deployments}
        found: list[Object] = []
        for namespace in sorted({str(one["metadata"]["namespace"]) for one in deployments}):
            path = SCALED_OBJECTS.format(namespace)
            rules = self.cluster.items(path, absent=True)
            found += [
                one | {"path": f"{path}/{one['metadata']['name']}"}
                for one in rules
                if one["spec"]["scaleTargetRef"]["name"] in names
            ]
        return found

    def _annotate(self, one: Object, key: str, value: str | None) -> None:
        self.cluster.merge(one["path"], {"metadata": {"annotations": {key: value}}})
        if value is None:
            self.cluster.disown(one["path"])

    def _stop(self, one: Object) -> None:
        kept = one["metadata"].get("annotations", {}).get(REPLICAS) or str(one["spec"]["replicas"])
        change = {"metadata": {"annotations": {REPLICAS: kept}}, "spec": {"replicas": 0}}
        self.cluster.merge(one["path"], change)

    def _start(self, one: Object) -> None:
        now = self.cluster.get(one["path"])
        kept = (now or {}).get("metadata", {}).get("annotations", {}).get(REPLICAS)
        if kept is None:
            return
        change = {"metadata": {"annotations": {REPLICAS: None}}, "spec": {"replicas": int(kept)}}
        self.cluster.merge(one["path"], change)
        self.cluster.disown(one["path"])

    def _wait_paused(self, scaled: Sequence[Object]) -> None:
        def going() -> list[str]:
            found = [self.cluster.get(one["path"]) for one in scaled]
            return [one["metadata"]["name"] for one in found if one and not _paused(one)]

        _wait(going, PATIENCE, "not paused", "kubectl describe scaledobject")

    def _wait_ended(self, deployments: Sequence[Object], chosen: str) -> None:
        spaces = sorted({str(one["metadata"]["namespace"]) for one in deployments})

        def there() -> list[str]:
            pods = [
                one for space in spaces for one in self.cluster.items(f"/api/v1/namespaces/{space}/pods", labels=chosen)
            ]
            return [one["metadata"]["name"] for one in pods if one["status"].get("phase") in ("Pending", "Running")]

        _wait(there, STOPPED, "still there", "kubectl describe pod")

    def _wait_ready(self, deployments: Sequence[Object]) -> None:
        def unready() -> list[str]:
            found = [self.cluster.get(one["path"]) for one in deployments]
            return [one["metadata"]["name"] for one in found if one and not _ready(one)]

        _wait(unready, PATIENCE, "not ready", "kubectl describe deployment")


def _each(objects: Sequence[Object], action: Callable[[Object], None]) -> None:
    """One that cannot be changed keeps no other from it. Raises ToolchainError after all others."""
    failed = []
    for one in objects:
        try:
            action(one)
        except ToolchainError as error:
            failed.append(f"{one['metadata']['name']}: {error}")
    if failed:
        raise ToolchainError("\n  ".join(["left as it was while the data was restored:", *failed]))


def _wait(waiting: Callable[[], Sequence[str]], seconds: float, what: str, advice: str) -> None:
    end = time.monotonic() + seconds
    while names := waiting():
        if time.monotonic() > end:
            raise ToolchainError(f"{what} after {seconds:.0f} s: {', '.join(names)}; see `{advice}`")
        time.sleep(0.5)


def _path(deployment: Object) -> str:
    metadata = deployment["metadata"]
    return f"/apis/apps/v1/namespaces/{metadata['namespace']}/deployments/{metadata['name']}"


def _ends(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _paused(scaled: Object) -> bool:
    conditions = scaled.get("status", {}).get("conditions", [])
    return any(one["type"] == "Paused" and one["status"] == "True" for one in conditions)


def _ready(deployment: Object) -> bool:
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return bool(seen and status.get("readyReplicas", 0) >= wanted)
