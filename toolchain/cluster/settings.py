"""Where the local cluster's files lie, and its names and addresses: each is said here and nowhere else."""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from toolchain import paths
from toolchain.paths import CLUSTER

CONTEXT = paths.LOCAL_CONTEXT
KUBECONFIG = paths.KUBECONFIG
VERSION = "1.34.3"

SIMULATED = os.geteuid() != 0 or os.environ.get("SIMULATED") == "1"
"""Whether there are simulated nodes only, on which nothing runs: real ones need root. Such a cluster's processes, ports
and addresses are an ordinary user's, and it may stand beside a real one of another clone."""
_RUNS = (Path("/run/ai-platform-cluster"), CLUSTER / "run")
RUN, OTHER_RUN = reversed(_RUNS) if SIMULATED else _RUNS
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
NODE_ADDRESS = IPv4Address("127.0.0.1" if SIMULATED else "10.245.0.1")
"""On the loopback interface: the same wherever the machine is plugged in, and out of reach for its neighbours."""
POD_CIDR = IPv4Network("10.244.0.0/16")
SERVICE_CIDR = IPv4Network("10.96.0.0/16")
API_ADDRESS = SERVICE_CIDR[1]
"""The address of the Service `kubernetes`: by definition the range's first."""
DNS_ADDRESS = SERVICE_CIDR[10]
DOMAIN = "cluster.local"
BRIDGE = "aip-pods"

_OFFSET = 10_000 if SIMULATED else 0
API_PORT = 6443 + _OFFSET
ETCD_PORT = 2379 + _OFFSET
ETCD_PEER_PORT = 2380 + _OFFSET
MANAGER_PORT = 10257 + _OFFSET
SCHEDULER_PORT = 10259 + _OFFSET
KWOK_PORT = 10247 + _OFFSET
KUBELET_PORT = 10250
SERVER = f"https://{NODE_ADDRESS}:{API_PORT}"
