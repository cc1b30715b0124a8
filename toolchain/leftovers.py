"""`pulumi up` by hand on an interrupted stack ends with what is left over and the command that puts it right."""

from __future__ import annotations

import os

import pulumi
from docker.errors import DockerException

from toolchain import engine, recover, state
from toolchain.console import ToolchainError

SHOWN = 5
"""How many things are named before the rest is counted."""
ASK_TIMEOUT = 5
"""Seconds that the engine has for an answer."""


def refuse_leftovers(stack: str) -> None:
    """Refuse to deploy a stack that an interrupted run has left half-done; a preview only warns.

    Looks at the state of this clone's own backend and asks its engine, which takes milliseconds. Another backend, and
    an engine that does not answer, are left to Pulumi.

    Raises pulumi.RunError, which names what is left over and what to run.
    """
    # By hand the CLI may be logged in elsewhere: only the environment of `make env` says which state this is.
    if not os.environ.get("PULUMI_BACKEND_URL") or not state.is_local() or not state.stack_file(stack).is_file():
        return
    preview = pulumi.runtime.is_dry_run()
    if preview and any(recover.is_alive(lock) for lock in recover.locks(stack)):
        # Somebody deploys right now, or this is the preview that precedes a deployment, which will look itself.
        return
    found = leftovers(stack)
    if not found:
        return
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    message = (
        f"stack {stack} was interrupted; left over: {', '.join(found[:SHOWN])}{more}. "
        f"Run `make up STACK={stack}`: it clears what is pending, removes what is in no state, and completes the stack."
    )
    if not preview:
        raise pulumi.RunError(message)
    pulumi.log.warn(message)


def leftovers(stack: str) -> list[str]:
    """Pending operations, and what the engine has that is in no state and can be removed; in words."""
    try:
        known = recover.load_state(stack)
    except ToolchainError as error:
        return [str(error)]
    found = list(known.pending)
    for address in known.engines:
        try:
            # A login at another host would take seconds.
            if not address.startswith("ssh:") and engine.answers(address, timeout=ASK_TIMEOUT):
                client = engine.client(address=address, timeout=ASK_TIMEOUT)
                found += [str(one) for one in recover.find_strays(client, stack, known) if not one.held]
        except (ToolchainError, DockerException, OSError) as error:
            pulumi.log.debug(f"the engine at {address} was not asked for leftovers: {error}")
    return found
