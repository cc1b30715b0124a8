"""The numbers of the scheduler's ticks find out a second scheduler, and never accuse a single one."""

from __future__ import annotations

from tests.app.sources import load

Ticks = load("worker/ticks.py").Ticks


def test_a_single_scheduler_never_repeats_a_number_when_its_timer_fires_early() -> None:
    ticks = Ticks(30)
    times = [60.001, 89.999, 119.998, 150.0, 180.0]
    numbers = [ticks.next(time) for time in times]
    assert len(set(numbers)) == len(times)


def test_two_schedulers_in_the_same_interval_give_the_same_number() -> None:
    assert Ticks(30).next(61) == Ticks(30).next(89) == 2


def test_a_restarted_scheduler_goes_on_where_the_clock_is() -> None:
    assert Ticks(30).next(3000) == 100
