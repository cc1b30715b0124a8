"""The running application for the black-box tests: every tier from the built image, started once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.app.lab import Lab, Tier, eventually, inventory, wait_for
from tests.support.engine import answering, missing


@dataclass(frozen=True)
class Running:
    """The tiers that the tests share."""

    postgres: Tier
    redis: Tier
    migrate: Tier
    api: Tier
    worker: Tier
    beat: Tier
    web: Tier
    dashboard: Tier


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """An empty lab. Without Docker or an image: a failure in CI, elsewhere a skip with the reason."""
    client = answering()
    try:
        images = inventory()
    except LookupError as error:
        missing(str(error))
    lab = Lab(client, images)
    try:
        yield lab
    finally:
        lab.close()
        client.close()


@pytest.fixture(scope="session")
def app(lab: Lab) -> Running:
    """All tiers, ready to answer."""
    postgres, redis = lab.start_postgres(), lab.start_redis()
    migrate = lab.start("migrate")
    assert migrate.finish() == 0, migrate.logs()
    fast = {"HEARTBEAT_SECONDS": "1"}
    running = Running(
        postgres=postgres,
        redis=redis,
        migrate=migrate,
        api=lab.start("api", aliases=("api",), environment={"UVICORN_ROOT_PATH": "/api"}),
        worker=lab.start("worker", environment=fast),
        beat=lab.start("beat", environment=fast),
        web=lab.start("web"),
        dashboard=lab.start("dashboard", environment={"STREAMLIT_SERVER_BASE_URL_PATH": "dashboard"}),
    )
    wait_for(running.api, "/ready")
    wait_for(running.web, "/health")
    wait_for(running.dashboard, "/dashboard/_stcore/health")
    eventually(lambda: running.worker.execute("python", "alive.py", "worker")[0] == 0, "the worker is alive")
    return running
