"""Background work: N equal workers on a queue, at most one scheduler, and an exporter that watches the queue.

The broker is somebody else's (`DataLayer`): the pool is handed its endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pulumi import ComponentResource, Input, ResourceOptions

from platforms.protocols import Scope
from platforms.specs import (
    BIND_ADDRESS,
    MIB,
    Endpoint,
    ExecProbe,
    Health,
    HttpProbe,
    Queue,
    Resources,
    Scale,
    SecretRef,
    ServiceSpec,
    Started,
    UrlTemplate,
    Volume,
)


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """What differs between the scheduler and the workers."""

    image: str
    """Image reference or id."""
    command: tuple[str, ...]
    """Start command."""
    health: tuple[str, ...]
    """Command that exits with 0 in a scheduler that still ticks."""
    resources: Resources
    """Compute of the one replica."""
    env: Mapping[str, Input[str]] = field(default_factory=dict)
    """Plain environment variables."""


@dataclass(frozen=True, kw_only=True)
class WorkerPoolArgs:
    """Arguments of `WorkerPool`."""

    image: str
    """Image reference or id."""
    working_dir: str
    """Absolute path that the commands start in."""
    worker_command: tuple[str, ...]
    """Start command of a worker."""
    scheduler: Scheduler | None
    """The scheduler, of which there is never more than one; None for a pool without."""
    worker_health: tuple[str, ...]
    """Command that exits with 0 in a worker that answers its queue."""
    broker: UrlTemplate
    """Queue that the workers take their jobs from."""
    broker_exporter: str | None
    """Engine name of the exporter that watches the queue; None for a pool that nobody watches."""
    broker_exporter_command: tuple[str, ...] = ("--host", BIND_ADDRESS)
    """Arguments of the exporter."""
    broker_exporter_port: int = 9808
    """Port of the exporter."""
    broker_exporter_variable: str = "CE_BROKER_URL"
    """Environment variable that tells the exporter its queue."""
    resources: Resources
    """Compute of one worker."""
    workers: int
    """Number of workers."""
    scale: Scale | None = None
    """Scaling by load and queue instead of a fixed number."""
    queue: str = "celery"
    """List of the broker that jobs wait in; the default is Celery's."""
    waiting: int = 10
    """Jobs that may wait for each worker, where the platform scales by the queue (ARE-033 leaves the number open)."""
    env: Mapping[str, Input[str]] = field(default_factory=dict)
    """Plain environment variables of workers and scheduler."""
    secrets: Mapping[str, SecretRef | UrlTemplate] = field(default_factory=dict)
    """Environment variables with secret values."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Absolute path → text of configuration files."""
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    """Absolute path → shared storage, such as logs."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Absolute path → folder of the developer's checkout (inner loop only)."""
    uses: Sequence[Endpoint] = ()
    """Endpoints that workers and scheduler may reach."""
    after: Sequence[Started] = ()
    """What must be healthy, or done, first."""
    stop_grace: int = 60
    """Seconds for the job under way when a worker stops."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels beyond the platform's own."""


class WorkerPool(ComponentResource):
    """Workers, their scheduler and the exporter of their queue."""

    def __init__(self, name: str, args: WorkerPoolArgs, scope: Scope, opts: ResourceOptions | None = None) -> None:
        super().__init__("ai-platform:components:WorkerPool", name, None, opts)
        workers = scope.workloads.serve(f"{name}-worker", _worker(args), parent=self)
        started: list[Started] = [workers]
        if args.scheduler is not None:
            started.append(scope.workloads.serve(f"{name}-beat", _beat(args, args.scheduler), parent=self))
        self.started: Started = Started(ready=[one for each in started for one in each.ready])
        self.metrics: Endpoint | None = None
        if args.broker_exporter is not None:
            exporter = _exporter(args, args.broker_exporter, scope.image(args.broker_exporter))
            self.metrics = scope.workloads.serve(f"{name}-exporter", exporter, parent=self).reached_at
        self.register_outputs({"workers": args.workers})


def _worker(args: WorkerPoolArgs) -> ServiceSpec:
    return ServiceSpec(
        service="worker",
        role="worker",
        image=args.image,
        command=args.worker_command,
        working_dir=args.working_dir,
        resources=args.resources,
        replicas=args.workers,
        scale=_scale(args),
        rollout="overlap",
        health=_health(args.worker_health),
        env=args.env,
        secrets=args.secrets,
        files=args.files,
        volumes=args.volumes,
        sources=args.sources,
        uses=args.uses,
        after=args.after,
        stop_grace=args.stop_grace,
        labels=args.labels,
    )


def _scale(args: WorkerPoolArgs) -> Scale | None:
    if args.scale is None:
        return None
    database = int(args.broker.database or args.broker.endpoint.database or 0)
    queue = Queue(broker=args.broker.endpoint, database=database, name=args.queue, waiting=args.waiting)
    return replace(args.scale, queue=queue)


def _beat(args: WorkerPoolArgs, scheduler: Scheduler) -> ServiceSpec:
    return replace(
        _worker(args),
        service="beat",
        role="scheduler",
        image=scheduler.image,
        command=scheduler.command,
        resources=scheduler.resources,
        # Two schedulers would fire every tick twice: the old one goes before the new one comes (ARE-034).
        replicas=1,
        scale=None,
        rollout="exclusive",
        health=_health(scheduler.health),
        env=scheduler.env,
    )


def _health(command: tuple[str, ...]) -> Health:
    # Asking may cost a Python start: less often than an HTTP probe, and with time.
    return Health(probe=ExecProbe(command=command), interval=10, timeout=20, start_period=60)


def _exporter(args: WorkerPoolArgs, service: str, image: str) -> ServiceSpec:
    return ServiceSpec(
        service=service,
        role="telemetry",
        image=image,
        command=args.broker_exporter_command,
        port=args.broker_exporter_port,
        resources=Resources(cpu=0.25, memory=128 * MIB, processes=128),
        rollout="exclusive",
        # Its log would show the values of variables beside a traceback, the broker's password among them.
        env={"LOGURU_DIAGNOSE": "NO"},
        secrets={args.broker_exporter_variable: args.broker},
        uses=[args.broker.endpoint],
        after=args.after,
        health=Health(probe=HttpProbe(path="/metrics", port=args.broker_exporter_port), interval=15),
        # It has nothing to bring to an end, and not every exporter heeds the stop signal.
        stop_grace=5,
    )
