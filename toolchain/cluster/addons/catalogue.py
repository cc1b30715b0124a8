"""The add-ons, in the order in which they are installed."""

from __future__ import annotations

from toolchain.cluster.addons.addon import Addon
from toolchain.cluster.addons.cert_manager import CERT_MANAGER
from toolchain.cluster.addons.cloudnative_pg import CLOUDNATIVE_PG
from toolchain.cluster.addons.keda import KEDA
from toolchain.cluster.addons.prometheus_operator import PROMETHEUS_OPERATOR
from toolchain.cluster.addons.traefik import GATEWAY_API, TRAEFIK
from toolchain.cluster.addons.types_only import TYPES_ONLY

ADDONS: tuple[Addon, ...] = (
    GATEWAY_API,
    TRAEFIK,
    CLOUDNATIVE_PG,
    CERT_MANAGER,
    PROMETHEUS_OPERATOR,
    KEDA,
    *TYPES_ONLY,
)
