"""etcd, the API server, the controller manager and the scheduler: their settings and how they are started."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import yaml

from toolchain.cluster import kubeconfigs, probes
from toolchain.cluster.pki import write_secret
from toolchain.cluster.processes import Component
from toolchain.cluster.settings import (
    API_PORT,
    DOMAIN,
    ETCD,
    ETCD_PEER_PORT,
    ETCD_PORT,
    MANAGER_PORT,
    NODE_ADDRESS,
    PKI,
    POD_CIDR,
    SCHEDULER_PORT,
    SERVICE_CIDR,
    SETTINGS,
)

ADMISSION = SETTINGS / "admission.yaml"
ENCRYPTION = SETTINGS / "encryption.yaml"
EXEMPT = ("kube-system",)
"""Namespaces that Pod Security does not judge; all others are "restricted" unless their labels say otherwise."""
LEVEL = "restricted"


def admission() -> dict[str, Any]:
    """The API server's admission configuration: Pod Security with a default for namespaces without labels."""
    modes = {f"{mode}{suffix}": value for mode in ("enforce", "audit", "warn") for suffix, value in _level()}
    security = {
        "apiVersion": "pod-security.admission.config.k8s.io/v1",
        "kind": "PodSecurityConfiguration",
        "defaults": modes,
        "exemptions": {"usernames": [], "runtimeClasses": [], "namespaces": list(EXEMPT)},
    }
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{"name": "PodSecurity", "configuration": security}],
    }


def _level() -> tuple[tuple[str, str], ...]:
    return (("", LEVEL), ("-version", "latest"))


def encryption(key: bytes) -> dict[str, Any]:
    """How Secrets are kept in etcd: encrypted with a key of 32 bytes."""
    keys = [{"name": "local", "secret": b64encode(key).decode()}]
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": [{"secretbox": {"keys": keys}}, {"identity": {}}]}],
    }


def write_settings() -> None:
    """Write the files that the API server reads."""
    write(ADMISSION, yaml.safe_dump(admission(), sort_keys=False))
    key = (PKI / "encryption.key").read_bytes()
    write(ENCRYPTION, json.dumps(encryption(key)))


def write(path: Path, text: str) -> None:
    """Write a file of settings unless it says so already."""
    if not path.is_file() or path.read_text() != text:
        write_secret(path, text.encode())


def etcd(program: str | Path) -> Component:
    """The store of all objects."""
    client, peer = f"https://127.0.0.1:{ETCD_PORT}", f"https://127.0.0.1:{ETCD_PEER_PORT}"
    pair = [PKI / "etcd-server.crt", PKI / "etcd-server.key", PKI / "etcd-ca.crt"]
    return Component(
        name="etcd",
        command=[
            program,
            "--name=local",
            f"--data-dir={ETCD}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=local={peer}",
            "--client-cert-auth",
            f"--cert-file={pair[0]}",
            f"--key-file={pair[1]}",
            f"--trusted-ca-file={pair[2]}",
            "--peer-client-cert-auth",
            f"--peer-cert-file={pair[0]}",
            f"--peer-key-file={pair[1]}",
            f"--peer-trusted-ca-file={pair[2]}",
            "--auto-compaction-retention=1h",
            "--snapshot-count=10000",
        ],
        files=pair,
        ready=_etcd_ready,
    )


def _etcd_ready() -> bool:
    status, body = probes.get("127.0.0.1", ETCD_PORT, "/health", tls=probes.trusting("etcd", "apiserver-etcd"))
    return status == 200 and json.loads(body).get("health") == "true"  # noqa: PLR2004


