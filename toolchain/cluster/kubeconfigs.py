"""Kubeconfigs: the user's own of this cluster, and one for each program that speaks to the API server."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import yaml

from toolchain.cluster.pki import write_secret
from toolchain.cluster.settings import CONTEXT, KUBECONFIG, PKI, SERVER, SETTINGS

PROGRAMS = ("controller-manager", "scheduler", "kube-proxy", "kube-router", "kubelet", "kwok")


def kubeconfig(folder: Path, certificate: str) -> str:
    """A kubeconfig whose user is the holder of a certificate in `folder`; everything it needs is in it."""

    def data(name: str) -> str:
        return b64encode((folder / name).read_bytes()).decode()

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": CONTEXT, "cluster": {"server": SERVER, "certificate-authority-data": data("cluster-ca.crt")}}
        ],
        "users": [
            {
                "name": certificate,
                "user": {
                    "client-certificate-data": data(f"{certificate}.crt"),
                    "client-key-data": data(f"{certificate}.key"),
                },
            }
        ],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": certificate}}],
        "current-context": CONTEXT,
    }
    return yaml.safe_dump(document, sort_keys=False)


def path(program: str) -> Path:
    """Where the kubeconfig of one of the cluster's programs lies."""
    return SETTINGS / f"{program}.kubeconfig"


def ensure() -> None:
    """Write the user's kubeconfig and those of the programs, where they differ from what the keys say."""
    for target, certificate in [(KUBECONFIG, "admin"), *((path(name), name) for name in PROGRAMS)]:
        content = kubeconfig(PKI, certificate).encode()
        if not target.is_file() or target.read_bytes() != content:
            write_secret(target, content)
