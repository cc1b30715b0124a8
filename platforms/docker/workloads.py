"""Services and jobs as containers.

A service is as many containers as it has replicas, all answering to one alias on the network that the service owns.
A job is a container that runs to its end while Pulumi waits; its exit code decides whether dependents start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi_docker as docker
from pulumi import Input, Output, Resource, ResourceOptions

from platforms.docker.context import LABEL, Context, NetworkGrant, grant_of, open_network, secret_value
from platforms.docker.isolation import EVERYWHERE, bind_address, listening, own_user
from platforms.docker.trial import http_check, trial_of
from platforms.specs import (
    MIB,
    Completed,
    Endpoint,
    ExecProbe,
    Health,
    HttpProbe,
    JobSpec,
    SecretRef,
    Served,
    ServiceSpec,
    Started,
    UrlTemplate,
    Volume,
)

FIXED_AT_CREATION = ["healthcheck", "init", "tmpfs"]
"""Inputs that Docker takes at creation only, and whose change the provider would merely note."""
SCRATCH = "rw,nosuid,nodev,noexec,size=64m,mode=1777"
COMMON = ("/run/lock", "/var/tmp")  # noqa: S108 - inside the container
"""Folders of Debian's that everybody may write to, where the root file system cannot be read-only."""
LAST_LINES = 20
"""How much of a failed job's log is shown."""


@dataclass
class DockerWorkloads:
    """Implements `platforms.protocols.Workloads`."""

    context: Context
    edge_network: Output[str]
    """The one network with a way out; joined by what publishes ports or may reach the outside."""

    def __post_init__(self) -> None:
        self._volumes: dict[str, docker.Volume] = {}

    def serve(self, name: str, spec: ServiceSpec, *, parent: Resource, endpoint: Endpoint | None = None) -> Served:
        """Run `spec.replicas` containers, under an endpoint that was reserved before or one of their own."""
        if endpoint is None and spec.port is not None:
            endpoint = self.reserve(name, spec, parent=parent)
        trial = trial_of(spec)
        if trial is not None:
            spec = replace(spec, after=[*spec.after, self.run_once(f"{name}-trial", trial, parent=parent)])
        containers = [self._replica(name, spec, index, endpoint, parent) for index in range(spec.replicas)]
        return Served(endpoint=endpoint, ready=containers)

    def run_once(self, name: str, spec: JobSpec, *, parent: Resource) -> Completed:
        """Run the job's container to its end; an exit code other than 0 stops every dependent."""
        labels = self.context.labels(name, spec.service, "job")
        container = docker.Container(
            name,
            **self._common(name, spec, labels, self._networks([grant_of(used) for used in spec.uses]), parent),
            restart="no",
            must_run=False,
            attach=True,
            logs=True,
            opts=ResourceOptions(
                parent=parent,
                delete_before_replace=True,
                depends_on=_after(spec.after),
                replace_on_changes=FIXED_AT_CREATION,
            ),
        )
        done = Output.all(container.exit_code, container.container_logs).apply(
            lambda outcome: _succeeded(name, container, outcome[0], outcome[1])
        )
        return Completed(ready=[done])

    def reserve(self, name: str, spec: ServiceSpec, *, parent: Resource) -> Endpoint:
        """The endpoint of a service, with its network, before the service is there.

        Raises ValueError for a service without a port.
        """
        if spec.port is None:
            raise ValueError(f"{name} has no port to be reached at")
        network, subnet = open_network(self.context, f"{name}-net", spec.service, spec.role, parent=parent)
        grant = NetworkGrant(
            key=f"{name}-net",
            network=network.name,
            subnet=subnet,
            edge_host=f"{spec.service}.{self.context.system}",
            replicas=spec.replicas,
        )
        return Endpoint(scheme=spec.scheme, host=spec.service, port=spec.port, grant=grant)

    def _replica(
        self, name: str, spec: ServiceSpec, index: int, endpoint: Endpoint | None, parent: Resource
    ) -> docker.Container:
        resource = f"{name}-{index}"
        grants = [grant_of(used) for used in spec.uses]
        if endpoint is not None:
            grants.append(grant_of(endpoint))
        own = grant_of(endpoint).key if endpoint is not None else None
        system = self.context.system
        aliases = [alias for base in (spec.service, f"{spec.service}-{index}") for alias in (base, f"{base}.{system}")]
        networks = self._networks(grants, own=own, aliases=aliases)
        if spec.publish or spec.egress:
            networks.append(docker.ContainerNetworksAdvancedArgs(name=self.edge_network))
        labels = self.context.labels(resource, spec.service, spec.role) | dict(spec.labels)
        address = bind_address(spec, f"{spec.service}-{index}.{system}")
        spec = listening(spec, address)
        return docker.Container(
            resource,
            **self._common(resource, spec, labels, networks, parent),
            restart="unless-stopped",
            ports=[
                docker.ContainerPortArgs(internal=port.internal, external=port.external, ip=self.context.bind_address)
                for port in spec.publish
            ],
            healthcheck=_healthcheck(spec.health, address) if spec.health else None,
            wait=True if spec.health else None,
            wait_timeout=spec.health.deadline if spec.health else None,
            stop_timeout=spec.stop_grace,
            destroy_grace_seconds=spec.stop_grace,
            stop_signal=spec.stop_signal,
            opts=ResourceOptions(
                parent=parent,
                delete_before_replace=spec.rollout == "exclusive",
                depends_on=_after(spec.after),
                replace_on_changes=FIXED_AT_CREATION,
            ),
        )

    def _common(
        self,
        resource: str,
        spec: ServiceSpec | JobSpec,
        labels: Mapping[str, str],
        networks: Sequence[docker.ContainerNetworksAdvancedArgs],
        parent: Resource,
    ) -> dict[str, Any]:
        files = dict(spec.files) | {path: secret_value(secret) for path, secret in spec.secret_files.items()}
        mounts = [
            docker.ContainerMountArgs(type="volume", target=path, source=self._volume(volume, parent).name)
            for path, volume in spec.volumes.items()
        ]
        if isinstance(spec, ServiceSpec):
            mounts += [
                docker.ContainerMountArgs(type="bind", target=path, source=source, read_only=True)
                for path, source in spec.sources.items()
            ]
        return {
            "image": self.context.images.id_of(spec.image),
            "command": list(spec.command) or None,
            "entrypoints": list(spec.entrypoint) or None,
            "working_dir": spec.working_dir,
            "user": spec.user or own_user(self.context.stack, self.context.system, resource),
            # A user that the image does not know has no home.
            "envs": _environment(({} if spec.user else {"HOME": "/tmp"}) | dict(spec.env), spec.secrets),  # noqa: S108
            "labels": [docker.ContainerLabelArgs(label=key, value=value) for key, value in sorted(labels.items())],
            "uploads": [
                docker.ContainerUploadArgs(file=path, content=content, permissions="0444")
                for path, content in sorted(files.items())
            ],
            "mounts": mounts,
            "tmpfs": dict.fromkeys([*spec.scratch, *(COMMON if files else ())], SCRATCH),
            # Docker refuses uploads to a read-only root; the user is never root, so the root is out of reach anyway.
            "read_only": not files,
            "capabilities": docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            "security_opts": ["no-new-privileges:true"],
            "ulimits": [
                docker.ContainerUlimitArgs(name="nproc", soft=spec.resources.processes, hard=spec.resources.processes)
            ],
            "memory": spec.resources.memory // MIB,
            "memory_swap": spec.resources.memory // MIB,
            "cpus": f"{spec.resources.cpu:g}",
            # Passes signals on to processes that, as number 1, would ignore them, and reaps what they leave behind.
            "init": True,
            "log_driver": "json-file",
            "log_opts": self.context.log_opts,
            "networks_advanced": networks,
            "network_mode": "bridge" if networks else "none",
        }

    def _volume(self, volume: Volume, parent: Resource) -> docker.Volume:
        if volume.name not in self._volumes:
            resource = f"{self.context.system}-{volume.name}"
            # Only what never changes goes into a label: another label makes another, empty volume.
            labels = self.context.labels(resource, volume.name, "data") | {
                f"{LABEL}.retain": str(volume.keeps_data).lower()
            }
            self._volumes[volume.name] = docker.Volume(
                resource,
                labels=[docker.VolumeLabelArgs(label=key, value=value) for key, value in sorted(labels.items())],
                opts=ResourceOptions(parent=parent, retain_on_delete=volume.retain),
            )
        return self._volumes[volume.name]

    def _networks(
        self, grants: Sequence[NetworkGrant], own: str | None = None, aliases: Sequence[str] = ()
    ) -> list[docker.ContainerNetworksAdvancedArgs]:
        unique = {grant.key: grant for grant in grants}
        return [
            docker.ContainerNetworksAdvancedArgs(
                name=unique[key].network, aliases=list(aliases) if key == own else None
            )
            for key in sorted(unique)
        ]


