"""What a stack file says about systems and their services, against the facts of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath

from config.catalogue import ServiceFacts, Surroundings, SystemFacts
from config.fields import HOST_LENGTH, is_pinned
from config.model import ServiceEntry, StackFile, SystemEntry
from config.places import DockerPlatform
from config.report import Finding, Path, set_secret, suggestion
from config.translate import Draft
from policies.credentials import named_value


def check_systems(draft: Draft, around: Surroundings) -> Iterator[Finding]:
    """Unknown and repeated names, bounds of replicas, profiles, environment variables, images."""
    if "systems" not in draft.known:
        return
    hosts: dict[str, int] = {}
    names: set[str] = set()
    for index, system in enumerate(draft.stack.systems):
        path = draft.place(("systems", index))
        if system.name in names:
            yield Finding((*path, "name"), "is in the list twice", "Describe each system once.")
        names.add(system.name)
        host = host_of(system, draft.stack)
        if host is not None and len(host) > HOST_LENGTH:
            problem = f"with the name of `systems[{path[1]}]` before it, it is too long for a host name"
            fix = f"Keep both to {HOST_LENGTH} characters, or give the system a `host` of its own."
            yield Finding(("domain",), problem, fix)
        if host in hosts:
            yield Finding(
                (*path, "host"),
                f"is the host name of `systems[{hosts[host]}]` too",
                "Give each system its own.",
            )
        elif host is not None:
            hosts[host] = int(path[1])
        yield from _profile(_Case(draft, path, system, around))
        if system.name in around.catalogue:
            yield from _services(_Case(draft, path, system, around), around.catalogue[system.name])
        else:
            yield Finding((*path, "name"), "is not a known system", suggestion(system.name, around.catalogue))


def host_of(system: SystemEntry, stack: StackFile) -> str | None:
    """Where a system is reached: its own host, else the domain for a single one, else a name below the domain."""
    domain = stack.domain or ("localhost" if stack.platform.kind == "docker" else None)
    if system.host is not None or domain is None:
        return system.host
    return domain if len(stack.systems) == 1 else f"{system.name}.{domain}"


def bounds(facts: ServiceFacts, profile: str) -> tuple[int, int]:
    """Fewest and most replicas; the inner development loop runs one of each (ARE-030)."""
    return (1, 1) if profile == "inner-loop" else (facts.min_replicas, facts.max_replicas)


@dataclass(frozen=True)
class _Case:
    """One system under examination."""

    draft: Draft
    path: Path
    system: SystemEntry
    around: Surroundings

    def on(self, **expected: str) -> bool:
        """The keys are known and have these values."""
        return all(key in self.draft.known for key in expected) and all(
            value == (self.draft.stack.platform.kind if key == "platform" else getattr(self.draft.stack, key))
            for key, value in expected.items()
        )


def _profile(case: _Case) -> Iterator[Finding]:
    system, stack, known = case.system, case.draft.stack, case.draft.known
    if system.profile == "standard":
        if system.source is not None:
            yield Finding((*case.path, "source"), "has no meaning here", "Remove it, or set `profile: inner-loop`.")
        return
    profile = (*case.path, "profile")
    if "platform" in known and stack.platform.kind != "docker":
        yield Finding(profile, "inner-loop works with `platform.kind: docker` only", "Use `profile: standard`.")
    elif "environment" in known and stack.environment != "development":
        yield Finding(profile, "inner-loop works with `environment: development` only", "Use `profile: standard`.")
    if system.source is None:
        yield Finding(
            (*case.path, "source"),
            "is missing: inner-loop mounts your code",
            "Add the path of the checkout.",
        )
    elif "platform" in known and _is_local(stack) and not _is_folder(case.around.root / system.source):
        yield Finding(
            (*case.path, "source"), "names a folder that is not there", "Give its path from the project's folder."
        )


def _is_local(stack: StackFile) -> bool:
    """Folders on the engine's host can be looked at from here."""
    return isinstance(stack.platform, DockerPlatform) and (stack.platform.host or "unix:").startswith("unix:")


def _is_folder(path: FilePath) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _services(case: _Case, facts: SystemFacts) -> Iterator[Finding]:
    path = (*case.path, "services")
    for name, service in case.system.services.items():
        if name not in facts.services:
            yield Finding((*path, name), "is not a service of this system", suggestion(name, facts.services))
            continue
        yield from _replicas(case, (*path, name), service, facts.services[name])
        yield from _scale(case, (*path, name), service, facts.services[name])
        yield from _environment(case, (*path, name), service, facts)
    if case.on(environment="production"):
        yield from _production(case, path, facts)


def _replicas(case: _Case, path: Path, service: ServiceEntry, facts: ServiceFacts) -> Iterator[Finding]:
    if service.replicas is not None:
        yield from _within((*path, "replicas"), service.replicas, bounds(facts, case.system.profile))


def _within(path: Path, value: int, limits: tuple[int, int]) -> Iterator[Finding]:
    low, high = limits
    if low <= value <= high:
        return
    side = f"below the minimum of {low}" if value < low else f"above the maximum of {high}"
    yield Finding(path, f"{value} is {side}", f"Set {low}." if low == high else f"Set a value from {low} to {high}.")


def _scale(case: _Case, path: Path, service: ServiceEntry, facts: ServiceFacts) -> Iterator[Finding]:
    scale = service.scale
    if scale is None:
        return
    if case.on(platform="docker"):
        yield Finding((*path, "scale"), "does not work on Docker, which has no autoscaler", "Use `replicas: <number>`.")
    elif service.replicas is not None:
        yield Finding((*path, "scale"), "contradicts `replicas` beside it", "Keep one of the two.")
    elif facts.singleton:
        yield Finding((*path, "scale"), "does not work: this service must never run twice", "Remove it.")
    elif scale.min > scale.max:
        yield Finding((*path, "scale", "min"), f"{scale.min} is above `max`, {scale.max}", "Swap the two.")
    else:
        limits = bounds(facts, case.system.profile)
        yield from _within((*path, "scale", "min"), scale.min, limits)
        yield from _within((*path, "scale", "max"), scale.max, limits)


def _environment(case: _Case, path: Path, service: ServiceEntry, facts: SystemFacts) -> Iterator[Finding]:
    secret = case.draft.stack.secrets.systems.get(case.system.name, {})
    for name, value in service.env.items():
        at = (*path, "env", name)
        what = named_value(name, value)
        if what is not None:
            move = set_secret(case.around.stack, ("secrets", "systems", case.system.name, name))
            yield Finding(at, f"holds {what}, in plain text", f"Remove it. {move}")
        elif name in facts.reserved_env:
            yield Finding(at, "is a variable that the program sets itself", "Remove it.")
        elif name in secret:
            yield Finding(at, "is set under `secrets` too", "Keep one of the two.")


def _production(case: _Case, path: Path, facts: SystemFacts) -> Iterator[Finding]:
    """In production every service has an image of its own, named by its digest: a tag can be moved."""
    for name in facts.services:
        service = case.system.services.get(name)
        at = (*path, name, "image")
        if service is None or service.image is None:
            problem = "is missing: the example application does not run in production"
            yield Finding(at, problem, "Name the service's image, with its digest.")
        elif not is_pinned(service.image):
            problem = "names an image by its tag, which is not enough in production"
            yield Finding(at, problem, "Add the digest: `name:1.4.2@sha256:…`.")
