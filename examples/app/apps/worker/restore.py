"""Delivers the tasks of lost workers again, in a worker of the eventlet pool.

Celery's event loop looks every few seconds for tasks that were not acknowledged within the visibility time-out. Green
threads run without that loop: kombu then looks only at the start of a worker, and at an idle poll that its own
one-second BRPOP prevents (celery/kombu#1025). A lost task would wait for the next start of some worker.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import bootsteps

log = logging.getLogger("worker")

INTERVAL_SECONDS = 5.0


class RestoreLostTasks(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Starts with every connection to the broker and stops with it."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.timer: Any = None

    def start(self, parent: Any) -> None:
        """Look every `INTERVAL_SECONDS`."""
        self.timer = parent.timer.call_repeatedly(INTERVAL_SECONDS, self.restore, (parent,))

    def stop(self, parent: Any) -> None:  # noqa: ARG002  # Celery calls it with the consumer
        """Look no more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def restore(self, parent: Any) -> None:
        """Put every task back into the queue whose time is over. Several workers may do so at the same time."""
        channel = parent.task_consumer.channel
        try:
            channel.qos.restore_visible(num=None, interval=1)
        except channel.connection_errors as error:
            log.warning("lost tasks were not looked for: %s", error)
