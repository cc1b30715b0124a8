"""The Prometheus operator and the config reloader that it puts beside every Prometheus."""

from __future__ import annotations

from pathlib import Path

from toolchain.cluster.addons.addon import Addon, Images, Object, Program, rules
from toolchain.cluster.addons.objects import account, container, deployment, http_probe, namespace, service

NAME = "prometheus-operator"
RELOADER = "prometheus-config-reloader"
NAMESPACE = "monitoring"
MODULE = "github.com/prometheus-operator/prometheus-operator"
PORT = 8080


def _objects(folder: Path, images: Images) -> list[Object]:
    allowed = rules(folder / "example/rbac/prometheus-operator/prometheus-operator-cluster-role.yaml")
    arguments = [
        f"--prometheus-config-reloader={images[RELOADER]}",
        "--config-reloader-cpu-request=10m",
        "--config-reloader-cpu-limit=200m",
        "--config-reloader-memory-request=16Mi",
        "--config-reloader-memory-limit=64Mi",
    ]
    operator = container(
        NAME,
        images[NAME],
        ["/operator", *arguments],
        ports={"http": PORT},
        probe=http_probe(PORT, "/healthz"),
        memory=("64Mi", "256Mi"),
    )
    return [
        namespace(NAME, NAMESPACE),
        *account(NAME, NAME, NAMESPACE, allowed),
        service(NAME, NAME, NAMESPACE, {"http": (PORT, PORT)}),
        deployment(NAME, NAME, NAMESPACE, [operator]),
    ]


PROMETHEUS_OPERATOR = Addon(
    name=NAME,
    module=MODULE,
    namespace=NAMESPACE,
    programs=(
        Program(name=NAME, package=f"{MODULE}/cmd/operator", path="/operator"),
        Program(name=RELOADER, package=f"{MODULE}/cmd/{RELOADER}", path="/prometheus-config-reloader"),
    ),
    crds=("example/prometheus-operator-crd/*.yaml",),
    objects=_objects,
)
