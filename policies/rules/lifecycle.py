"""What happens when a container stops or hangs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from policies.rule import Rule
from policies.settings import Settings
from policies.subject import CONTAINER, Resource
from policies.values import UNKNOWN

RESTARTS: Final = ("unless-stopped", "always", "on-failure")
CHECKED_ROLES: Final = ("app", "data", "proxy")
"""Roles that others wait for: they need to know when it is ready."""
UNCHECKED_ROLES: Final = ("job",)


def check_restart(resource: Resource, settings: Settings) -> Iterator[str]:
    """Services restart by themselves (ARE-017); jobs must not, or they never end."""
    del settings
    restart = resource.get("restart")
    if restart is UNKNOWN:
        return
    if resource.role == "job":
        if restart in ("always", "unless-stopped"):
            yield f'is a job with restart policy {restart}, which never ends; set `restart` to "no"'
    elif restart not in RESTARTS:
        yield f"does not come back after a crash or a reboot; set `restart` to one of {', '.join(RESTARTS)}"


def check_health(resource: Resource, settings: Settings) -> Iterator[str]:
    """A health check for what others wait for (ARE-015)."""
    del settings
    if resource.role in CHECKED_ROLES and not _has_test(resource):
        yield f"has role {resource.role} but no health check, so that nothing can wait for it; set `healthcheck.tests`"


def suggest_health(resource: Resource, settings: Settings) -> Iterator[str]:
    """A health check for the rest that runs for good: a hung worker looks alive without one (ARE-037)."""
    del settings
    if resource.role not in (*CHECKED_ROLES, *UNCHECKED_ROLES) and not _has_test(resource):
        yield "has no health check, so that a hung process goes unseen; set `healthcheck.tests`"


def _has_test(resource: Resource) -> bool:
    check = resource.get("healthcheck")
    if check is UNKNOWN:
        return True
    tests = check.get("tests") if isinstance(check, Mapping) else None
    return tests is UNKNOWN or (isinstance(tests, list) and bool(tests) and tests[0] != "NONE")


RULES: Final = (
    Rule(
        name="lifecycle-container-require-restart",
        description="A service restarts by itself, and a job does not.",
        types=(CONTAINER,),
        check=check_restart,
        scanners="D",
    ),
    Rule(
        name="lifecycle-container-require-healthcheck",
        description="A container of role app, data or proxy has a health check.",
        types=(CONTAINER,),
        check=check_health,
        scanners="LSPKCD",
    ),
    Rule(
        name="lifecycle-container-suggest-healthcheck",
        description="Every other long-running container has a health check.",
        types=(CONTAINER,),
        check=suggest_health,
        level="advisory",
        scanners="LSPKCD",
    ),
)
