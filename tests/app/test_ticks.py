"""The numbers of the scheduler's ticks find out a second scheduler, and never accuse a single one."""

from __future__ import annotations

import pytest

from tests.app.sources import load

ticks = load("worker/ticks.py")
Ticks = ticks.Ticks


def test_a_single_scheduler_never_repeats_a_number_when_its_timer_fires_early() -> None:
    counted = Ticks(30)
    times = [60.001, 89.999, 119.998, 150.0, 180.0]
    numbers = [counted.next(time) for time in times]
    assert len(set(numbers)) == len(times)


def test_two_schedulers_in_the_same_interval_give_the_same_number() -> None:
    assert Ticks(30).next(61) == Ticks(30).next(89) == 2


def test_a_restarted_scheduler_goes_on_where_the_clock_is() -> None:
    assert Ticks(30).next(3000) == 100


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [
        (60.0, 60.0, False),
        (60.0, 89.999, False),
        (60.0, 90.0, True),
        (89.999, 90.0, True),
        # Started in the middle of an interval whose tick the predecessor has sent.
        (75.0, 89.9, False),
        (75.0, 90.1, True),
        # The clock was put back.
        (120.0, 95.0, False),
    ],
)
def test_a_tick_is_due_once_in_an_interval_of_the_clock_whenever_the_scheduler_started(
    last: float, now: float, expected: bool
) -> None:
    assert ticks.due(last, now, 30) is expected


@pytest.mark.parametrize(("now", "expected"), [(60.0, 30.0), (75.5, 14.5), (89.75, 0.25)])
def test_the_scheduler_waits_for_the_next_interval(now: float, expected: float) -> None:
    assert ticks.until_next(now, 30) == expected
    assert ticks.due(now, now + expected, 30)
