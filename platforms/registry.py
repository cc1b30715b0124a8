"""Picks the platform: the one place that looks at `platform.kind`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import cast

from pulumi import Output

from config import CertificateFiles, ConfigError, DockerPlatform, EngineImages, LocalCa, Problem, StackConfig
from platforms.docker.edge import EdgeSettings, GivenCertificate, LocalAuthority
from platforms.docker.platform import DockerPlatform as Docker
from platforms.docker.platform import DockerSettings, Registry
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
        files = (stack.root / stack.tls.certificate, stack.root / stack.tls.key)
        certificate, key = (file.read_text(encoding="utf-8") for file in files)
        return GivenCertificate(certificate=certificate, key=Output.secret(key))
    # The configuration allows no third mode on Docker.
    return LocalAuthority(rotation=cast(LocalCa, stack.tls).rotation)


MAKERS: Mapping[str, Callable[[StackConfig, str], Platform]] = {"docker": _docker}
"""By `platform.kind`."""
