"""Where the local cluster's files lie, and its names and addresses: each is said here and nowhere else."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from toolchain import paths
from toolchain.paths import CLUSTER

CONTEXT = paths.LOCAL_CONTEXT
KUBECONFIG = paths.KUBECONFIG
VERSION = "1.34.3"

RUN = Path("/run/ai-platform-cluster")
"""What must not outlive a reboot: process records, sockets, addresses given to pods, and whose cluster this is."""
BIN = CLUSTER / "bin"
PKI = CLUSTER / "pki"
SETTINGS = CLUSTER / "settings"
LOGS = CLUSTER / "logs"
IMAGES = CLUSTER / "images"
ETCD = CLUSTER / "etcd"
CONTAINERD = CLUSTER / "containerd"
KUBELET = CLUSTER / "kubelet"
VOLUMES = CLUSTER / "volumes"
SOCKET = RUN / "containerd.sock"

NODE = "ai-platform-local"
NODE_ADDRESS = IPv4Address("10.245.0.1")
"""On the loopback interface: the same wherever the machine is plugged in, and out of reach for its neighbours."""
POD_CIDR = IPv4Network("10.244.0.0/16")
SERVICE_CIDR = IPv4Network("10.96.0.0/16")
API_ADDRESS = SERVICE_CIDR[1]
"""The address of the Service `kubernetes`: by definition the range's first."""
DNS_ADDRESS = SERVICE_CIDR[10]
DOMAIN = "cluster.local"
BRIDGE = "aip-pods"

API_PORT = 6443
ETCD_PORT = 2379
ETCD_PEER_PORT = 2380
KUBELET_PORT = 10250
SERVER = f"https://{NODE_ADDRESS}:{API_PORT}"
