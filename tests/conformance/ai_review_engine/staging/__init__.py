"""How the facts are shown on staging: by the objects of its plan, and by tests of the deployed stack."""

from __future__ import annotations

from typing import Final

from tests.conformance.ai_review_engine.staging import data, operations, tiers, traffic
from tests.conformance.model import Answer

ANSWERS: Final[dict[int, Answer]] = {**tiers.ANSWERS, **data.ANSWERS, **traffic.ANSWERS, **operations.ANSWERS}
"""By the fact's number."""
