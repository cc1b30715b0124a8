"""Names of the policies, for the configuration that refers to them: importing this starts nothing and stays light."""

from __future__ import annotations

from typing import Final

from policies.rules import RULES

POLICY_NAMES: Final[tuple[str, ...]] = tuple(rule.name for rule in RULES)
"""Every policy that a level or an exemption of the stack file may name, or would name in vain if it is locked."""
LOCKED_POLICIES: Final[frozenset[str]] = frozenset(rule.name for rule in RULES if rule.locked)
"""Policies that no level and no exemption touches."""
