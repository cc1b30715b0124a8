"""Add-ons of which a local cluster has the types alone, so that their objects are checked by the real schemas."""

from __future__ import annotations

from toolchain.cluster.addons.addon import Addon

TYPES_ONLY: tuple[Addon, ...] = (
    Addon(name="eck", module="github.com/elastic/cloud-on-k8s/v3", crds=("config/crds/v1/all-crds.yaml",)),
    Addon(name="rabbitmq", module="github.com/rabbitmq/cluster-operator/v2", crds=("config/crd/bases/*.yaml",)),
    Addon(name="mongodb", module="github.com/mongodb/mongodb-kubernetes-operator", crds=("config/crd/bases/*.yaml",)),
    Addon(
        name="external-secrets",
        module="github.com/external-secrets/external-secrets",
        # Not its generators: two stores and the secrets that are read from them or pushed to them.
        crds=("config/crds/bases/external-secrets.io_*.yaml",),
    ),
)
