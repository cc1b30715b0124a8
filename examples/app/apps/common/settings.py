"""Configuration of a tier: YAML files first, then the environment.

`config/default.yml` is read first, `config/<environment>.yml` on top of it (ARE-019). Credentials never stand in
these files: each comes from an environment variable, or from the file that `<NAME>_FILE` points to. Error messages
name the key and what would be right, never a value.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

import yaml

ENVIRONMENTS = ("development", "staging", "production")
DEFAULT_CONFIG_DIR = Path(__file__).resolve().parents[2] / "config"
_POSTGRES_SCHEMES = ("postgresql", "postgres")
_REDIS_SCHEMES = ("redis", "rediss")


class SettingsError(Exception):
    """The configuration cannot be used; the message says which key and what to change."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The keys of the YAML files. Times are in seconds unless the name says otherwise."""

    environment: str
    debug: bool
    database_host: str
    database_port: int
    database_name: str
    database_wait_seconds: float
    """How long the migrations wait for the database before they fail."""
    database_connect_seconds: int
    database_statement_seconds: float
    """The API and the workers give up a statement that takes longer, or that nobody answers."""
    redis_visibility_timeout_seconds: int
    """After this time an unacknowledged task is delivered again: above the longest review."""
    schedule_heartbeat_seconds: float
    schedule_housekeeping_seconds: float
    retention_jobs_days: int
    review_latency_seconds: float
    """Pause inside a review that stands for the latency of a model; 0 in every real environment."""
    log_level: str


_OVERRIDES = {
    "database_wait_seconds": "DATABASE_WAIT_SECONDS",
    "database_connect_seconds": "DATABASE_CONNECT_SECONDS",
    "database_statement_seconds": "DATABASE_STATEMENT_SECONDS",
    "redis_visibility_timeout_seconds": "CELERY_VISIBILITY_TIMEOUT",
    "schedule_heartbeat_seconds": "HEARTBEAT_SECONDS",
    "review_latency_seconds": "REVIEW_LATENCY_SECONDS",
    "log_level": "LOG_LEVEL",
}
_LOG_LEVELS = ("debug", "info", "warning", "error")
_MAX_PORT = 65535


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read and check the configuration. Raises `SettingsError`."""
    environment = environ.get("APP_ENVIRONMENT") or environ.get("ENVIRONMENT") or "development"
    if environment not in ENVIRONMENTS:
        raise SettingsError(f"APP_ENVIRONMENT must be one of {', '.join(ENVIRONMENTS)}")
    folder = Path(environ.get("CONFIG_DIR") or DEFAULT_CONFIG_DIR)
    values = {**_flat(folder / "default.yml"), **_flat(folder / f"{environment}.yml")}
    for key, name in _OVERRIDES.items():
        if environ.get(name):
            values[key] = environ[name]
    known = {field.name: str(field.type) for field in fields(Settings)}
    if unknown := sorted(values.keys() - known.keys()):
        raise SettingsError(f"{folder}: unknown key {_dotted(unknown[0])}")
    if missing := sorted(known.keys() - values.keys()):
        raise SettingsError(f"{folder}: missing key {_dotted(missing[0])} in default.yml or {environment}.yml")
    settings = Settings(**{key: _typed(key, known[key], values[key]) for key in known})
    _check(settings, environment, folder)
    return settings


def secret(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """The value of the variable `name`, or the content of the file at `<name>_FILE`. Raises `SettingsError`."""
    value = environ.get(name, "")
    path = environ.get(f"{name}_FILE", "")
    if value and path:
        raise SettingsError(f"set either {name} or {name}_FILE, not both")
    if path:
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{name}_FILE: {path} cannot be read ({error.strerror})") from None
    if not value:
        raise SettingsError(f"{name} is missing: set {name}, or {name}_FILE to a file that holds it")
    return value


def database_url(settings: Settings, environ: Mapping[str, str] = os.environ) -> str:
    """The libpq URL: credentials from DATABASE_URL; host, port and name from the YAML files where the URL has none.

    A SQLAlchemy driver suffix (`postgresql+psycopg://`) is dropped. Raises `SettingsError`.
    """
    parts = _split("DATABASE_URL", secret("DATABASE_URL", environ), _POSTGRES_SCHEMES)
    if not parts.username:
        raise SettingsError("DATABASE_URL has no user: expected postgresql://user:password@host:port/name")
    credentials = parts.netloc.rpartition("@")[0]
    host = parts.hostname or settings.database_host
    host = f"[{host}]" if ":" in host else host
    netloc = f"{credentials}@{host}:{parts.port or settings.database_port}"
    path = parts.path if parts.path.strip("/") else f"/{quote(settings.database_name, safe='')}"
    return urlunsplit(("postgresql", netloc, path, parts.query, ""))


def redis_url(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """The Redis URL in `name` (or `<name>_FILE`). Raises `SettingsError`."""
    value = secret(name, environ)
    _split(name, value, _REDIS_SCHEMES)
    return value


def exit_with(error: SettingsError) -> None:
    """End the process with one line on standard error and exit code 78 (EX_CONFIG)."""
    sys.stderr.write(f"configuration error: {error}\n")
    raise SystemExit(78)


def _split(name: str, value: str, schemes: tuple[str, ...]) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise SettingsError(f"{name} is not a URL with a numeric port") from None
    if parts.scheme.partition("+")[0] not in schemes:
        raise SettingsError(f"{name} must start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return parts


def _flat(path: Path) -> dict[str, Any]:
    """The keys of one file, nested sections joined by underscores: `database: {host: x}` is `database_host`."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror})") from None
    except yaml.YAMLError:
        raise SettingsError(f"{path} is not valid YAML") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path} must be a mapping of keys")
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat.update({f"{key}_{inner}": leaf for inner, leaf in value.items()})
        else:
            flat[str(key)] = value
    return flat


def _typed(key: str, kind: str, value: Any) -> Any:
    if kind == "bool":
        if not isinstance(value, bool):
            raise SettingsError(f"{_dotted(key)} must be true or false")
        return value
    if isinstance(value, bool) or value is None:
        raise SettingsError(f"{_dotted(key)} must be a {kind}")
    try:
        return {"str": str, "int": int, "float": float}[kind](value)
    except (TypeError, ValueError):
        raise SettingsError(f"{_dotted(key)} must be a number") from None


def _check(settings: Settings, environment: str, folder: Path) -> None:
    rules = {
        "environment": (settings.environment == environment, f"must be {environment}, as the file's name says"),
        "database.port": (0 < settings.database_port <= _MAX_PORT, f"must be between 1 and {_MAX_PORT}"),
        "database.connect_seconds": (settings.database_connect_seconds > 0, "must be above 0"),
        "database.statement_seconds": (settings.database_statement_seconds > 0, "must be above 0"),
        "redis.visibility_timeout_seconds": (settings.redis_visibility_timeout_seconds > 0, "must be above 0"),
        "schedule.heartbeat_seconds": (settings.schedule_heartbeat_seconds > 0, "must be above 0"),
        "schedule.housekeeping_seconds": (settings.schedule_housekeeping_seconds > 0, "must be above 0"),
        "retention.jobs_days": (settings.retention_jobs_days > 0, "must be above 0"),
        "review.latency_seconds": (settings.review_latency_seconds >= 0, "must not be negative"),
        "log.level": (settings.log_level.lower() in _LOG_LEVELS, f"must be one of {', '.join(_LOG_LEVELS)}"),
    }
    for key, (holds, advice) in rules.items():
        if not holds:
            raise SettingsError(f"{folder}: {key} {advice}")


def _dotted(key: str) -> str:
    return key.replace("_", ".", 1)
