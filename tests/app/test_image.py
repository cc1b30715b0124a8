"""The image: its layout, its user and what it can write to (ARE-003 to ARE-007, ARE-018, ARE-029, ARE-101)."""

from __future__ import annotations

import json

import pytest

from tests.app.conftest import Running
from tests.app.lab import COMMANDS, ROOT, USER, Lab, wait_for
from tests.app.sources import APPS

SECRETS = ("DATABASE_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "REDIS_URL")


@pytest.mark.fact("ARE-018", stack="D S")
def test_the_virtual_environment_is_first_in_path(app: Running) -> None:
    _, output = app.api.execute(
        "sh", "-c", "for name in python uvicorn celery streamlit; do command -v $name; done; echo $PATH"
    )
    lines = output.split()
    assert lines[:-1] == [f"{ROOT}/.venv/bin/{name}" for name in ("python", "uvicorn", "celery", "streamlit")]
    assert lines[-1].startswith(f"{ROOT}/.venv/bin:")


@pytest.mark.fact("ARE-101", stack="D")
def test_the_folders_are_those_of_the_document(app: Running) -> None:
    _, output = app.api.execute("ls", "-A", ROOT, f"{ROOT}/apps", f"{ROOT}/config")
    for name in ("apps", "config", "logs", "api", "web", "dashboard", "worker", "default.yml", "production.yml"):
        assert name in output.split()


def test_every_tier_runs_as_a_user_that_the_image_does_not_know_and_writes_to_its_logs_alone(app: Running) -> None:
    assert ":".join(app.api.execute("id", flag)[1].strip() for flag in ("-u", "-g")) == USER
    _, writable = app.api.execute("find", ROOT, "-perm", "/222", "-not", "-type", "l", "-not", "-user", "0")
    assert writable.split() == [f"{ROOT}/logs"]


def test_the_image_holds_no_credential_and_no_installer(lab: Lab, app: Running) -> None:
    config = json.dumps(lab.client.images.get(lab.images["app"]).attrs["Config"])
    assert not any(name in config for name in SECRETS)
    assert app.api.execute("python", "-m", "pip", "--version")[0] != 0


def test_exactly_the_pinned_dependencies_are_installed(app: Running) -> None:
    script = (
        "from importlib.metadata import distributions as d; import re, json;"
        "print(json.dumps(sorted(re.sub('[-_.]+', '-', x.name).lower() + '==' + x.version for x in d())))"
    )
    code, output = app.api.execute("python", "-c", script)
    assert code == 0
    text = (APPS.parent / "requirements.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    assert json.loads(output) == sorted(line for line in text.splitlines() if "==" in line)


@pytest.mark.parametrize("role", ["migrate", "api", "worker", "beat"])
def test_a_missing_credential_ends_a_tier_with_one_clear_line(lab: Lab, role: str) -> None:
    tier = lab.start(role, environment={"DATABASE_URL": ""})
    assert tier.finish() == 78
    errors = tier.container.logs(stdout=False).decode()
    assert "configuration error: DATABASE_URL is missing: set DATABASE_URL, or DATABASE_URL_FILE" in errors
    assert "Traceback" not in errors
    tier.remove()


@pytest.mark.parametrize("role", [role for role in COMMANDS if role != "migrate"])
def test_no_tier_logs_a_password(lab: Lab, app: Running, role: str) -> None:
    logs = getattr(app, role).logs()
    assert logs
    assert lab.password not in logs


def test_logs_are_written_to_a_volume_as_well_where_it_is_asked_for(lab: Lab) -> None:
    mount = {lab.volume("logs"): {"bind": f"{ROOT}/logs", "mode": "rw"}}
    api = lab.start("api", environment={"LOG_DIR": f"{ROOT}/logs"}, volumes=mount)
    wait_for(api, "/health")
    reader = lab.start("api", command=("sh", "-c", f"cat {ROOT}/logs/api-*.log"), volumes=mount)
    assert reader.finish() == 0
    assert json.loads(reader.logs().splitlines()[0])["service"] == "api"
    api.remove()
    reader.remove()
