"""Numbers of the scheduler's ticks. Standard library only."""

from __future__ import annotations


class Ticks:
    """Numbers ticks by the interval of wall-clock time that they fall into.

    Two schedulers that run at the same time give the same numbers, and that is how they are found out. One scheduler
    never repeats a number, although its timer may fire a few milliseconds early.
    """

    def __init__(self, interval: float) -> None:
        """`interval` in seconds, above 0."""
        self.interval = interval
        self.last = -1

    def next(self, now: float) -> int:
        """The number of a tick sent at `now`, in seconds since the epoch."""
        self.last = max(self.last + 1, int(now // self.interval))
        return self.last
