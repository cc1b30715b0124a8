"""What the caller knows about systems and hands to `config.load`: which exist, their services, their bounds.

The configuration is checked against these facts; it never imports a system.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ServiceFacts:
    """Bounds and defaults of one service."""

    min_replicas: int
    max_replicas: int
    """A request outside the bounds is refused (ARE-012, ARE-014, ARE-032, ARE-103)."""
    default_replicas: int
    cpu: float
    """Default upper bound of one replica, in cores."""
    memory: int
    """Default upper bound of one replica, in bytes."""

    @property
    def singleton(self) -> bool:
        """Must never run twice (ARE-034)."""
        return self.max_replicas == 1


@dataclass(frozen=True, kw_only=True)
class SystemFacts:
    """One system that a stack file may name."""

    services: Mapping[str, ServiceFacts]
    """By the short names that the stack file uses: `api`, `worker`, …"""
    reserved_env: frozenset[str] = frozenset()
    """Variables that the program sets itself; a stack file must not set them again."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a stack file is checked against."""

    stack: str
    """Name of the stack, for the commands that a refusal proposes."""
    root: Path
    """The project's folder: relative paths of the stack file start here."""
    catalogue: Mapping[str, SystemFacts]
    policy_names: Collection[str] | None = None
    """Names that levels and exemptions may use; None where they are not known."""
