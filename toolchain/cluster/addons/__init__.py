"""What a Kubernetes stack needs beside Kubernetes: real operators, built from pinned Go modules, on the local cluster.

| add-on | version | on the local cluster |
|---|---|---|
| gateway-api | 1.4.0 | the types of the standard channel |
| traefik | 3.6.12 | runs (without its web pages, which are not in the module) |
| cert-manager | 1.19.0 | runs: controller, webhook and CA injector in one binary of ours around its packages |
| cloudnative-pg | 1.27.0 | runs |
| prometheus-operator | 0.85.0 | runs, with its config reloader and a Prometheus 3.5.0 that discovers services |
| keda | 2.18.0 | runs: operator and metrics server; its own admission webhook is left out |
| eck | 3.5.0 | types only |
| rabbitmq | 2.16.0 | types only |
| mongodb | 0.9.0 | types only |
| external-secrets | 0.20.4 | types only, without its generators |
| Barman Cloud plugin of CloudNativePG | | not to be had: no checksum of its module is published |

Each program's module lies in `toolchain/cluster/modules/`; types and roles are read from the module's own folder,
pinned by its `go.sum`. `install` builds, loads, applies and waits; where all is as it should be, it does nothing.
"""

from toolchain.cluster.addons.installer import install, install_types, prepare

__all__ = ["install", "install_types", "prepare"]
