"""Pod templates: what Pod Security calls restricted, with every figure that a scheduler and an operator ask for."""

from __future__ import annotations

from pulumi import Input

from platforms.kubernetes.context import Context, Manifest
from platforms.kubernetes.settings import Settings
from platforms.specs import (
    BIND_ADDRESS,
    GIB,
    MIB,
    ExecProbe,
    Health,
    HttpProbe,
    JobSpec,
    Resources,
    ServiceSpec,
)

USER = 10001
"""User and group of pods whose image asks for none: above 10 000, so that it is nobody's on the node."""
EVERYWHERE = "0.0.0.0"  # noqa: S104 - network policies say who gets there
DRAIN = 5
"""Seconds between a pod's removal from its Service and its stop signal: proxies learn of it meanwhile."""
SCRATCH = 64 * MIB
WRITABLE = 512 * MIB
"""Bytes that a pod may write outside its volumes: scratch folders and its log."""


def template(context: Context, resource: str, spec: ServiceSpec | JobSpec, settings: Settings) -> Manifest:
    """The pod template of a service or a job.

    Raises ValueError for a service that mounts folders of the host or opens its ports: that is for one host only.
    """
    service = isinstance(spec, ServiceSpec)
    role = spec.role if isinstance(spec, ServiceSpec) else "job"
    if isinstance(spec, ServiceSpec) and (spec.sources or spec.publish):
        raise ValueError(f"{resource}: folders and ports of the host are for the inner development loop on Docker")
    volumes, mounts = _storage(context, spec)
    pod: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(spec.user),
        "terminationGracePeriodSeconds": _grace(spec),
        "containers": [
            _container(context, spec, settings.env, [*settings.mounts, *mounts]),
        ],
        "volumes": [*settings.volumes, *volumes],
    }
    if service:
        pod["topologySpreadConstraints"] = spread(context, spec.service)
    else:
        pod["restartPolicy"] = "Never"
    extra = dict(spec.labels) if isinstance(spec, ServiceSpec) else {}
    labels = context.labels(spec.service, role) | {
        key.replace("ai-platform.", "ai-platform/"): value for key, value in extra.items()
    }
    return {"metadata": {"labels": labels}, "spec": pod}


def pod_security(user: str | None) -> Manifest:
    """Security context of a pod, for a numeric `uid:gid`."""
    uid, gid = (int(part) for part in user.split(":")) if user else (USER, USER)
    return {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": gid,
        "fsGroup": gid,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """Security context of every container."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def compute(context: Context, resources: Resources) -> Manifest:
    """Requests and limits: memory is not shared, cores are, by the stack's factor."""
    memory, writable = f"{resources.memory // MIB}Mi", f"{WRITABLE // MIB}Mi"
    request = max(round(resources.cpu * 1000 / context.cluster.overcommit), 1)
    return {
        "requests": {"cpu": f"{request}m", "memory": memory, "ephemeral-storage": f"{SCRATCH // MIB}Mi"},
        "limits": {"cpu": f"{round(resources.cpu * 1000)}m", "memory": memory, "ephemeral-storage": writable},
    }


def spread(context: Context, service: str) -> list[Manifest]:
    """Replicas stand on different nodes and in different zones as far as there are any (ARE-026)."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": context.selector(service)},
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def _container(context: Context, spec: ServiceSpec | JobSpec, env: list[Manifest], mounts: list[Manifest]) -> Manifest:
    # A user that the image does not know has no home.
    home = [] if spec.user or "HOME" in spec.env else [{"name": "HOME", "value": "/tmp"}]  # noqa: S108
    container: Manifest = {
        "name": spec.service,
        "image": spec.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [*home, *(_filled(variable) for variable in env)],
        "resources": compute(context, spec.resources),
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
    if spec.entrypoint:
        container["command"] = list(spec.entrypoint)
    if spec.command:
        container["args"] = [part.replace(BIND_ADDRESS, EVERYWHERE) for part in spec.command]
    if spec.working_dir:
        container["workingDir"] = spec.working_dir
    if isinstance(spec, ServiceSpec):
        if spec.port is not None:
            container["ports"] = [{"name": "main", "containerPort": spec.port, "protocol": "TCP"}]
            container["lifecycle"] = {"preStop": {"sleep": {"seconds": DRAIN}}}
        if spec.health is not None:
            container |= probes(spec.health)
    return container


def _filled(variable: Manifest) -> Manifest:
    value: Input[str] | None = variable.get("value")
    return variable | {"value": value.replace(BIND_ADDRESS, EVERYWHERE)} if isinstance(value, str) else variable


def _grace(spec: ServiceSpec | JobSpec) -> int:
    if not isinstance(spec, ServiceSpec):
        return 30
    return spec.stop_grace + (DRAIN if spec.port is not None else 0)


def probes(health: Health) -> Manifest:
    """The three probes.

    Ready decides on traffic and roll-outs; alive on a restart, after a longer time and by less: a process that is too
    busy to answer gets no requests, and is not killed for it.
    """
    handler = _handler(health.probe)
    startup = max(health.start_period, health.interval * health.retries)
    return {
        "startupProbe": handler
        | {
            "periodSeconds": min(health.interval, 5),
            "timeoutSeconds": health.timeout,
            "failureThreshold": -(-startup // min(health.interval, 5)),
        },
        "readinessProbe": handler
        | {
            "periodSeconds": health.interval,
            "timeoutSeconds": health.timeout,
            "failureThreshold": health.retries,
        },
        "livenessProbe": _alive(health.probe)
        | {
            "periodSeconds": health.interval * 3,
            "timeoutSeconds": health.timeout,
            "failureThreshold": health.retries,
        },
    }


def _handler(probe: HttpProbe | ExecProbe) -> Manifest:
    if isinstance(probe, ExecProbe):
        return {"exec": {"command": list(probe.command)}}
    return {"httpGet": {"path": probe.path, "port": probe.port}}


def _alive(probe: HttpProbe | ExecProbe) -> Manifest:
    return _handler(probe) if isinstance(probe, ExecProbe) else {"tcpSocket": {"port": probe.port}}


def _storage(context: Context, spec: ServiceSpec | JobSpec) -> tuple[list[Manifest], list[Manifest]]:
    """Volumes and mounts: claims for data, empty folders for everything else that must be writable."""
    del context
    volumes, mounts = [], []
    for number, path in enumerate(spec.scratch):
        volumes.append({"name": f"scratch-{number}", "emptyDir": {"sizeLimit": f"{SCRATCH // MIB}Mi"}})
        mounts.append({"name": f"scratch-{number}", "mountPath": path})
    for path, volume in spec.volumes.items():
        if volume.keeps_data:
            claim = f"{spec.service}-{volume.name}"
            volumes.append({"name": volume.name, "persistentVolumeClaim": {"claimName": claim}})
        else:
            size = volume.size or GIB // 4
            volumes.append({"name": volume.name, "emptyDir": {"sizeLimit": f"{size // MIB}Mi"}})
        mounts.append({"name": volume.name, "mountPath": path})
    return volumes, mounts
