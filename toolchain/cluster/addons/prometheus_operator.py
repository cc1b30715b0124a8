"""The Prometheus operator, the config reloader that it puts beside every Prometheus, and Prometheus itself.

Debian's Prometheus cannot discover what runs on Kubernetes, so it is built from its module (without its web pages).
"""

from __future__ import annotations

from pathlib import Path

from toolchain.cluster.addons.addon import Addon, Images, Object, Program, rules
from toolchain.cluster.addons.objects import account, container, deployment, http_probe, namespace, service

NAME = "prometheus-operator"
RELOADER = "prometheus-config-reloader"
PROMETHEUS = "prometheus"
PROMETHEUS_VERSION = "3.5.0"
"""What the operator takes a Prometheus for that names no version."""
NAMESPACE = "monitoring"
MODULE = "github.com/prometheus-operator/prometheus-operator"
PORT = 8080


def _objects(folder: Path, images: Images) -> list[Object]:
    allowed = rules(folder / "example/rbac/prometheus-operator/prometheus-operator-cluster-role.yaml")
    arguments = [
        # For every Prometheus that names no image of its own.
        f"--prometheus-default-base-image={images[PROMETHEUS]}",
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
        # The operator starts it by this path.
        Program(name=RELOADER, package=f"{MODULE}/cmd/{RELOADER}", path=f"/bin/{RELOADER}"),
        Program(
            name=PROMETHEUS,
            module=PROMETHEUS,
            package="github.com/prometheus/prometheus/cmd/prometheus",
            path="/bin/prometheus",
            symbols=(f"github.com/prometheus/common/version.Version={PROMETHEUS_VERSION}",),
        ),
    ),
    crds=("example/prometheus-operator-crd/*.yaml",),
    objects=_objects,
)
