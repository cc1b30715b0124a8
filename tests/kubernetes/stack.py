"""A stack on a Kubernetes cluster as the tests see it: its namespaces, pods and objects."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.deployment import Deployment, Ran, environment, eventually
from toolchain.cluster import CONTEXT, build, images

Object = dict[str, Any]
SYSTEM = "ai-review-engine"
DATABASE = "ai_review_staging"
LABEL = "ai-platform"
CUSTOM = (
    "clusters.postgresql.cnpg.io,imagecatalogs.postgresql.cnpg.io,certificates.cert-manager.io,"
    "issuers.cert-manager.io,gateways.gateway.networking.k8s.io,httproutes.gateway.networking.k8s.io,"
    "middlewares.traefik.io,traefikservices.traefik.io,prometheuses.monitoring.coreos.com,"
    "podmonitors.monitoring.coreos.com,prometheusrules.monitoring.coreos.com"
)
"""Custom resources that the platform makes."""


@dataclass(kw_only=True)
class Stack(Deployment):
    """One stack of a checkout, on the cluster of a kubeconfig."""

    kubeconfig: Path
    http_port: int
    template: str = "staging"

    @property
    def namespace(self) -> str:
        """Of the system."""
        return f"{SYSTEM}-{self.name}"

    @property
    def ground(self) -> str:
        """The namespace of what no system owns."""
        return f"ai-platform-{self.name}"

    def environment(self) -> dict[str, str]:
        """A user's environment, with this cluster's kubeconfig."""
        return environment() | {"KUBECONFIG": str(self.kubeconfig)}

    def load_images(self) -> None:
        """Give the node what this machine builds: a cluster that is handed in does not do that by itself."""
        self._run(["make", "images"], check=True)
        inventory = json.loads((self.folder / ".toolchain" / "images.json").read_text(encoding="utf-8"))
        images.load(one["reference"] for one in inventory.values() if one["source"] != "missing")

    def kubectl(self, *arguments: str, input: str | None = None, seconds: int = 300) -> str:  # noqa: A002 - as subprocess
        """What kubectl prints, in the system's namespace. Raises AssertionError when it fails."""
        ran = self.try_kubectl(*arguments, input=input, seconds=seconds)
        assert ran.code == 0, f"kubectl {' '.join(arguments)}: {ran.output}"
        return ran.output

    def try_kubectl(self, *arguments: str, input: str | None = None, seconds: int = 300) -> Ran:  # noqa: A002
        """How kubectl ended; what it complained of is in the output only when it failed."""
        done = self._kubectl(arguments, input, seconds)
        return Ran(done.returncode, done.stdout + (done.stderr if done.returncode else ""))

    def warnings(self, *arguments: str) -> str:
        """What kubectl says besides its output, of a command that succeeds."""
        done = self._kubectl(arguments, None, 300)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def kubectl_edit(self, replacement: str, kind: str, name: str) -> None:
        """`kubectl edit` with an editor that replaces text."""
        editor = {"KUBE_EDITOR": f"sed --in-place --expression='{replacement}'"}
        done = self._kubectl(["edit", kind, name], None, 60, editor)
        assert done.returncode == 0, done.stderr
        assert "edited" in done.stdout, done.stdout

    def _kubectl(
        self, arguments: Sequence[str], text: str | None, seconds: int, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*kubectl(), f"--kubeconfig={self.kubeconfig}", f"--context={CONTEXT}", "-n", self.namespace, *arguments],
            input=text,
            env=os.environ | dict(variables or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def objects(self, *arguments: str) -> list[Object]:
        """What `kubectl get` finds, in the system's namespace unless the arguments say another one."""
        return list(json.loads(self.kubectl("get", *arguments, "--output=json"))["items"])

    def one(self, kind: str, service: str) -> Object:
        """The only object of a kind that a service has."""
        (found,) = self.objects(kind, "--selector", f"{LABEL}/service={service}")
        return found

    def pods(self, service: str | None = None) -> list[Object]:
        """Pods that run (or are to), ordered by name: neither ended nor about to end."""
        selector = f"{LABEL}/stack={self.name}" + (f",{LABEL}/service={service}" if service else "")
        found = self.objects("pods", "--selector", selector)
        return sorted(
            (
                one
                for one in found
                if one["status"]["phase"] in ("Pending", "Running") and "deletionTimestamp" not in one["metadata"]
            ),
            key=name_of,
        )

    def uids(self, service: str | None = None) -> dict[str, str]:
        """Names and unique ids of pods."""
        return {name_of(one): str(one["metadata"]["uid"]) for one in self.pods(service)}

    def run(self, pod: str, *command: str, container: str | None = None) -> Ran:
        """A command inside a pod."""
        where = ["--container", container] if container else []
        return self.try_kubectl("exec", pod, *where, "--", *command)

    def primary(self) -> str:
        """Name of the pod of PostgreSQL that takes writes."""
        (cluster,) = self.objects("clusters.postgresql.cnpg.io")
        return str(cluster["status"]["currentPrimary"])

    def query(self, sql: str) -> str:
        """The answer of the database's primary to a query, without the API and its cache."""
        ran = self.run(self.primary(), "psql", "-qAt", "-d", DATABASE, "-c", sql, container="postgres")
        assert ran.code == 0, ran.output
        return ran.output.strip()

    def redis(self, pod: str, *command: str) -> str:
        """The answer of one Redis to a command."""
        script = 'REDISCLI_AUTH="$(cat /run/secrets/redis-password)" exec redis-cli "$@"'
        ran = self.run(pod, "sh", "-c", script, "redis-cli", *command)
        assert ran.code == 0, ran.output
        return ran.output.strip()

    def log(self, service: str) -> str:
        """The logs of a service's pods, one behind the other."""
        return "".join(self.kubectl("logs", name_of(one), "--all-containers") for one in self.pods(service))

    def await_ready(self, services: Iterable[str] | None = None, *, seconds: float = 180) -> None:
        """Return when every pod of the services (default: of the system) is ready."""
        wanted = list(services) if services is not None else [None]

        def unready() -> list[str]:
            return [name_of(one) for service in wanted for one in self.pods(service) if not is_ready(one)]

        eventually(lambda: not unready(), seconds=seconds, what="every pod is ready")

    def leftovers(self) -> dict[str, list[str]]:
        """What is there of the stack: its namespaces, its volumes, and custom resources in any namespace."""
        volumes = [
            name_of(one)
            for one in self.objects("persistentvolumes")
            if one["spec"]["claimRef"]["namespace"] in (self.namespace, self.ground)
        ]
        label = f"{LABEL}/stack={self.name}"
        made = self.objects(CUSTOM, "--all-namespaces", "--selector", label)
        return {
            "namespaces": [name_of(one) for one in self.objects("namespaces", "--selector", label)],
            "volumes": volumes,
            "custom resources": [f"{one['kind']} {name_of(one)}" for one in made],
        }

    def sweep(self) -> None:
        """Remove what a failed test may have left."""
        names = [name_of(one) for one in self.objects("namespaces", "--selector", f"{LABEL}/stack={self.name}")]
        if names:
            self.kubectl("delete", "namespaces", *names, "--timeout=200s")


def kubectl() -> list[str]:
    """The program: on PATH, else the one in the cluster's own binary."""
    found = shutil.which("kubectl")
    return [found] if found else [str(build.program("kubernetes")), "kubectl"]


def name_of(one: Object) -> str:
    """Name of an object."""
    return str(one["metadata"]["name"])


def is_ready(pod: Object) -> bool:
    """Whether a pod takes traffic."""
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
