"""Waits for the outputs of a large program in bulk.

At the end of a program the SDK (pulumi 3.259.0, `wait_for_rpcs`) waits for the first of all pending outputs, then
begins again with the rest: a resource has some forty outputs, so the work grows with the square of the resources. What
stands in the SDK's list of calls under way is awaited before that; one that ends when no output is pending any more
leaves it nothing to do. Errors are left to the SDK, which reports them.
"""

from __future__ import annotations

import asyncio

from pulumi.runtime.settings import SETTINGS, _get_rpc_manager

PATIENCE = 1.0
"""Seconds after which a call that failed without an output of its own is noticed."""


def settle_in_bulk() -> None:
    """Make the end of the program linear in its resources: called once, at its end."""
    _get_rpc_manager().rpcs.append(asyncio.ensure_future(_settle()))


async def _settle() -> None:
    calls = _get_rpc_manager()
    while not calls.unhandled_exception:
        with SETTINGS.lock:
            pending = [output for output in SETTINGS.outputs if not output.done()]
        if not pending:
            return
        round_of = asyncio.ensure_future(asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION))
        while not (round_of.done() or calls.unhandled_exception):
            await asyncio.wait([round_of], timeout=PATIENCE)
        if not round_of.done():
            round_of.cancel()
        elif any(output.cancelled() or output.exception() for output in round_of.result()[0]):
            return
