"""The containers of a deployed stack as a file for Docker Compose, read off the engine and the stack's state."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import DockerClient

CONTAINER = "docker:index/container:Container"
RESOURCE = "ai-platform.resource"
"""Label with a resource's logical name: what compose calls it, too."""
MARK = {"ai-platform.benchmark": "compose"}
NANO = 1_000_000_000
Inspection = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What the engine and the state tell about a stack."""

    containers: Sequence[Inspection]
    images: Mapping[str, Inspection]
    """By image id."""
    networks: Sequence[Inspection]
    volumes: Sequence[Inspection]
    before: Mapping[str, Sequence[str]]
    """Container → the containers that must be healthy, or done, first; by logical name."""
    files: Mapping[str, Mapping[str, str]]
    """Container → path → text of its uploaded files, secrets among them."""


def inspect(client: DockerClient, stack: str, resources: Sequence[Mapping[str, Any]]) -> Deployed:
    """Look at a deployed stack; `resources` are those of its exported state, secrets shown."""
    query: dict[str, Any] = {"filters": {"label": f"ai-platform.stack={stack}"}}
    containers = [client.api.inspect_container(str(one.id)) for one in client.containers.list(all=True, **query)]
    deployed = [one for one in resources if one["type"] == CONTAINER]
    names = {one["urn"]: one["urn"].rpartition("::")[2] for one in deployed}
    return Deployed(
        containers=containers,
        images={one["Image"]: client.api.inspect_image(one["Image"]) for one in containers},
        networks=[client.api.inspect_network(str(one.id)) for one in client.networks.list(**query)],
        volumes=[client.api.inspect_volume(str(one.id)) for one in client.volumes.list(**query)],
        before={
            names[one["urn"]]: sorted(names[urn] for urn in one.get("dependencies") or [] if urn in names)
            for one in deployed
        },
        files={
            names[one["urn"]]: {
                upload["file"]: plain(upload["content"]) for upload in plain(one["inputs"].get("uploads")) or []
            }
            for one in deployed
        },
    )


def plain(value: Any) -> Any:
    """A value of an exported state without the wrapping of secrets."""
    if isinstance(value, Mapping) and "plaintext" in value:
        return json.loads(value["plaintext"])
    return value


def document(deployed: Deployed, folder: str) -> dict[str, Any]:
    """The compose file; uploaded files are mounted from `folder`, by `file_name`."""
    networks = {one["Name"]: one["Labels"][RESOURCE] for one in deployed.networks}
    volumes = {one["Name"]: one["Labels"][RESOURCE] for one in deployed.volumes}
    kinds = {label(one): condition(one) for one in deployed.containers}
    services = {}
    for one in deployed.containers:
        name = label(one)
        services[name] = service(one, deployed.images[one["Image"]], networks, volumes) | {
            "depends_on": {other: {"condition": kinds[other]} for other in deployed.before[name]},
        }
        for index, path in enumerate(sorted(deployed.files[name])):
            services[name]["volumes"].append(f"{folder}/{file_name(name, index)}:{path}:ro")
    made = {
        "services": services,
        "networks": {networks[one["Name"]]: network(one) for one in deployed.networks},
        "volumes": {name: {"labels": MARK} for name in volumes.values()},
    }
    return {key: escaped(value) for key, value in made.items()}


def label(container: Inspection) -> str:
    """The logical name of a container."""
    return str(container["Config"]["Labels"][RESOURCE])


def file_name(service: str, index: int) -> str:
    """Where an uploaded file lies."""
    return f"{service}-{index}"


def condition(container: Inspection) -> str:
    """When those that start after a container may start."""
    if container["HostConfig"]["RestartPolicy"]["Name"] == "no":
        return "service_completed_successfully"
    return "service_healthy" if container["Config"].get("Healthcheck") else "service_started"


def service(
    one: Inspection, image: Inspection, networks: Mapping[str, str], volumes: Mapping[str, str]
) -> dict[str, Any]:
    """One container as a service; what the image says by itself is left out."""
    config, host, own = one["Config"], one["HostConfig"], image["Config"]
    # Another entry point than the image's own takes the image's command away.
    other = {key for key in ("Cmd", "Entrypoint") if config[key] != own[key]}
    made: dict[str, Any] = {
        "image": one["Image"],
        "user": config["User"],
        "working_dir": config["WorkingDir"] or None,
        "command": config["Cmd"] if other else None,
        "entrypoint": config["Entrypoint"] if "Entrypoint" in other else None,
        "environment": sorted(set(config["Env"] or []) - set(own["Env"] or [])),
        "labels": MARK,
        "restart": host["RestartPolicy"]["Name"],
        "init": host["Init"],
        "read_only": host["ReadonlyRootfs"],
        "cap_drop": host["CapDrop"],
        "security_opt": host["SecurityOpt"],
        "ulimits": {limit["Name"]: {"soft": limit["Soft"], "hard": limit["Hard"]} for limit in host["Ulimits"] or []},
        "mem_limit": host["Memory"],
        "memswap_limit": host["MemorySwap"],
        "cpus": host["NanoCpus"] / NANO,
        "tmpfs": [f"{path}:{options}" for path, options in (host["Tmpfs"] or {}).items()],
        "logging": {"driver": host["LogConfig"]["Type"], "options": host["LogConfig"]["Config"]},
        "stop_signal": config.get("StopSignal"),
        "stop_grace_period": f"{config['StopTimeout']}s" if config.get("StopTimeout") else None,
        "healthcheck": healthcheck(config.get("Healthcheck")),
        "ports": [
            f"{binding['HostIp']}:{binding['HostPort']}:{port}"
            for port, bindings in (host["PortBindings"] or {}).items()
            for binding in bindings
        ],
        "networks": {
            networks[name]: {"aliases": [alias for alias in data["Aliases"] or [] if not one["Id"].startswith(alias)]}
            for name, data in one["NetworkSettings"]["Networks"].items()
            if name in networks
        }
        or None,
        "network_mode": "none" if host["NetworkMode"] == "none" else None,
        "volumes": [
            f"{volumes[mount['Name']]}:{mount['Destination']}" for mount in one["Mounts"] if mount["Type"] == "volume"
        ],
    }
    return {key: value for key, value in made.items() if value is not None}


def healthcheck(check: Inspection | None) -> dict[str, Any] | None:
    """A health check with its times."""
    if not check:
        return None
    times = {"interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod"}
    return {
        "test": check["Test"],
        "retries": check["Retries"],
        **{key: f"{check[name] // NANO}s" for key, name in times.items() if check.get(name)},
    }


def network(one: Inspection) -> dict[str, Any]:
    """A network with its subnet."""
    pools = [{"subnet": pool["Subnet"], "gateway": pool["Gateway"]} for pool in one["IPAM"]["Config"]]
    return {"driver": one["Driver"], "internal": one["Internal"], "ipam": {"config": pools}, "labels": MARK}


def escaped(value: Any) -> Any:
    """Compose replaces `$NAME` everywhere; `$$` is a dollar."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: escaped(item) for key, item in value.items()}
    return [escaped(item) for item in value] if isinstance(value, list) else value


def write_files(deployed: Deployed, folder: Path) -> None:
    """The uploaded files, for the containers' own users to read, in a folder that nobody else may enter."""
    folder.mkdir(mode=0o700)
    for name, files in deployed.files.items():
        for index, path in enumerate(sorted(files)):
            file = folder / file_name(name, index)
            file.write_text(files[path], encoding="utf-8")
            file.chmod(0o444)
