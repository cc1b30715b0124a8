"""CloudNativePG, the PostgreSQL operator. It makes its webhooks' certificates itself."""

from __future__ import annotations

import platform
from pathlib import Path

from toolchain.cluster.addons.addon import Addon, Images, Object, Program, others
from toolchain.cluster.addons.objects import meta, namespace

VERSION = "1.27.0"
NAMESPACE = "cnpg-system"
RELEASE = f"releases/cnpg-{VERSION}.yaml"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
MACHINE = MACHINES.get(platform.machine(), platform.machine())
# The operator offers itself to database pods by this name, and by the link as upstream's image does.
BINARY = f"/operator/manager_{MACHINE}"


def _objects(folder: Path, images: Images) -> list[Object]:
    found = [item for item in others(folder / RELEASE) if item["kind"] != "Namespace"]
    for item in found:
        item["metadata"].setdefault("labels", {}).update(meta("cloudnative-pg", "cloudnative-pg")["labels"])
        if item["kind"] == "Deployment":
            _local(item, images["cloudnative-pg"])
    return [namespace("cloudnative-pg", NAMESPACE), *found]


def _local(deployment: Object, image: str) -> None:
    """The image that was built here, and resources for a small node."""
    (operator,) = deployment["spec"]["template"]["spec"]["containers"]
    operator |= {"image": image, "imagePullPolicy": "IfNotPresent"}
    operator["resources"] = {
        "requests": {"cpu": "20m", "memory": "100Mi"},
        "limits": {"cpu": "1", "memory": "256Mi"},
    }
    for variable in operator["env"]:
        if variable["name"] == "OPERATOR_IMAGE_NAME":
            variable["value"] = image


CLOUDNATIVE_PG = Addon(
    name="cloudnative-pg",
    module="github.com/cloudnative-pg/cloudnative-pg",
    namespace=NAMESPACE,
    programs=(
        Program(
            name="cloudnative-pg",
            package="github.com/cloudnative-pg/cloudnative-pg/cmd/manager",
            path=BINARY,
            links={"/manager": BINARY.removeprefix("/")},
        ),
    ),
    crds=(RELEASE,),
    objects=_objects,
    trial={
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "trial", "namespace": NAMESPACE},
        "spec": {"instances": 1, "storage": {"size": "1Gi"}},
    },
)
