"""Every system's conformance table."""

from __future__ import annotations

from typing import Final

from tests.conformance import ai_review_engine
from tests.conformance.model import Table

TABLES: Final[tuple[Table, ...]] = (ai_review_engine.TABLE,)
