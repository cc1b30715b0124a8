"""The configuration: files, then environment; one clear error that never shows a value (ARE-019 to ARE-022)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.sources import APPS, load

settings = load("common/settings.py")
CONFIG = APPS.parent / "config"
URL = "postgresql://app:s3cret@"


@pytest.mark.parametrize(
    ("environment", "debug", "host", "name"),
    [
        ("development", True, "localhost", "ai_review_dev"),
        ("staging", False, "localhost", "ai_review_staging"),
        ("production", False, "prod-db.internal", "ai_review_prod"),
    ],
)
def test_the_files_hold_the_documented_values(environment: str, debug: bool, host: str, name: str) -> None:
    loaded = settings.load({"APP_ENVIRONMENT": environment})
    assert (loaded.environment, loaded.debug) == (environment, debug)
    assert (loaded.database_host, loaded.database_port, loaded.database_name) == (host, 5432, name)


@pytest.mark.fact("ARE-019", stack="D S")
def test_the_environment_file_wins_over_default_and_the_variables_over_both() -> None:
    assert settings.load({}).database_name == "ai_review_dev"
    assert settings.load({"HEARTBEAT_SECONDS": "2.5"}).schedule_heartbeat_seconds == 2.5
    assert settings.load({"DATABASE_STATEMENT_SECONDS": "0.5"}).database_statement_seconds == 0.5


def broken(tmp_path: Path, default: str, environment: str = "environment: staging\ndebug: false\n") -> str:
    (tmp_path / "default.yml").write_text(default)
    (tmp_path / "staging.yml").write_text(environment)
    with pytest.raises(settings.SettingsError) as caught:
        settings.load({"APP_ENVIRONMENT": "staging", "CONFIG_DIR": str(tmp_path)})
    return str(caught.value)


@pytest.mark.fact("ARE-106", stack="D S")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  port: 5432", "  port: 99999", "database.port must be between 1 and 65535"),
        ("  port: 5432", "  port: many", "database.port must be a number"),
        ("  port: 5432", "  prot: 5432", "unknown key database.prot"),
        ("  port: 5432\n", "", "missing key database.port"),
        ("  statement_seconds: 5", "  statement_seconds: 0", "database.statement_seconds must be above 0"),
        ("debug: false", "debug: 0", "debug must be true or false"),
        ("  level: info", "  level: loud", "log.level must be one of"),
        ("debug: false", "environment: production", "environment must be staging"),
        ("debug: false", "debug: [", "not valid YAML"),
    ],
)
def test_a_broken_file_is_refused_with_its_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    default = (CONFIG / "default.yml").read_text()
    assert old in default
    overlay = "environment: staging\n" if "environment" not in new else "debug: false\n"
    assert message in broken(tmp_path, default.replace(old, new), overlay)


def test_missing_files_and_unknown_environments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(settings.SettingsError, match=r"default\.yml cannot be read"):
        settings.load({"CONFIG_DIR": str(tmp_path)})
    with pytest.raises(settings.SettingsError, match="one of development, staging, production"):
        settings.load({"APP_ENVIRONMENT": "prod"})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (URL, "postgresql://app:s3cret@prod-db.internal:5432/ai_review_prod"),
        ("postgresql://app:s3cret@db:6000/other", "postgresql://app:s3cret@db:6000/other"),
        ("postgresql+psycopg://app:s3cret@db/other", "postgresql://app:s3cret@db:5432/other"),
        (
            "postgres://app:s%2Fcret@/x?sslmode=require",
            "postgresql://app:s%2Fcret@prod-db.internal:5432/x?sslmode=require",
        ),
        ("postgresql://app:s3cret@[::1]/x", "postgresql://app:s3cret@[::1]:5432/x"),
    ],
)
def test_the_database_url_is_completed_from_the_files(url: str, expected: str) -> None:
    loaded = settings.load({"APP_ENVIRONMENT": "production"})
    assert settings.database_url(loaded, {"DATABASE_URL": url}) == expected


def test_a_credential_can_come_from_a_file_but_not_from_both(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text("redis://:s3cret@redis:6379/0\n")
    assert settings.redis_url("REDIS_URL", {"REDIS_URL_FILE": str(path)}) == "redis://:s3cret@redis:6379/0"
    with pytest.raises(settings.SettingsError, match="not both"):
        settings.secret("REDIS_URL", {"REDIS_URL": "x", "REDIS_URL_FILE": str(path)})
    with pytest.raises(settings.SettingsError, match="cannot be read"):
        settings.secret("REDIS_URL", {"REDIS_URL_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize(
    "value", ["", "http://app:s3cret@db", "postgresql://db/x", "postgresql://app:s3cret@db:port/x"]
)
def test_a_wrong_database_url_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(settings.SettingsError) as caught:
        settings.database_url(settings.load({}), {"DATABASE_URL": value})
    assert "DATABASE_URL" in str(caught.value)
    assert "s3cret" not in str(caught.value)
