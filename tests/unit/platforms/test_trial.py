"""What is tried before a roll-out, and the script that tries it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from platforms.docker.trial import TRY, http_check, trial_of
from platforms.specs import ExecProbe, Health, HttpProbe, Resources, ServiceSpec

PROBE = HttpProbe(path="/health", port=8000)
TIER = ServiceSpec(
    service="api",
    role="app",
    image="api:1",
    command=("python", "-m", "api"),
    resources=Resources(cpu=1.0, memory=1),
    rollout="overlap",
    port=8000,
    health=Health(probe=PROBE, start_period=30, interval=5, retries=3),
    env={"A": "1"},
)


def attempt(check: str, *command: str, seconds: int = 2) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", TRY, "trial", check, str(seconds), *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_trial_runs_what_the_service_runs_as_long_as_its_health_check_would() -> None:
    trial = trial_of(TIER)
    assert trial is not None
    assert (trial.service, trial.image, trial.env) == ("api-trial", "api:1", {"A": "1"})
    assert trial.command == ("sh", "-c", TRY, "trial", http_check(PROBE), "45", "python", "-m", "api")


@pytest.mark.parametrize(
    "spec",
    [
        replace(TIER, role="worker"),
        replace(TIER, rollout="exclusive"),
        replace(TIER, health=None),
        replace(TIER, health=Health(probe=ExecProbe(command=("true",)))),
        replace(TIER, command=()),
    ],
)
def test_what_rolls_out_without_requests_is_not_tried(spec: ServiceSpec) -> None:
    assert trial_of(spec) is None


def test_it_ends_well_as_soon_as_the_process_is_healthy(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    done = attempt(f"test -f {ready}", "sh", "-c", f"sleep 1; touch {ready}; exec sleep 5", seconds=20)
    assert (done.returncode, done.stdout) == (0, "healthy\n")


def test_it_fails_with_the_exit_code_of_a_process_that_ends() -> None:
    done = attempt("false", "sh", "-c", "echo no feature flags; exit 7", seconds=20)
    assert done.returncode == 1
    assert done.stdout == "no feature flags\nended with exit code 7 before it was healthy\n"


def test_it_fails_with_the_last_words_of_the_check_when_the_process_stays_sick() -> None:
    done = attempt("echo status 500 >&2; false", "sleep", "5")
    assert done.returncode == 1
    assert done.stdout == "not healthy within 2 s; the last health check said: status 500\n"
