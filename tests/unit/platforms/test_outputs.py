"""The end of a program: what is pending is waited for in bulk, and failures still reach the user."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any, cast

import pulumi
import pulumi_random as random
import pytest

from platforms.outputs import settle_in_bulk
from tests.support.recording import record

OUTPUTS = 200


def one_after_the_other(count: int) -> None:
    """Outputs that are all pending when the program ends, and then resolve one by one."""
    loop = asyncio.get_running_loop()
    values: list[asyncio.Future[Any]] = [loop.create_future() for _ in range(count)]
    for value in values:
        pulumi.Output.from_input(cast(Awaitable[Any], value))

    def resolve(index: int) -> None:
        values[index].set_result(index)
        if index + 1 < count:
            loop.call_later(0.001, resolve, index + 1)

    loop.call_later(0.001, resolve, 0)


def looks(monkeypatch: pytest.MonkeyPatch, *, in_bulk: bool) -> int:
    """How often pending outputs are looked at until the program ends."""
    seen, wait = 0, asyncio.wait

    async def counted(futures: Iterable[Any], **options: Any) -> Any:
        nonlocal seen
        listed = list(futures)
        seen += len(listed)
        return await wait(listed, **options)

    def program() -> None:
        one_after_the_other(OUTPUTS)
        if in_bulk:
            settle_in_bulk()

    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "wait", counted)
        record(program)
    return seen


def test_each_pending_output_is_looked_at_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OUTPUTS <= looks(monkeypatch, in_bulk=True) < 3 * OUTPUTS


def test_the_sdk_alone_still_looks_at_all_of_them_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason for all this: where this test fails, the module has become needless."""
    assert looks(monkeypatch, in_bulk=False) > 20 * OUTPUTS


@pytest.fixture
def nobody_awaits() -> Iterator[None]:
    """Failed outputs that nobody awaits are reported when they are collected: here, and not in the middle of a test."""
    logger = logging.getLogger("asyncio")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    gc.collect()
    logger.setLevel(before)


@pytest.mark.usefixtures("nobody_awaits")
@pytest.mark.parametrize("where", ["a value computed from an output", "a registration"])
def test_a_failure_still_ends_the_program(where: str) -> None:
    def program() -> None:
        made = random.RandomPassword("made", length=8)
        if where == "a registration":
            random.RandomPassword("refused", length=made.result.apply(lambda _: fail()))
        else:
            made.result.apply(lambda _: fail())
        settle_in_bulk()

    with pytest.raises(ValueError, match="does not work"):
        record(program)


def fail() -> int:
    """What an `apply` may do."""
    raise ValueError("it does not work")
