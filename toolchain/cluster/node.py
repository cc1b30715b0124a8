"""The real node: containerd, the kubelet and kube-proxy, with settings that leave the rest of the machine alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from toolchain.cluster import kubeconfigs, probes
from toolchain.cluster.control_plane import write
from toolchain.cluster.processes import Component
from toolchain.cluster.settings import (
    BRIDGE,
    CONTAINERD,
    DNS_ADDRESS,
    DOMAIN,
    KUBELET,
    KUBELET_PORT,
    LOGS,
    NODE,
    NODE_ADDRESS,
    PKI,
    POD_CIDR,
    RUN,
    SETTINGS,
    SOCKET,
)

CONTAINERD_CONFIG = SETTINGS / "containerd.toml"
KUBELET_CONFIG = SETTINGS / "kubelet.yaml"
PROXY_CONFIG = SETTINGS / "kube-proxy.yaml"
CNI = SETTINGS / "cni"
CNI_PROGRAMS = Path("/usr/lib/cni")
RESOLVED = Path("/run/systemd/resolve/resolv.conf")
"""The real name servers of a machine on which /etc/resolv.conf names a stub on loopback, which no pod can reach."""
OFF = ("aufs", "btrfs", "devmapper", "zfs")


def containerd_config(pause: str) -> str:
    """The settings of containerd, in folders of its own; `pause` is the image that holds a pod's namespaces."""
    return f"""version = 2
root = "{CONTAINERD}"
state = "{RUN}/containerd"
disabled_plugins = [{", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in OFF)}]

[grpc]
  address = "{SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{CONTAINERD}/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  stream_server_address = "127.0.0.1"
  # A root that lacks CAP_SYS_RESOURCE may not lower this score, and each pod would fail at its start.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PROGRAMS}"
    conf_dir = "{CNI}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{RUN}/runc"
"""


def network() -> dict[str, Any]:
    """How a pod gets its network: a bridge, an address of the pods' range, and host ports."""
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {"type": "host-local", "dataDir": f"{RUN}/addresses", "ranges": [[{"subnet": str(POD_CIDR)}]]},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    return {"cniVersion": "0.4.0", "name": "ai-platform", "plugins": [bridge, ports]}


def kubelet_config() -> dict[str, Any]:
    """The kubelet's settings."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(NODE_ADDRESS),
        "port": KUBELET_PORT,
        "healthzBindAddress": "127.0.0.1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(PKI / "cluster-ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(PKI / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(PKI / "kubelet-server.key"),
        "rotateCertificates": False,
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "clusterDNS": [str(DNS_ADDRESS)],
        "clusterDomain": DOMAIN,
        "resolvConf": str(RESOLVED if RESOLVED.is_file() else Path("/etc/resolv.conf")),
        "podLogsDir": str(LOGS / "pods"),
        "volumePluginDir": str(KUBELET / "volume-plugins"),
        "serializeImagePulls": False,
        "maxPods": 250,
        # Images were made here and could not be pulled again: none is removed, on however full a disk.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
        "nodeStatusUpdateFrequency": "10s",
    }


def proxy_config() -> dict[str, Any]:
    """The settings of kube-proxy."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfigs.path("kube-proxy"))},
        "mode": "iptables",
        "clusterCIDR": str(POD_CIDR),
        "hostnameOverride": NODE,
        "bindAddress": str(NODE_ADDRESS),
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        # Ports of nodes are for this machine alone.
        "nodePortAddresses": [f"{NODE_ADDRESS}/32"],
        # The table of connections belongs to the whole machine.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def write_settings(pause: str) -> None:
    """Write the files that the node's programs read; `pause` is a reference in containerd."""
    write(CONTAINERD_CONFIG, containerd_config(pause))
    write(CNI / "10-ai-platform.conflist", json.dumps(network(), indent=1))
    write(KUBELET_CONFIG, yaml.safe_dump(kubelet_config(), sort_keys=False))
    write(PROXY_CONFIG, yaml.safe_dump(proxy_config(), sort_keys=False))


def containerd() -> Component:
    """Runs the containers."""
    return Component(
        name="containerd",
        command=["containerd", f"--config={CONTAINERD_CONFIG}"],
        files=[CONTAINERD_CONFIG],
        ready=lambda: (
            SOCKET.exists()
            and subprocess.run(ctr("version"), capture_output=True, check=False, timeout=10).returncode == 0
        ),
    )


def ctr(*args: str) -> list[str]:
    """A command line of containerd's client, in the namespace of the cluster's containers."""
    return ["ctr", f"--address={SOCKET}", "--namespace=k8s.io", *args]


def kubelet(kubernetes: Path) -> Component:
    """Runs the pods that the scheduler gives this node."""
    kubeconfig = kubeconfigs.path("kubelet")
    return Component(
        name="kubelet",
        command=[
            kubernetes,
            "kubelet",
            f"--config={KUBELET_CONFIG}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={KUBELET}",
            f"--cert-dir={KUBELET / 'pki'}",
            f"--hostname-override={NODE}",
            f"--node-ip={NODE_ADDRESS}",
        ],
        files=[KUBELET_CONFIG, kubeconfig, PKI / "kubelet-server.crt"],
        ready=lambda: probes.get("127.0.0.1", 10248, "/healthz")[0] == 200,  # noqa: PLR2004
    )


def kube_proxy(kubernetes: Path) -> Component:
    """Makes the addresses of Services lead to pods."""
    return Component(
        name="kube-proxy",
        command=[kubernetes, "kube-proxy", f"--config={PROXY_CONFIG}"],
        files=[PROXY_CONFIG, kubeconfigs.path("kube-proxy")],
        ready=lambda: probes.get("127.0.0.1", 10256, "/healthz")[0] == 200,  # noqa: PLR2004
    )


def kube_router(program: Path) -> Component:
    """Enforces NetworkPolicies; of its three trades only that one."""
    return Component(
        name="kube-router",
        command=[
            program,
            f"--kubeconfig={kubeconfigs.path('kube-router')}",
            f"--hostname-override={NODE}",
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
            "--run-loadbalancer=false",
            "--enable-cni=false",
            "--health-port=0",
        ],
        files=[kubeconfigs.path("kube-router")],
        ready=lambda: (
            subprocess.run(["iptables", "-n", "-L", "KUBE-ROUTER-FORWARD"], capture_output=True, check=False).returncode
            == 0
        ),
    )
