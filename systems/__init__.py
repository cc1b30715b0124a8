"""What is deployed: one short module per system, each composing the same components.

`CATALOGUE` is what the configuration is checked against; `deploy` finds a system's module by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from components.foundation import Foundation
from config import StackConfig, SystemConfig, SystemFacts
from systems import ai_review_engine, ai_review_engine_facts


@dataclass(frozen=True, kw_only=True)
class SystemDefinition:
    """A system that can be named in a stack file."""

    facts: SystemFacts
    """Its services and their bounds."""
    deploy: Callable[[SystemConfig, StackConfig, Foundation], str]
    """Composes the components; returns the system's URL."""


SYSTEMS: Mapping[str, SystemDefinition] = {
    "ai-review-engine": SystemDefinition(facts=ai_review_engine_facts.FACTS, deploy=ai_review_engine.deploy),
}
CATALOGUE: Mapping[str, SystemFacts] = {name: definition.facts for name, definition in SYSTEMS.items()}


def deploy(system: SystemConfig, stack: StackConfig, foundation: Foundation) -> str:
    """Deploy one system of the stack; returns its URL."""
    return SYSTEMS[system.name].deploy(system, stack, foundation)
