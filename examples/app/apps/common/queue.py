"""The Celery application over Redis that the API (sender), the worker and the scheduler share."""

from __future__ import annotations

from celery import Celery

from common import settings as configuration

REVIEW = "tasks.review"
HEARTBEAT = "tasks.heartbeat"
HOUSEKEEPING = "tasks.housekeeping"
RESULT_SECONDS = 3600
CONCURRENCY = 50
"""Tasks of one worker at a time. A full worker asks Redis for more every two seconds only (Celery's loop for green
threads): with Celery's default, the number of cores, two cores would work one task a second."""
RESTORE_LOCK_SECONDS = 10
"""How long one worker may look for the tasks of lost workers, which takes milliseconds. When it dies meanwhile, nobody
else looks before this time is over; by default, five minutes."""
BEAT_FILE = "/tmp/celerybeat-schedule"  # noqa: S108  # the only place that a read-only container can write to


def celery_app(settings: configuration.Settings) -> Celery:
    """A configured Celery application; credentials come from the environment. Raises `SettingsError`."""
    app = Celery("tasks")
    app.conf.update(
        broker_url=configuration.redis_url("CELERY_BROKER_URL"),
        result_backend=configuration.redis_url("CELERY_RESULT_BACKEND"),
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": settings.redis_visibility_timeout_seconds,
            "unacked_mutex_expire": RESTORE_LOCK_SECONDS,
        },
        task_serializer="json",
        accept_content=["json"],
        result_serializer="json",
        result_expires=RESULT_SECONDS,
        timezone="UTC",
        # A task is acknowledged after its end, so that a lost worker's tasks are delivered to another one.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_concurrency=CONCURRENCY,
        # Exporters count tasks by these events.
        worker_send_task_events=True,
        task_send_sent_event=True,
        worker_hijack_root_logger=False,
        beat_schedule_filename=BEAT_FILE,
    )
    return app
