"""The rules, one family per module."""

from __future__ import annotations

from policies.rule import Rule
from policies.rules import (
    availability,
    cluster,
    images,
    labels,
    lifecycle,
    network,
    replicas,
    resources,
    secrets,
    security,
)

RULES: tuple[Rule, ...] = (
    *resources.RULES,
    *replicas.RULES,
    *availability.RULES,
    *secrets.RULES,
    *lifecycle.RULES,
    *images.RULES,
    *network.RULES,
    *cluster.RULES,
    *security.RULES,
    *labels.RULES,
)
"""Every rule, in the order in which they are reported."""
