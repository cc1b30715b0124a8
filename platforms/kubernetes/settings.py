"""A service's files and secrets as objects that never change.

ConfigMap and Secret are immutable and named by the engine: another content is another object, so the pods that use it
roll, and the pods of the release before still find theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import pulumi_kubernetes as kubernetes
from pulumi import Input, Output, Resource, ResourceOptions

from platforms.kubernetes.context import Context, KeptSecret, Manifest
from platforms.secrets import HeldSecret
from platforms.specs import JobSpec, SecretRef, ServiceSpec, UrlTemplate

READABLE = 0o444


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a pod template says of its files and variables."""

    env: list[Manifest]
    volumes: list[Manifest]
    mounts: list[Manifest]


def settings_of(context: Context, name: str, spec: ServiceSpec | JobSpec, role: str, *, parent: Resource) -> Settings:
    """Make the objects that hold the spec's files and secrets; none where it has none."""
    opts = ResourceOptions(parent=parent)
    secret = _held(spec)
    config_name: Input[str] = ""
    secret_name: Input[str] = ""
    if spec.files:
        data = {_key(path): text for path, text in sorted(spec.files.items())}
        metadata = context.metadata(f"{name}-config", spec.service, role)
        config = kubernetes.core.v1.ConfigMap(f"{name}-config", immutable=True, data=data, metadata=metadata, opts=opts)
        config_name = config.metadata["name"]
    if secret:
        metadata = context.metadata(f"{name}-secret", spec.service, role)
        kept = kubernetes.core.v1.Secret(
            f"{name}-secret", type="Opaque", immutable=True, string_data=secret, metadata=metadata, opts=opts
        )
        secret_name = kept.metadata["name"]
    volumes, mounts = _files(spec, config_name, secret_name)
    return Settings(env=_environment(spec, secret_name), volumes=volumes, mounts=mounts)


def _held(spec: ServiceSpec | JobSpec) -> dict[str, Output[str]]:
    """Key → secret that has to lie in the service's own Secret."""
    held: dict[str, Output[str]] = {}
    for key, secret in sorted(spec.secrets.items()):
        reference = secret.endpoint.password if isinstance(secret, UrlTemplate) else secret
        if isinstance(reference, HeldSecret):
            held[_password(key) if isinstance(secret, UrlTemplate) else key] = reference.value
    for path, content in sorted(spec.secret_files.items()):
        if isinstance(content, HeldSecret):
            held[_key(path)] = content.value
        elif isinstance(content, Output):
            held[_key(path)] = Output.secret(content)
    return held


def _environment(spec: ServiceSpec | JobSpec, own: Input[str]) -> list[Manifest]:
    variables: list[Manifest] = [{"name": key, "value": value} for key, value in sorted(spec.env.items())]
    for key, secret in sorted(spec.secrets.items()):
        if isinstance(secret, UrlTemplate):
            # The kubelet puts the password in: it stands in no manifest.
            if secret.endpoint.password is not None:
                variables.append(_from_secret(_password(key), secret.endpoint.password, own))
            variables.append({"name": key, "value": _url(secret, _password(key))})
        else:
            variables.append(_from_secret(key, secret, own))
    return variables


def _from_secret(key: str, secret: SecretRef, own: Input[str]) -> Manifest:
    source = {"name": secret.secret, "key": secret.key} if isinstance(secret, KeptSecret) else {"name": own, "key": key}
    return {"name": key, "valueFrom": {"secretKeyRef": source}}


def _password(key: str) -> str:
    return f"{key}_PASSWORD"


def _url(template: UrlTemplate, variable: str) -> str:
    endpoint = template.endpoint
    path = template.database if template.database is not None else endpoint.database
    login = f"{endpoint.user or ''}:$({variable})@" if endpoint.password is not None else ""
    return f"{template.scheme or endpoint.scheme}://{login}{endpoint.address}" + (
        f"/{path}" if path is not None else ""
    )


def _key(path: str) -> str:
    """A path as a key: letters, digits, `-`, `_` and `.` are allowed there."""
    return path.strip("/").replace("/", "_")


def _files(
    spec: ServiceSpec | JobSpec, config: Input[str], secret: Input[str]
) -> tuple[list[Manifest], list[Manifest]]:
    """One projected volume for each folder that files lie in."""
    volumes, mounts = [], []
    paths: Mapping[str, object] = dict(spec.files) | dict(spec.secret_files)
    for number, folder in enumerate(sorted({str(PurePosixPath(path).parent) for path in paths})):
        inside = sorted(path for path in paths if str(PurePosixPath(path).parent) == folder)
        sources: list[Manifest] = []
        if plain := [_item(path) for path in inside if path in spec.files]:
            sources.append({"configMap": {"name": config, "items": plain}})
        own = [path for path in inside if path in spec.secret_files]
        if held := [_item(path) for path in own if not isinstance(spec.secret_files[path], KeptSecret)]:
            sources.append({"secret": {"name": secret, "items": held}})
        for path in own:
            kept = spec.secret_files[path]
            if isinstance(kept, KeptSecret):
                items = [{"key": kept.key, "path": PurePosixPath(path).name}]
                sources.append({"secret": {"name": kept.secret, "items": items}})
        name = f"files-{number}"
        volumes.append({"name": name, "projected": {"defaultMode": READABLE, "sources": sources}})
        mounts.append({"name": name, "mountPath": folder, "readOnly": True})
    return volumes, mounts


def _item(path: str) -> Manifest:
    return {"key": _key(path), "path": PurePosixPath(path).name}
