"""A container as the rules see it, whatever runs it: the adapters in `docker.py` and `kubernetes.py` make one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from policies.values import UNKNOWN

AS_SECRET: Final = "hand it over as a Pulumi secret (Output.secret, or a secret in config)"  # noqa: S105 - advice

User = Literal["root", "unset", "ordinary", "unknown"]
"""Who a container runs as: `unset` is whoever its image says."""


@dataclass(frozen=True, kw_only=True)
class Variable:
    """An environment variable with a value of its own, not one that is read from elsewhere."""

    name: str
    value: Any
    """A text, or `UNKNOWN`."""
    sensitive: bool
    """A Pulumi secret."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """What the platform calls things: the parts of advice that differ."""

    memory: str
    privileged: str
    drops: str
    adds: str
    escalation: str
    confinement: str
    user: str
    root: str
    read_only: str
    health: str
    restart: str
    """What makes a service come back."""
    end: str
    """What lets a job end."""
    inspect: str
    """What shows command lines and labels to everybody."""
    into_variable: str
    """How a credential gets into an environment variable."""
    elsewhere: str
    """Where a credential goes instead of a command line or a label."""


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A label or an annotation."""

    place: str
    """`labels` or `annotations`."""
    name: str | None
    """None where all of them together are a secret."""
    value: Any
    sensitive: bool


@dataclass(frozen=True, kw_only=True)
class Container:
    """One container. Values are plain, None when they are not set, `UNKNOWN` when they are not known yet.

    What is left out is not this resource's to say: it breaks no rule.
    """

    name: str | None = None
    """Its name in the pod; None where the resource is the container."""
    role: str | None = None
    words: Words = field(repr=False)
    lasting: bool = True
    """Runs for as long as its service does: neither a job's nor one that prepares others."""
    image: Any = None
    memory: Any = None
    """Limit in MiB (Docker: MB); None where none is set, or none that can be read."""
    privileged: Any = None
    drops: Any = UNKNOWN
    adds: Any = None
    escalates: Any = UNKNOWN
    """Can gain privileges by set-uid programs."""
    unconfined: tuple[str, ...] = ()
    """Settings that switch its confinement off."""
    user: User = "unknown"
    writable: Any = UNKNOWN
    """Can change its own program files."""
    restart: Any = UNKNOWN
    """Restart policy in Docker's words."""
    health: bool = True
    """Says when it is ready, or it is not known yet whether it does."""
    variables: tuple[Variable, ...] = field(default=(), repr=False)
    variables_hidden: bool = False
    """Pulumi secrets may stand in its variables: the platform shows them to nobody but its administrators."""
    commands: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Place → command line, with secret marks."""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The container as the platform describes it, for the rules of that platform alone."""
    pod: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What its pod shares; empty on Docker."""
