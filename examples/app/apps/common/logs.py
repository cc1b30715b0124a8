"""Logs: one JSON object a line on standard output, and in a rotated file where `LOG_DIR` is set (ARE-023)."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

_FILE_BYTES = 5_000_000
_KEEP_SECONDS = 14 * 24 * 3600
_QUIET_PATHS = ("/health", "/ready", "/metrics")
_TAKEN_OVER = ("uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "gunicorn.access", "werkzeug", "celery")


class JsonLines(logging.Formatter):
    """time (UTC), level, service, logger, message, and the traceback where there is one."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self.service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _NoProbes(logging.Filter):
    """Probes and scrapes come every few seconds: their access lines would drown the others."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(f"{path} HTTP/" in message for path in _QUIET_PATHS)


def configure(service: str, level: str) -> None:
    """Send every logger of the process through one format. A `LOG_DIR` that cannot be written is a warning."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    folder = os.environ.get("LOG_DIR")
    problem = None
    if folder:
        try:
            handlers.append(_file_handler(Path(folder), service))
        except OSError as error:
            problem = error.strerror
    for handler in handlers:
        handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)
    for name in _TAKEN_OVER:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    probes = _NoProbes()
    for name in ("uvicorn.access", "gunicorn.access", "werkzeug"):
        logging.getLogger(name).addFilter(probes)
    if problem:
        logging.getLogger(__name__).warning("LOG_DIR %s is not used: %s", folder, problem)


def _file_handler(folder: Path, service: str) -> logging.Handler:
    """Replicas share the folder, so each writes a file of its own; files of replicas long gone are removed."""
    for old in folder.glob(f"{service}-*.log*"):
        if time.time() - old.stat().st_mtime > _KEEP_SECONDS:
            old.unlink(missing_ok=True)
    path = folder / f"{service}-{socket.gethostname()}.log"
    return RotatingFileHandler(path, maxBytes=_FILE_BYTES, backupCount=2, encoding="utf-8")
