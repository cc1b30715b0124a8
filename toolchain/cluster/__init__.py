"""The local cluster: a real Kubernetes on one bare machine, `python -m toolchain.cluster up|down|status`."""

from toolchain.cluster.kubectl import kubectl
from toolchain.cluster.settings import CONTEXT, KUBECONFIG

__all__ = ["CONTEXT", "KUBECONFIG", "kubectl"]
