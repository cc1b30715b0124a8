"""The ports of the host that a stack opens: another's are found before anything is changed."""

from __future__ import annotations

import errno
import json
import socket
from ipaddress import ip_address
from typing import Any

import yaml
from docker import DockerClient
from pydantic import ValidationError

from config.places import DockerPlatform
from toolchain import engine
from toolchain.console import ToolchainError
from toolchain.paths import ROOT

STACK_LABEL = "ai-platform.stack"


def check_ports(stack: str) -> None:
    """Raises ToolchainError for a port that another container, or another process of this host, has already.

    What the stack itself holds is free for it. An engine on another host can only be asked for its containers.
    """
    platform = _platform(stack)
    if platform is None:
        return
    local = engine.host().startswith("unix:")
    mine, others = _published(engine.client(), stack)
    for key, port in (("httpPort", platform.http_port), ("httpsPort", platform.https_port)):
        owner = others.get(port)
        if owner is None and local and port not in mine and _is_taken(platform.bind_address, port):
            owner = f"another process of this host (`ss -ltnp 'sport = :{port}'` shows which)"
        if owner is not None:
            raise ToolchainError(
                f"platform.{key}: port {port} of {platform.bind_address} is taken by {owner}; end it, or set another "
                f"port in Pulumi.{stack}.yaml; nothing was changed"
            )


def _platform(stack: str) -> DockerPlatform | None:
    """What the stack file says, where it opens ports by the edge; what is wrong with it is the program's to say."""
    try:
        text = (ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
        config: dict[str, Any] = yaml.safe_load(text)["config"]
        profiles = {system.get("profile", "standard") for system in config["ai-platform:systems"]}
        platform = DockerPlatform.model_validate_json(json.dumps(config["ai-platform:platform"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError, ValidationError):
        return None
    return platform if "standard" in profiles else None


def _published(client: DockerClient, stack: str) -> tuple[set[int], dict[int, str]]:
    """Ports that the stack's containers hold, and those of all others with the holder's name."""
    mine: set[int] = set()
    others: dict[int, str] = {}
    for container in client.api.containers():
        ports = {int(port["PublicPort"]) for port in container.get("Ports") or [] if port.get("PublicPort")}
        labels = container.get("Labels") or {}
        if labels.get(STACK_LABEL) == stack:
            mine |= ports
        else:
            others |= dict.fromkeys(ports, f"the container {container['Names'][0].lstrip('/')}")
    return mine, others


def _is_taken(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET  # noqa: PLR2004
    with socket.socket(family) as probe:
        # Connections that are ending do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