def _after(started: Sequence[Started]) -> list[Input[Resource]]:
    return [resource for one in started for resource in one.ready]


def _succeeded(name: str, container: Resource, exit_code: int | None, logs: str | None) -> Resource:
    if exit_code:
        lines = "\n".join(f"    {line}" for line in (logs or "").splitlines()[-LAST_LINES:])
        raise RuntimeError(
            f"the job {name} ended with exit code {exit_code}; nothing after it was started. Its last lines:\n{lines}\n"
            f"Mend the cause, then run `make up` (by hand: `pulumi up --replace '**{name}'`)."
        )
    return container


def _environment(plain: Mapping[str, Input[str]], secrets: Mapping[str, SecretRef | UrlTemplate]) -> list[Input[str]]:
    values: list[tuple[str, Input[str]]] = [(key, value) for key, value in plain.items()]
    for key, secret in secrets.items():
        values.append((key, _url(secret) if isinstance(secret, UrlTemplate) else secret_value(secret)))
    return [
        f"{key}={value}" if isinstance(value, str) else Output.concat(key, "=", value)
        for key, value in sorted(values, key=lambda pair: pair[0])
    ]


def _url(template: UrlTemplate) -> Output[str]:
    endpoint = template.endpoint
    path = template.database if template.database is not None else endpoint.database
    password = secret_value(endpoint.password) if endpoint.password is not None else Output.from_input("")
    return Output.concat(
        template.scheme or endpoint.scheme,
        "://",
        endpoint.user or "",
        ":",
        password,
        "@",
        endpoint.address,
        f"/{path}" if path is not None else "",
    )


def _healthcheck(health: Health, address: str) -> docker.ContainerHealthcheckArgs:
    return docker.ContainerHealthcheckArgs(
        tests=_test(health.probe, "127.0.0.1" if address == EVERYWHERE else address),
        interval=_duration(health.interval),
        timeout=_duration(health.timeout),
        retries=health.retries,
        start_period=_duration(health.start_period),
    )


def _duration(seconds: int) -> str:
    """As the engine reports it back: `1m30s`, `30s`."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _test(probe: HttpProbe | ExecProbe, host: str) -> list[str]:
    if isinstance(probe, ExecProbe):
        return ["CMD", *probe.command]
    return ["CMD-SHELL", http_check(probe, host)]
