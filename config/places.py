"""Where a stack runs: the kinds of platform, and what each of them needs to be told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.fields import Address, DockerHost, Memory, Network, Port, Text, matching, private_network
from config.strict import GIB, Model

LOCAL_CONTEXT = "ai-platform-local"
"""Context of the cluster that `make cluster` makes: it runs the images of this machine, others pull theirs."""

Region = Annotated[
    str, matching(r"[a-z]{2}(-[a-z]+)+-[0-9]", "is not an AWS region", "Write its code, for example `eu-central-1`.")
]
Zone = Annotated[
    str,
    matching(r"[a-z]{2}(-[a-z]+)+-[0-9][a-z]", "is not an availability zone", "Write it like `eu-central-1a`."),
]
AccountId = Annotated[
    str, matching(r"[0-9]{12}", "is not an AWS account number", 'Write its 12 digits in quotes, like "123456789012".')
]
KubernetesVersion = Annotated[
    str, matching(r"1\.[0-9]{2}", "is not a Kubernetes version", 'Write major and minor in quotes, like "1.34".')
]


class DockerPlatform(Model):
    """One host with a Docker Engine."""

    kind: Literal["docker"] = Field(examples=["docker"])
    """Where the stack runs."""
    host: DockerHost | None = Field(default=None, examples=["unix:///var/run/docker.sock"])
    """Address of the engine, `unix://`, `tcp://` or `ssh://`; left out, `DOCKER_HOST`, else /var/run/docker.sock."""
    network_pool: Annotated[Network, private_network(20, 8)] = Field(
        default="10.213.0.0/16", validate_default=True, examples=["10.213.0.0/16"]
    )
    """Private IPv4 network from /8 to /20 that the stack's own networks are cut from; choose one that is free."""
    bind_address: Address = Field(default="127.0.0.1", examples=["127.0.0.1"])
    """Address of the host on which the ports are opened; the default answers this host only."""
    http_port: Port = Field(default=80, examples=[80])
    """Port that redirects to TLS."""
    https_port: Port = Field(default=443, examples=[443])
    """Port that serves everything."""


class Gateway(Model):
    """The proxy that answers from outside."""

    kind: Literal["gateway", "ingress"] = Field(default="gateway", examples=["gateway"])
    """`gateway`: routes of the Gateway API, for Traefik; `ingress`: Ingresses with annotations, for ingress-nginx."""
    class_name: Text | None = Field(default=None, examples=["traefik"])
    """GatewayClass or IngressClass, whose controller must be that one; left out, `traefik` or `nginx`."""
    namespace: Text | None = Field(default=None, examples=["traefik"])
    """Where the proxy's pods are: network policies let them in; left out, `traefik` or `ingress-nginx`."""
    http_port: Port = Field(default=80, examples=[80])
    """Port that clients use without TLS; it redirects."""
    https_port: Port = Field(default=443, examples=[443])
    """Port that clients use."""
    http_listener: Port = Field(default=8000, examples=[8000])
    """Port of the proxy's entry point without TLS."""
    https_listener: Port = Field(default=8443, examples=[8443])
    """Port of the proxy's entry point with TLS."""

    @property
    def proxy(self) -> tuple[str, str]:
        """Class and namespace."""
        name, namespace = ("traefik", "traefik") if self.kind == "gateway" else ("nginx", "ingress-nginx")
        return self.class_name or name, self.namespace or namespace


class Quota(Model):
    """What one system may request of the cluster."""

    cpu: float = Field(default=16, ge=1, examples=[16])
    """Cores, by requests."""
    memory: Annotated[Memory, Field(ge=GIB)] = Field(default="64Gi", validate_default=True, examples=["64Gi"])
    """Memory, by requests and by limits, at least 1Gi."""
    pods: int = Field(default=100, ge=10, examples=[100])
    """Pods."""


class KubernetesPlatform(Model):
    """Any Kubernetes cluster."""

    kind: Literal["kubernetes"] = Field(examples=["kubernetes"])
    """Where the stack runs."""
    context: Text = Field(examples=["staging"])
    """Context of the kubeconfig (`KUBECONFIG`, else ~/.kube/config); `make cluster` makes `ai-platform-local`."""
    gateway: Gateway = Field(default=Gateway(), examples=[{"className": "traefik", "namespace": "traefik"}])
    """The proxy that answers from outside."""
    quota: Quota = Field(default=Quota(), examples=[{"cpu": 16, "memory": "64Gi", "pods": 100}])
    """What each system may request."""
    cpu_overcommit: float = Field(default=4, ge=1, le=20, examples=[4])
    """Cores of limits for each requested core: the upper bounds are shared, the requests are kept free."""
    storage_class: Text | None = Field(default=None, examples=["standard"])
    """StorageClass of volumes; left out, the cluster's default."""
    autoscaler: Literal["hpa", "keda"] = Field(default="hpa", examples=["keda"])
    """What scales workers: the cluster's own autoscaler by CPU, or KEDA by their queue, too (ARE-033)."""
    addons: Literal["install", "existing"] = Field(default="install", examples=["install"])
    """Whether operators are installed by pinned charts or expected on the cluster."""


class Cluster(Model):
    """The EKS cluster."""

    kubernetes_version: KubernetesVersion = Field(default="1.34", examples=["1.34"])
    """Version of the control plane."""


class AwsPlatform(Model):
    """One AWS account and region: managed data engines and an EKS cluster."""

    kind: Literal["aws"] = Field(examples=["aws"])
    """Where the stack runs."""
    region: Region = Field(examples=["eu-central-1"])
    """Region of every resource."""
    account_id: AccountId = Field(examples=["123456789012"])
    """The only account that may be changed, 12 digits, in quotes."""
    vpc_cidr: Annotated[Network, private_network(20, 16)] = Field(
        default="10.20.0.0/16", validate_default=True, examples=["10.20.0.0/16"]
    )
    """Private IPv4 network of the VPC, from /16 to /20."""
    availability_zones: tuple[Zone, ...] = Field(min_length=2, examples=[["eu-central-1a", "eu-central-1b"]])
    """Two or more zones of the region (ARE-026)."""
    cluster: Cluster = Field(default=Cluster(), examples=[{"kubernetesVersion": "1.34"}])
    """The EKS cluster."""


Platform = DockerPlatform | KubernetesPlatform | AwsPlatform
