"""Picks the platform: the one place that looks at `platform.kind`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from pulumi import Output

from config import CertificateFiles, ConfigError, DockerPlatform, EngineImages, LocalCa, Problem, StackConfig
from platforms.docker.edge import EdgeSettings, GivenCertificate, LocalAuthority
from platforms.docker.platform import DockerPlatform as Docker
from platforms.docker.platform import DockerSettings, Registry
from platforms.protocols import Platform


def make_platform(stack: StackConfig, name: str) -> Platform:
    """The platform that the configuration of the stack `name` asks for.

    Raises `config.ConfigError` for a kind that this version cannot deploy to, before any resource is registered.
    """
    if stack.platform.kind not in MAKERS:
        problem = Problem(
            key="platform.kind",
            line=None,
            problem=f"{stack.platform.kind} stacks are described, but this version cannot deploy them",
            fix=f"Choose one of: {', '.join(MAKERS)}.",
        )
        raise ConfigError(f"Pulumi.{name}.yaml", [problem])
    return MAKERS[stack.platform.kind](stack, name)


def _docker(stack: StackConfig, name: str) -> Platform:
    platform = cast(DockerPlatform, stack.platform)
    return Docker(
        DockerSettings(
            stack=name,
            host=platform.host,
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
        files = (stack.root / stack.tls.certificate, stack.root / stack.tls.key)
        certificate, key = (file.read_text(encoding="utf-8") for file in files)
        return GivenCertificate(certificate=certificate, key=Output.secret(key))
    # The configuration allows no third mode on Docker.
    return LocalAuthority(rotation=cast(LocalCa, stack.tls).rotation)


MAKERS: Mapping[str, Callable[[StackConfig, str], Platform]] = {"docker": _docker}
"""By `platform.kind`."""
