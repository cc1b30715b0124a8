"""Telling credentials from other text."""

from __future__ import annotations

import pytest

from policies import credentials


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASSWORD",
        "PGPASSWORD",
        "MYSQL_PWD",
        "API_TOKEN",
        "token",
        "SECRET_KEY",
        "SIGNING_KEY",
        "CLIENT_SECRET",
        "SECRET_KEY_BASE",
        "authToken",
        "masterUserPassword",
        "db.password",
        "AWS_SECRET_ACCESS_KEY",
        "PASSPHRASE",
    ],
)
def test_names_of_credentials_are_strong(name: str) -> None:
    assert credentials.name_strength(name) == "strong"


@pytest.mark.parametrize("name", ["AUTH_SALT", "TOKEN_SEED", "PASSWORD_HASH"])
def test_names_around_credentials_are_weak(name: str) -> None:
    assert credentials.name_strength(name) == "weak"


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASSWORD_FILE",
        "TOKEN_EXPIRE_MINUTES",
        "SECRET_NAME",
        "PASSWORD_MIN_LENGTH",
        "PUBLIC_KEY",
        "PARTITION_KEY",
        "PWD",
        "OLDPWD",
        "KEY",
        "MONKEY",
        "PATH",
        "DATABASE_URL",
        "KEYSPACE",
        "",
    ],
)
def test_other_names_say_nothing(name: str) -> None:
    assert credentials.name_strength(name) is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("redis://:abc@redis:6379/0", "a URL with a password"),
        ("amqp://user:abc@rabbit", "a URL with a password"),
        ("see https://u:p@host/x for more", "a URL with a password"),
        ("-----BEGIN RSA " + "PRIVATE KEY-----", "a private key"),
        ("-----BEGIN OPENSSH " + "PRIVATE KEY-----", "a private key"),
        ("ghp_" + "a1" * 18, "an access token"),
        ("eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjMifQ.c2lnbmF0dXJl", "a signed token"),
    ],
)
def test_forms_of_credentials_are_known(text: str, what: str) -> None:
    assert credentials.form(text) == what


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8000/health",
        "redis://redis:6379",
        "http://user@host/",
        "postgresql://app:${PASSWORD}@postgres/shop",
        "postgresql://app:{password}@postgres/shop",
        "mailto:someone@example.org",
        "-----BEGIN CERTIFICATE-----",
        "sha256:" + "ab" * 32,
        "http://upstream:8000/x?mail=a@b",
    ],
)
def test_other_texts_are_not_taken_for_credentials(text: str) -> None:
    assert credentials.form(text) is None


@pytest.mark.parametrize("value", ["", "true", "No", "${TOKEN}", "$TOKEN", "/run/secrets/token", "<token>", "****"])
def test_switches_placeholders_and_paths_are_harmless(value: str) -> None:
    assert credentials.is_harmless(value)
    assert credentials.named_value("API_TOKEN", value) is None


@pytest.mark.parametrize(
    ("value", "random"),
    [
        ("9fceb02d0ae598e95dc970b74767f193", True),
        ("kZ8vQ2mN4xR7tW1pL5sD", True),
        ("aaaaaaaaaaaaaaaa1", False),
        ("short1", False),
        ("a sentence with 2 spaces in it", False),
        ("abcdefghijklmnopqrstuvwxyz", False),
    ],
)
def test_randomness_is_told_from_words(value: str, random: bool) -> None:
    assert credentials.looks_random(value) is random


@pytest.mark.parametrize(
    "arguments",
    [
        ["curl", "-u", "user:hunter2", "http://x"],
        ["sh", "-c", "redis-cli -a hunter2 ping"],
        ["mysqladmin", "--password", "hunter2", "ping"],
        ["sh", "-c", "export API_KEY='hunter2'; run"],
    ],
)
def test_commands_give_passwords_away_in_many_ways(arguments: list[str]) -> None:
    found = list(credentials.in_arguments(arguments))
    assert found
    assert "hunter2" not in " ".join(found)


@pytest.mark.parametrize(
    "arguments",
    [
        ["celery", "-A", "tasks", "worker", "--loglevel=info", "-P", "eventlet"],
        ["gunicorn", "-b", "0.0.0.0:5000", "app:app"],
        ["sh", "-c", 'redis-cli -a "$(cat /run/secrets/redis)" ping'],
        ["pg_isready", "-q", "-h", "127.0.0.1", "-U", "app", "-d", "shop"],
        ["sh", "-c", "revision=$(cat /etc/edge/* | sha256sum | cut -c1-16)"],
        ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/', timeout=5)"],
        ["app", "--token", "--verbose"],
    ],
)
def test_ordinary_commands_pass(arguments: list[str]) -> None:
    assert list(credentials.in_arguments(arguments)) == []


@pytest.mark.parametrize(
    "text",
    [
        "database:\n  host: postgres\n  port: 5432\n  name: ai_review_dev\n",
        "password_file: /run/secrets/p\nbearer_token_file: /run/secrets/t\n",
        "ssl_certificate_key /etc/edge/tls.key;\nproxy_set_header X-Key $http_x_key;\n",
        '{"title": "Password resets", "key": "value", "targets": [{"expr": "up"}]}',
        "password = os.environ['DB_PASSWORD']\n".replace("os.environ['DB_PASSWORD']", "${DB_PASSWORD}"),
        "password:\n  min_length: 12\n",
    ],
)
def test_ordinary_files_pass(text: str) -> None:
    assert credentials.in_file(text) is None
