"""The acceptance table of the AI Review Engine: 116 facts."""

from __future__ import annotations

from tests.conformance.ai_review_engine import data, operations, tiers, traffic
from tests.conformance.model import Table

TABLE = Table(
    system="ai-review-engine",
    prefix="ARE",
    count=116,
    facts=tuple(sorted((*tiers.FACTS, *data.FACTS, *traffic.FACTS, *operations.FACTS), key=lambda fact: fact.number)),
)
