"""The acceptance table of the AI Review Engine: 116 facts."""

from __future__ import annotations

from dataclasses import replace

from tests.conformance.ai_review_engine import data, operations, staging, tiers, traffic
from tests.conformance.model import Fact, Table


def _complete(fact: Fact) -> Fact:
    """With what staging shows."""
    answers = {**fact.answers, "S": staging.ANSWERS[fact.number]} if fact.number in staging.ANSWERS else fact.answers
    return replace(fact, answers=answers)


TABLE = Table(
    system="ai-review-engine",
    prefix="ARE",
    count=116,
    facts=tuple(
        _complete(fact)
        for fact in sorted((*tiers.FACTS, *data.FACTS, *traffic.FACTS, *operations.FACTS), key=lambda fact: fact.number)
    ),
)
