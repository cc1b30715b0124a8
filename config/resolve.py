"""The configuration as the program uses it: everything that a stack file may leave out is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from config.catalogue import ServiceFacts, Surroundings
from config.model import LocalCa, ServiceEntry, StackFile, SystemEntry, Tls
from config.systems_checks import bounds, host_of


class ServiceConfig(ServiceEntry):
    """One service, with the system's defaults where the stack file is silent."""

    replicas: int
    """Number of replicas; with `scale`, the number to start with."""
    cpu: float
    """Upper bound of one replica, in cores."""
    memory: int
    """Upper bound of one replica, in bytes."""


class SystemConfig(SystemEntry):
    """One system, with all of its services."""

    host: str
    """Host name under which it is reached."""
    source: str | None
    """Absolute path of the checkout on the engine's host; only with `profile: inner-loop`."""
    services: Mapping[str, ServiceConfig]
    """Every service of the system, whether the stack file names it or not."""
    secrets: Mapping[str, SecretStr]
    """Secret environment variables of all services."""


class StackConfig(StackFile):
    """One stack's configuration, complete and checked."""

    domain: str
    """Host name under which the stack is reached."""
    tls: Tls
    """Where the certificate comes from."""
    systems: tuple[SystemConfig, ...]
    """What the stack runs."""
    root: Path
    """The project's folder: relative paths start here."""

    def secrets_of(self, system: str) -> Mapping[str, SecretStr]:
        """Secret environment variables of all services of a system."""
        return self.secrets.systems.get(system, {})


def resolve(stack: StackFile, around: Surroundings) -> StackConfig:
    """Fill in the defaults of a stack file in which nothing is wrong."""
    complete = _fields(stack) | {
        "domain": stack.domain or "localhost",
        "tls": stack.tls or LocalCa(mode="local-ca"),
        "systems": tuple(_system(system, stack, around) for system in stack.systems),
        "root": around.root,
    }
    return StackConfig.model_construct(**complete)


def _system(system: SystemEntry, stack: StackFile, around: Surroundings) -> SystemConfig:
    facts = around.catalogue[system.name].services
    complete = _fields(system) | {
        "host": host_of(system, stack),
        "source": str((around.root / system.source).resolve()) if system.source else None,
        "services": {
            name: _service(system.services.get(name, ServiceEntry()), system.profile, facts[name]) for name in facts
        },
        "secrets": stack.secrets.systems.get(system.name, {}),
    }
    return SystemConfig.model_construct(**complete)


def _service(service: ServiceEntry, profile: str, facts: ServiceFacts) -> ServiceConfig:
    low, high = bounds(facts, profile)
    default = service.scale.min if service.scale else min(max(facts.default_replicas, low), high)
    complete = _fields(service) | {
        "replicas": default if service.replicas is None else service.replicas,
        "cpu": facts.cpu if service.cpu is None else service.cpu,
        "memory": facts.memory if service.memory is None else service.memory,
    }
    return ServiceConfig.model_construct(**complete)


def _fields(model: StackFile | SystemEntry | ServiceEntry) -> dict[str, Any]:
    return {name: getattr(model, name) for name in type(model).model_fields}
