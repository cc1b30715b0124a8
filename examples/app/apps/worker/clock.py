"""A schedule for Celery's scheduler that follows the clock, not the scheduler's own start."""

from __future__ import annotations

import time
from datetime import datetime

from celery.schedules import schedstate, schedule

import ticks

EARLY_SECONDS = 0.02
"""Celery looks 10 ms before the time that it is told: early, it would look again and again until the time has come."""


class Interval(schedule):  # type: ignore[misc]  # Celery has no types
    """Due once in every interval of wall-clock time (`ticks.due`), whenever the scheduler was started."""

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Whether to run now, and the seconds after which to ask again."""
        now, last = time.time(), self.maybe_make_aware(last_run_at).timestamp()
        return schedstate(ticks.due(last, now, self.seconds), ticks.until_next(now, self.seconds) + EARLY_SECONDS)
