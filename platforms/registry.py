"""Picks the platform: the one place that looks at `platform.kind`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import cast

import pulumi
from pulumi import Output

from config import (
    CertificateFiles,
    CertificateIssuer,
    ConfigError,
    DockerPlatform,
    EngineImages,
    KubernetesPlatform,
    LocalCa,
    Problem,
    StackConfig,
)
from platforms import kubeconfig
from platforms.docker.edge import EdgeSettings, GivenCertificate, LocalAuthority
from platforms.docker.platform import DockerPlatform as Docker
from platforms.docker.platform import DockerSettings, Registry
from platforms.kubernetes import certificates
from platforms.kubernetes import edge as kubernetes_edge
from platforms.kubernetes.context import ClusterSettings, LogImages, ObjectStore
from platforms.kubernetes.namespaces import Quota
from platforms.kubernetes.namespaces import Registry as PullLogin
from platforms.kubernetes.platform import KubernetesPlatform as Kubernetes
from platforms.kubernetes.platform import KubernetesSettings
from platforms.protocols import Platform
from platforms.reach import DEFAULT, silence


def make_platform(stack: StackConfig, name: str) -> Platform:
    """The platform that the configuration of the stack `name` asks for.

    Raises `config.ConfigError` for a kind that this version cannot deploy to, and for an engine that does not answer,
    before any resource is registered.
    """
    if stack.platform.kind not in MAKERS:
        raise _refusal(
            name,
            "platform.kind",
            f"{stack.platform.kind} stacks are described, but this version cannot deploy them",
            f"Choose one of: {', '.join(MAKERS)}.",
        )
    return MAKERS[stack.platform.kind](stack, name)


def _refusal(name: str, key: str, problem: str, fix: str) -> ConfigError:
    return ConfigError(f"Pulumi.{name}.yaml", [Problem(key=key, line=None, problem=problem, fix=fix)])


def _docker(stack: StackConfig, name: str) -> Platform:
    platform = cast(DockerPlatform, stack.platform)
    host = platform.host or os.environ.get("DOCKER_HOST") or DEFAULT
    if reason := silence(host):
        raise _refusal(
            name,
            "platform.host",
            f"no Docker Engine answers at {host} ({reason}); nothing was changed",
            "Start the engine, or set the address of another one.",
        )
    return Docker(
        DockerSettings(
            stack=name,
            host=host,
            network_pool=platform.network_pool,
            bind_address=platform.bind_address,
            edge=EdgeSettings(http_port=platform.http_port, https_port=platform.https_port, tls=_tls(stack)),
            engine_image=EngineImages(stack).resolve,
            registries=tuple(
                Registry(
                    address=registry.address,
                    username=registry.username,
                    password=Output.secret(stack.secrets.registries[registry.address].get_secret_value()),
                )
                for registry in stack.registries
            ),
            log_max_size=stack.observability.logs.max_size,
            log_max_files=stack.observability.logs.max_files,
        )
    )


def _tls(stack: StackConfig) -> LocalAuthority | GivenCertificate:
    if isinstance(stack.tls, CertificateFiles):
        certificate, key = _read(stack, stack.tls)
        return GivenCertificate(certificate=certificate, key=Output.secret(key))
    # The configuration allows no third mode on Docker.
    return LocalAuthority(rotation=cast(LocalCa, stack.tls).rotation)


def _kubernetes(stack: StackConfig, name: str) -> Platform:
    platform = cast(KubernetesPlatform, stack.platform)
    if not pulumi.runtime.is_dry_run():
        found = kubeconfig.files(os.environ.get("KUBECONFIG"))
        if reason := kubeconfig.silence(platform.context, found):
            raise _refusal(
                name,
                "platform.context",
                f"no cluster answers under {platform.context} ({reason}); nothing was changed",
                "Name a context of your kubeconfig, or start the local cluster with `make cluster`.",
            )
    images = EngineImages(stack)
    if stack.backups.volume and stack.backups.object_store is None:
        pulumi.log.info(
            "backups: archives lie on claims of the cluster only; with `backups.objectStore` base backups and "
            "the write-ahead log go outside it, too, for any point in time"
        )
    if stack.data.postgres.pooler:
        images.resolve("pgbouncer")
    return Kubernetes(
        KubernetesSettings(
            stack=name,
            context=platform.context,
            cluster=ClusterSettings(
                storage_class=platform.storage_class,
                overcommit=platform.cpu_overcommit,
                keda=platform.autoscaler == "keda",
                object_store=_object_store(stack),
                logs=_log_images(stack, images),
                engine_image=images.resolve,
                metrics_image=images.named("prometheus"),
            ),
            edge=kubernetes_edge.EdgeSettings(
                kind=platform.gateway.kind,
                gateway_class=platform.gateway.proxy[0],
                gateway_namespace=platform.gateway.proxy[1],
                http_port=platform.gateway.http_port,
                https_port=platform.gateway.https_port,
                http_listener=platform.gateway.http_listener,
                https_listener=platform.gateway.https_listener,
                tls=_gateway_tls(stack),
            ),
            install_addons=platform.addons == "install",
            quota=Quota(cpu=platform.quota.cpu, memory=platform.quota.memory, pods=platform.quota.pods),
            registries=tuple(
                PullLogin(
                    address=registry.address,
                    username=registry.username,
                    password=Output.secret(stack.secrets.registries[registry.address].get_secret_value()),
                )
                for registry in stack.registries
            ),
        )
    )


def _object_store(stack: StackConfig) -> ObjectStore | None:
    store, keys = stack.backups.object_store, stack.secrets.object_store
    # The configuration allows neither without the other.
    if not stack.backups.volume or store is None or keys is None:
        return None
    return ObjectStore(
        bucket=store.bucket,
        endpoint=store.endpoint,
        region=store.region,
        generation=store.generation,
        recovery=(store.recovery.generation, store.recovery.time) if store.recovery else None,
        access_key_id=Output.secret(keys.access_key_id.get_secret_value()),
        secret_access_key=Output.secret(keys.secret_access_key.get_secret_value()),
    )


def _log_images(stack: StackConfig, images: EngineImages) -> LogImages | None:
    if not stack.observability.enabled or stack.observability.logs.store == "none":
        return None
    return LogImages(
        elasticsearch=images.versioned("elasticsearch"),
        kibana=images.versioned("kibana"),
        shipper=images.resolve("fluent-bit"),
    )


def _gateway_tls(stack: StackConfig) -> certificates.Tls:
    if isinstance(stack.tls, CertificateFiles):
        certificate, key = _read(stack, stack.tls)
        return certificates.Given(certificate=certificate, key=Output.secret(key))
    if isinstance(stack.tls, CertificateIssuer):
        return certificates.Issued(cluster_issuer=stack.tls.cluster_issuer)
    # The configuration allows no fourth mode on Kubernetes.
    return certificates.StackAuthority(rotation=cast(LocalCa, stack.tls).rotation)


def _read(stack: StackConfig, tls: CertificateFiles) -> tuple[str, str]:
    """The texts of certificate and key."""
    files = (stack.root / tls.certificate, stack.root / tls.key)
    certificate, key = (file.read_text(encoding="utf-8") for file in files)
    return certificate, key


MAKERS: Mapping[str, Callable[[StackConfig, str], Platform]] = {"docker": _docker, "kubernetes": _kubernetes}
"""By `platform.kind`."""
