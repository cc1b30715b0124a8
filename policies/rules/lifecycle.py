"""What happens when a container starts, hangs, stops, or is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.container import Container
from policies.kubernetes import CRON_JOB, DEPLOYMENT, JOB, PODS, action, ports
from policies.rule import Rule
from policies.settings import Settings
from policies.subject import RUNNING, Resource
from policies.values import UNKNOWN, dig, has_unknown, port_text

RESTARTS: Final = ("unless-stopped", "always", "on-failure")
CHECKED_ROLES: Final = ("app", "data", "proxy")
"""Roles that others wait for: they need to know when it is ready."""
PROBED_ROLES: Final = (*CHECKED_ROLES, "worker")
"""Roles whose pods a cluster restarts and replaces by what their probes say (ARE-037)."""
UNCHECKED_ROLES: Final = ("job",)
ROLLING_ROLES: Final = ("app", "proxy")
"""Roles that answer requests: they must go on answering while they are replaced (ARE-016)."""


def check_restart(resource: Resource, settings: Settings) -> Iterator[str]:
    """Services restart by themselves (ARE-017); jobs must not, or they never end."""
    del settings
    for container in resource.containers[:1]:  # Containers of a pod have one restart policy.
        words, restart = container.words, container.restart
        if restart is UNKNOWN:
            continue
        if not container.lasting:
            if restart in ("always", "unless-stopped"):
                yield f"is a job with restart policy {restart}, which never ends; set {words.end}"
        elif restart not in RESTARTS:
            yield f"does not come back after a crash or a reboot; set {words.restart}"


def _waited_for(container: Container) -> bool:
    return container.role in (CHECKED_ROLES if container.name is None else PROBED_ROLES)


def check_health(container: Container) -> Iterator[str]:
    """A health check for what others wait for (ARE-015)."""
    if container.lasting and _waited_for(container) and not container.health:
        yield (
            f"has role {container.role} but no health check, so that nothing can wait for it; "
            f"set {container.words.health}"
        )


def suggest_health(container: Container) -> Iterator[str]:
    """A health check for the rest that runs for good: a hung worker looks alive without one (ARE-037)."""
    checked = _waited_for(container) or container.role in UNCHECKED_ROLES
    if container.lasting and not checked and not container.health:
        yield f"has no health check, so that a hung process goes unseen; set {container.words.health}"


def check_liveness(container: Container) -> Iterator[str]:
    """Readiness decides who gets requests, liveness who is restarted: app, worker, data and proxy need both."""
    probe = container.raw.get("livenessProbe")
    if container.lasting and _waited_for(container) and probe is not UNKNOWN and not action(probe):
        yield f"has role {container.role} and is not restarted when it hangs; set `livenessProbe`"


def check_distinct(container: Container) -> Iterator[str]:
    """Not the same request for both: what makes a pod unready for a while would restart it; commands may be equal."""
    readiness, liveness = (action(container.raw.get(probe)) for probe in ("readinessProbe", "livenessProbe"))
    if readiness and readiness[0] != "exec" and readiness == liveness and not has_unknown(list(readiness[1].values())):
        yield (
            "asks the same for readiness and liveness, so that it is restarted whenever it is busy; give "
            "`livenessProbe` another path, or a tcpSocket"
        )


def check_ports(container: Container) -> Iterator[str]:
    """A probe asks a port that the container declares."""
    if has_unknown(container.raw.get("ports")):
        return
    declared = {str(port.get(key)) for port in ports(container.raw) for key in ("containerPort", "name")}
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        asked = action(container.raw.get(probe))
        port = asked[1].get("port") if asked and asked[0] != "exec" else None
        if port is not None and port is not UNKNOWN and port_text(port) not in declared:
            yield f"has a {probe} on port {port_text(port)}, which it does not declare; add it to `ports`"


def check_lifetime(resource: Resource, settings: Settings) -> Iterator[str]:
    """Jobs end some time; those of a cron job go by themselves, and one missed too long ago is not made up for."""
    del settings
    job = dig(resource.properties, "spec")
    if resource.type == CRON_JOB:
        if dig(job, "startingDeadlineSeconds") is None:
            yield (
                "has no deadline, so that it stops for good after 100 missed starts; set `spec.startingDeadlineSeconds`"
            )
        if dig(job, "concurrencyPolicy") not in (UNKNOWN, "Forbid", "Replace"):
            yield "starts again while its last job still runs; set `spec.concurrencyPolicy` to Forbid or Replace"
        if dig(job, "jobTemplate", "spec", "ttlSecondsAfterFinished") is None:
            yield "leaves its pods behind when it has finished; set `jobTemplate.spec.ttlSecondsAfterFinished`"
        return
    if dig(job, "activeDeadlineSeconds") is None:
        yield "may run for ever, and whoever waits for it; set `spec.activeDeadlineSeconds`"
    if dig(job, "ttlSecondsAfterFinished") not in (None, UNKNOWN):
        yield "removes itself behind the back of the state; leave out `spec.ttlSecondsAfterFinished`"


def check_rollout(resource: Resource, settings: Settings) -> Iterator[str]:
    """App tiers lose no replica while they are replaced; a scheduler is never there twice (ARE-016, ARE-034)."""
    del settings
    strategy = dig(resource.properties, "spec", "strategy")
    kind, unavailable = dig(strategy, "type"), dig(strategy, "rollingUpdate", "maxUnavailable")
    if kind is UNKNOWN or unavailable is UNKNOWN:
        return
    if resource.role in ROLLING_ROLES:
        if kind not in ("RollingUpdate", None):
            yield f"has the strategy {kind}, so that nobody answers while it is replaced; set it to RollingUpdate"
        elif str(unavailable) not in ("0", "0%"):
            yield "may lose replicas while it is replaced; set `strategy.rollingUpdate.maxUnavailable` to 0"
    if resource.role == "scheduler" and kind != "Recreate":
        yield "is there twice while it is replaced, and files jobs twice; set `strategy.type` to Recreate"


RULES: Final = (
    Rule(
        name="lifecycle-container-require-restart",
        description="A service restarts by itself, and a job does not.",
        types=RUNNING,
        check=check_restart,
        scanners="D",
    ),
    Rule(
        name="lifecycle-container-require-healthcheck",
        description="A container of role app, data or proxy has a health check; on Kubernetes a readiness probe, "
        "workers too.",
        types=RUNNING,
        check_container=check_health,
        scanners="LSPKCD",
    ),
    Rule(
        name="lifecycle-container-suggest-healthcheck",
        description="Every other long-running container has a health check.",
        types=RUNNING,
        check_container=suggest_health,
        level="advisory",
        scanners="LSPKCD",
    ),
    Rule(
        name="lifecycle-container-require-liveness",
        description="On Kubernetes, a container of role app, worker, data or proxy has a liveness probe.",
        types=PODS,
        check_container=check_liveness,
        scanners="LSPKCD",
    ),
    Rule(
        name="lifecycle-probe-require-difference",
        description="Readiness and liveness do not ask the same, commands excepted.",
        types=PODS,
        check_container=check_distinct,
        scanners="SK",
    ),
    Rule(
        name="lifecycle-probe-declare-port",
        description="A probe asks a port that its container declares.",
        types=PODS,
        check_container=check_ports,
        scanners="L",
    ),
    Rule(
        name="lifecycle-job-limit-life",
        description="Jobs have an end; cron jobs remove theirs, have a deadline and do not overlap.",
        types=(JOB, CRON_JOB),
        check=check_lifetime,
        scanners="LS",
    ),
    Rule(
        name="lifecycle-rollout-keep-answering",
        description="Role app and proxy lose no replica in a roll-out, and a scheduler is never there twice.",
        types=(DEPLOYMENT,),
        check=check_rollout,
        scanners="LS",
    ),
)