def apiserver(kubernetes: Path) -> Component:
    """The API server; it listens on the node's address only."""
    return Component(
        name="kube-apiserver",
        command=[
            kubernetes,
            "kube-apiserver",
            f"--bind-address={NODE_ADDRESS}",
            f"--advertise-address={NODE_ADDRESS}",
            f"--secure-port={API_PORT}",
            f"--tls-cert-file={PKI / 'apiserver.crt'}",
            f"--tls-private-key-file={PKI / 'apiserver.key'}",
            f"--client-ca-file={PKI / 'cluster-ca.crt'}",
            f"--etcd-servers=https://127.0.0.1:{ETCD_PORT}",
            f"--etcd-cafile={PKI / 'etcd-ca.crt'}",
            f"--etcd-certfile={PKI / 'apiserver-etcd.crt'}",
            f"--etcd-keyfile={PKI / 'apiserver-etcd.key'}",
            f"--encryption-provider-config={ENCRYPTION}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--admission-control-config-file={ADMISSION}",
            "--allow-privileged=true",
            "--profiling=false",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
            f"--service-account-key-file={PKI / 'service-account.pub'}",
            f"--service-account-signing-key-file={PKI / 'service-account.key'}",
            f"--kubelet-client-certificate={PKI / 'apiserver-kubelet.crt'}",
            f"--kubelet-client-key={PKI / 'apiserver-kubelet.key'}",
            f"--kubelet-certificate-authority={PKI / 'cluster-ca.crt'}",
            # The node's name is in no DNS: logs and exec go to its address.
            "--kubelet-preferred-address-types=InternalIP",
            # Aggregated APIs, metrics.k8s.io above all.
            f"--proxy-client-cert-file={PKI / 'front-proxy-client.crt'}",
            f"--proxy-client-key-file={PKI / 'front-proxy-client.key'}",
            f"--requestheader-client-ca-file={PKI / 'front-proxy-ca.crt'}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
        ],
        files=[ADMISSION, ENCRYPTION, PKI / "cluster-ca.crt", PKI / "apiserver.crt", PKI / "service-account.pub"],
        ready=_apiserver_ready,
    )


def _apiserver_ready() -> bool:
    tls = probes.trusting("cluster", "admin")
    return probes.get(str(NODE_ADDRESS), API_PORT, "/readyz", tls=tls)[0] == 200  # noqa: PLR2004


def controller_manager(kubernetes: Path) -> Component:
    """The controllers of the built-in kinds."""
    kubeconfig = kubeconfigs.path("controller-manager")
    return Component(
        name="kube-controller-manager",
        command=[
            kubernetes,
            "kube-controller-manager",
            "--bind-address=127.0.0.1",
            f"--secure-port={MANAGER_PORT}",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            # One of each runs here: nothing is gained by an election, and seconds are lost at each start.
            "--leader-elect=false",
            "--use-service-account-credentials",
            "--profiling=false",
            f"--cluster-cidr={POD_CIDR}",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            f"--root-ca-file={PKI / 'cluster-ca.crt'}",
            f"--service-account-private-key-file={PKI / 'service-account.key'}",
            f"--cluster-signing-cert-file={PKI / 'cluster-ca.crt'}",
            f"--cluster-signing-key-file={PKI / 'cluster-ca.key'}",
            f"--requestheader-client-ca-file={PKI / 'front-proxy-ca.crt'}",
        ],
        files=[kubeconfig, PKI / "service-account.key"],
        ready=lambda: _healthy(MANAGER_PORT, "/healthz"),
    )


def scheduler(kubernetes: Path) -> Component:
    """Finds a node for each pod."""
    kubeconfig = kubeconfigs.path("scheduler")
    return Component(
        name="kube-scheduler",
        command=[
            kubernetes,
            "kube-scheduler",
            "--bind-address=127.0.0.1",
            f"--secure-port={SCHEDULER_PORT}",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--leader-elect=false",
            "--profiling=false",
        ],
        files=[kubeconfig],
        ready=lambda: _healthy(SCHEDULER_PORT, "/readyz"),
    )


def _healthy(port: int, path: str) -> bool:
    return probes.get("127.0.0.1", port, path, tls=probes.own_certificate())[0] == 200  # noqa: PLR2004
