"""What a rule is, and what comes of its findings once exemptions are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from policies.container import Container
from policies.settings import Exemption, Settings
from policies.subject import Resource

Level = Literal["mandatory", "advisory", "disabled"]
ResourceCheck = Callable[[Resource, Settings], Iterable[str]]
"""Looks at one resource; each text says what is wrong and what to change, without the resource's name."""
ContainerCheck = Callable[[Container], Iterable[str]]
"""Looks at one container, whatever runs it; each text as those of a `ResourceCheck`."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Replicas of one service, or one resource: what a finding of a stack rule is about."""

    label: str
    """How messages call it: `service shop/api`."""
    service: str | None
    resources: tuple[Resource, ...]

    @classmethod
    def of(cls, resource: Resource) -> Group:
        """One resource, which the others make right or wrong."""
        return cls(label=f"{resource.kind} {resource.name}", service=resource.service, resources=(resource,))


StackCheck = Callable[[Sequence[Resource], Settings], Iterable[tuple[Group, str]]]
"""Looks at all resources of a stack together."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that breaks a rule."""

    subject: str
    """The resource's kind and logical name, or the service."""
    names: tuple[str, ...]
    """Logical names that exemptions are compared with."""
    container: str | None
    """What an exemption's `container` is compared with: the container's name in its pod, else the service."""
    urn: str
    text: str

    @property
    def message(self) -> str:
        """The line that the user reads."""
        return f"{self.subject}: {self.text}"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule with its metadata. Exactly one of `check`, `check_container` and `check_stack` is given."""

    name: str
    """`<family>-<resource>-<verb>`."""
    description: str
    types: tuple[str, ...] = ()
    """Type tokens that `check` and `check_container` look at; empty for every type."""
    check: ResourceCheck | None = None
    check_container: ContainerCheck | None = None
    check_stack: StackCheck | None = None
    level: Level = "mandatory"
    """Level where the stack file sets none."""
    locked: bool = False
    """Neither a level nor an exemption of the stack file is listened to."""
    scanners: str = ""
    """Field scanners that check the same, by the letters of `policies.document.SCANNERS`."""

    @property
    def family(self) -> str:
        """First part of the name."""
        return self.name.partition("-")[0]

    def effective_level(self, settings: Settings) -> Level:
        """The level in this stack."""
        wanted = self.level if self.locked else settings.levels.get(self.name, self.level)
        return "mandatory" if wanted == "mandatory" else "advisory" if wanted == "advisory" else "disabled"

    def findings(self, resource: Resource, settings: Settings) -> list[Finding]:
        """What breaks the rule in one resource, exemptions not counted; sorted by text."""
        found = {
            (_subject(resource, container), container, text) for container, text in self._texts(resource, settings)
        }
        return [
            Finding(
                subject=subject,
                names=(resource.name,),
                container=container or resource.service,
                urn=resource.urn,
                text=text,
            )
            for subject, container, text in sorted(found, key=lambda one: (one[0], one[2]))
        ]

    def _texts(self, resource: Resource, settings: Settings) -> Iterator[tuple[str | None, str]]:
        """What is wrong, each with the name of the container in its pod that it is about."""
        if self.types and resource.type not in self.types:
            return
        for text in self.check(resource, settings) if self.check else ():
            yield None, text
        for container in resource.containers if self.check_container else ():
            for text in self.check_container(container) if self.check_container else ():
                yield container.name, text

    def stack_findings(self, resources: Sequence[Resource], settings: Settings) -> list[Finding]:
        """What breaks the rule in the stack, exemptions not counted; sorted by subject."""
        if self.check_stack is None:
            return []
        found = [
            Finding(
                subject=group.label,
                names=tuple(sorted(resource.name for resource in group.resources)),
                container=group.service,
                urn=min((resource.urn for resource in group.resources), default=""),
                text=text,
            )
            for group, text in self.check_stack(resources, settings)
        ]
        return sorted(found, key=lambda finding: finding.message)

    def exemption(self, finding: Finding, settings: Settings) -> Exemption | None:
        """The exemption that counts for a finding: the one that lasts longest."""
        if self.locked:
            return None
        live = [
            exemption
            for exemption in settings.exemptions
            if exemption.covers(self.name, finding.names, finding.container) and not settings.expired(exemption)
        ]
        return max(live, key=lambda exemption: exemption.expires, default=None)

    def verdict(self, finding: Finding, settings: Settings) -> str | None:
        """The message of a finding that counts; None when an exemption covers it."""
        if self.exemption(finding, settings) is not None:
            return None
        return finding.message + self._why_not_exempted(finding, settings)

    def report(self, finding: Finding, settings: Settings) -> str | None:
        """The line for a finding that an exemption covers; None when none does."""
        exemption = self.exemption(finding, settings)
        if exemption is None:
            return None
        return (
            f"{self.name} is exempted until {exemption.expires.isoformat()} because {exemption.reason} "
            f"({exemption.owner}): {finding.message}"
        )

    def _why_not_exempted(self, finding: Finding, settings: Settings) -> str:
        covering = [one for one in settings.exemptions if one.covers(self.name, finding.names, finding.container)]
        if not covering:
            return ""
        if self.locked:
            return " (the exemption in the stack file does not count: this rule cannot be bypassed)"
        last = max(covering, key=lambda exemption: exemption.expires)
        return f" (the exemption of {last.owner} expired on {last.expires.isoformat()})"


def _subject(resource: Resource, container: str | None) -> str:
    return f"{resource.kind} {resource.name}" + (f", container {container}" if container else "")
