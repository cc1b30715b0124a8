"""The API server, as a restore asks it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from toolchain.backup.on_kubernetes_pods import Pod
from toolchain.console import ToolchainError
from toolchain.environment import full
from toolchain.plugins.kubernetes_cluster import ApiError, Cluster, NotFound
from toolchain.plugins.provider import ProviderError

MANAGER = "ai-platform-restore"
"""Who changes objects here, as the API server remembers it."""
ATTEMPTS = 5


class Connected:
    """One context of the kubeconfig; every failure is a ToolchainError."""

    def __init__(self, context: str) -> None:
        self.cluster = Cluster({"context": context, "kubeconfig": full().get("KUBECONFIG", "")})

    def items(self, path: str, *, absent: bool = False, labels: str = "") -> list[dict[str, Any]]:
        """The objects of a list; none with `absent` where their kind is not served."""
        with _told():
            try:
                return list(self.cluster.items(path, label=labels))
            except NotFound:
                if absent:
                    return []
                raise

    def get(self, path: str) -> dict[str, Any] | None:
        """An object, or None when there is none."""
        with _told():
            return self.cluster.get(path)

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A new object, as the API server has it."""
        with _told():
            made, _ = self.cluster.request("POST", path, body=body, query=[("fieldManager", MANAGER)])
            return dict(made)

    def delete(self, path: str, *, seconds: int) -> None:
        """Let an object go that may be gone already, with some seconds to end in."""
        with _told(), contextlib.suppress(NotFound):
            self.cluster.request("DELETE", path, query=[("gracePeriodSeconds", str(seconds))])

    def log(self, namespace: str, pod: str, container: str) -> str:
        """The last lines of a container."""
        with _told():
            return self.cluster.log(namespace, pod, container, previous=False, lines=5)

    def merge(self, path: str, change: dict[str, Any]) -> None:
        """Change a part of an object."""
        with _told():
            self._patch(path, change, "application/merge-patch+json")

    def disown(self, path: str) -> None:
        """Forget who changed an object here: the program's next change of the same field is no conflict."""
        with _told():
            for _ in range(ATTEMPTS):
                entries = (self.cluster.get(path) or {}).get("metadata", {}).get("managedFields", [])
                ours = [place for place, entry in enumerate(entries) if entry.get("manager") == MANAGER]
                if not ours:
                    return
                place = f"/metadata/managedFields/{ours[0]}"
                # Whatever came first meanwhile, nobody else's entry goes.
                change = [
                    {"op": "test", "path": f"{place}/manager", "value": MANAGER},
                    {"op": "remove", "path": place},
                ]
                with contextlib.suppress(ApiError):
                    self._patch(path, change, "application/json-patch+json")

    def pod(self, namespace: str, name: str, container: str) -> Pod:
        """A container to run commands in."""
        with _told():
            return Pod(self.cluster.connect().client, namespace, name, container)

    def _patch(self, path: str, body: Any, content_type: str) -> None:
        self.cluster.request("PATCH", path, body=body, query=[("fieldManager", MANAGER)], content_type=content_type)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ProviderError as error:
        raise ToolchainError(str(error)) from error
