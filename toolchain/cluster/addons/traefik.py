"""Traefik, the controller of the GatewayClass `traefik`, and the Gateway API's types.

On the local node its entry points answer on 127.0.0.1:8080 (`web`) and :8443 (`websecure`).
"""

from __future__ import annotations

from pathlib import Path

from toolchain.cluster.addons.addon import Addon, Images, Object, Program, rules
from toolchain.cluster.addons.objects import account, container, deployment, http_probe, namespace, service

VERSION = "3.6.12"
NAMESPACE = "traefik"
WEB, WEBSECURE, METRICS, INTERNAL = 8000, 8443, 9100, 9000
HOST_PORTS = {"web": 8080, "websecure": 8443}
HOST_ADDRESS = "127.0.0.1"
VERSION_PACKAGE = "github.com/traefik/traefik/v3/pkg/version"
REFERENCE = "docs/content/reference/dynamic-configuration"

ARGUMENTS = (
    f"--entrypoints.web.address=:{WEB}",
    f"--entrypoints.websecure.address=:{WEBSECURE}",
    f"--entrypoints.metrics.address=:{METRICS}",
    f"--entrypoints.traefik.address=:{INTERNAL}",
    "--providers.kubernetesgateway=true",
    # What a Gateway says of itself: where the node's ports are bound.
    f"--providers.kubernetesgateway.statusaddress.ip={HOST_ADDRESS}",
    "--providers.kubernetescrd=true",
    "--metrics.prometheus=true",
    "--metrics.prometheus.entrypoint=metrics",
    "--metrics.prometheus.addrouterslabels=true",
    "--ping=true",
    "--ping.entrypoint=traefik",
    "--accesslog=false",
    "--log.format=json",
    "--global.checknewversion=false",
    "--global.sendanonymoususage=false",
)


def _objects(folder: Path, images: Images) -> list[Object]:
    allowed = rules(*(folder / REFERENCE / f"kubernetes-{kind}-rbac.yml" for kind in ("gateway", "crd")))
    proxy = container(
        "traefik",
        images["traefik"],
        ["/traefik", *ARGUMENTS],
        ports={"web": WEB, "websecure": WEBSECURE, "metrics": METRICS, "traefik": INTERNAL},
        probe=http_probe(INTERNAL, "/ping"),
        memory=("64Mi", "256Mi"),
    )
    for port in proxy["ports"]:
        if port["name"] in HOST_PORTS:
            port |= {"hostPort": HOST_PORTS[port["name"]], "hostIP": HOST_ADDRESS}
    ports = {"web": (WEB, WEB), "websecure": (WEBSECURE, WEBSECURE), "metrics": (METRICS, METRICS)}
    return [
        # Host ports: everything else about its pods is restricted.
        namespace("traefik", NAMESPACE, privileged=True),
        *account("traefik", "traefik", NAMESPACE, allowed),
        service("traefik", "traefik", NAMESPACE, ports),
        deployment("traefik", "traefik", NAMESPACE, [proxy]),
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "traefik"},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        },
    ]


GATEWAY_API = Addon(
    name="gateway-api",
    module="sigs.k8s.io/gateway-api",
    crds=("config/crd/standard/gateway.networking.k8s.io_*.yaml",),
)
TRAEFIK = Addon(
    name="traefik",
    module="github.com/traefik/traefik/v3",
    needs="gateway-api",
    namespace=NAMESPACE,
    programs=(
        Program(
            name="traefik",
            package="github.com/traefik/traefik/v3/cmd/traefik",
            path="/traefik",
            symbols=(f"{VERSION_PACKAGE}.Version={VERSION}",),
        ),
    ),
    crds=(f"{REFERENCE}/traefik.io_*.yaml",),
    objects=_objects,
)
