"""When the scheduler ticks, and the numbers of its ticks. Standard library only."""

from __future__ import annotations


def number(now: float, interval: float) -> int:
    """The number of the interval of wall-clock time that `now`, in seconds since the epoch, falls into."""
    return int(now // interval)


def due(last: float, now: float, interval: float) -> bool:
    """Whether an interval has begun since the last tick, or since the start.

    A scheduler that was started again goes on with the next interval: it neither repeats the tick of the one that its
    predecessor stopped in, nor waits for a whole interval of its own.
    """
    return number(now, interval) > number(last, interval)


def until_next(now: float, interval: float) -> float:
    """Seconds from `now` to the begin of the next interval; above 0."""
    return (number(now, interval) + 1) * interval - now


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
        self.last = max(self.last + 1, number(now, self.interval))
        return self.last
