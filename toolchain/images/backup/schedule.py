"""When the next backup is due, and what Prometheus is told of the last one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from cronsim import CronSim
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .archives import Archives, Runs

OFF = "off"
PORT = 9180
RETRY = timedelta(minutes=10)
NAP = 20.0
"""Longest sleep in seconds: a clock that was set, or a backup by hand, is seen after it."""


@dataclass(frozen=True)
class Schedule:
    """When backups are taken."""

    cron: str
    """Five fields, in UTC; `off`: never."""
    started: datetime
    archives: Archives
    runs: Runs

    def due(self) -> datetime | None:
        """When the backup after the newest archive is due: in the past where one was missed. None: never.

        A volume without an archive counts from the start of this process.
        """
        if self.cron == OFF:
            return None
        due: datetime = next(CronSim(self.cron, self.archives.newest() or self.started))
        return due

    def next_run(self) -> datetime | None:
        """As `due`, but some time after a run that failed. None: never."""
        due, failed = self.due(), self.runs.failure()
        return max(due, failed + RETRY) if due and failed else due

    def follow(self, run: Callable[[], None]) -> None:
        """Run whenever it is time, for good."""
        while True:
            begin = self.next_run()
            wait = (begin - datetime.now(UTC)).total_seconds() if begin else NAP
            if wait <= 0:
                run()
            else:
                time.sleep(min(wait, NAP))


@dataclass(frozen=True)
class Metrics(Collector):
    """What is true of the archives at this moment: nothing is kept between two scrapes."""

    schedule: Schedule

    def collect(self) -> Iterable[Metric]:
        """Times are in seconds since the epoch; what is not known is left out."""
        archives = self.schedule.archives
        for name, text, value in self._values():
            family = GaugeMetricFamily(name, text, labels=["engine"])
            family.add_metric([archives.engine], value)
            yield family

    def _values(self) -> Iterator[tuple[str, str, float]]:
        archives, due = self.schedule.archives, self.schedule.due()
        failed = float(self.schedule.runs.failure() is not None)
        yield "backup_last_run_failed", "1 where the last run failed.", failed
        if due:
            yield "backup_due_timestamp_seconds", "When the backup after the newest one is due.", due.timestamp()
        if newest := archives.newest():
            size = (archives.folder / archives.name(newest)).stat().st_size
            yield "backup_last_success_timestamp_seconds", "When the newest archive was taken.", newest.timestamp()
            yield "backup_last_size_bytes", "Size of the newest archive.", float(size)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        del format, args


def answer(schedule: Schedule, address: str) -> None:
    """Serve `/metrics`, and `/healthy`, which fails while the last run has failed, beside the caller."""
    registry = CollectorRegistry()
    registry.register(Metrics(schedule))
    metrics = make_wsgi_app(registry)

    def respond(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/healthy":
            page: Iterable[bytes] = metrics(environ, start)
            return page
        failed = schedule.runs.failure()
        start("503 Service Unavailable" if failed else "200 OK", [("Content-Type", "text/plain")])
        return [b"the last backup failed\n" if failed else b"ok\n"]

    server = make_server(address, PORT, respond, server_class=_Server, handler_class=_Quiet)
    Thread(target=server.serve_forever, daemon=True).start()
