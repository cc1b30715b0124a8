"""Stopping: whatever connection a tier accepts is answered, and what comes too late is refused, not dropped."""

from __future__ import annotations

import http.client
import threading
import time

import pytest

from tests.app.conftest import Running
from tests.app.lab import Lab, Tier, wait_for

CLIENTS = 8
SECONDS = 1.0
"""Of requests before the tier is stopped."""


class Hammer:
    """Requests over fresh connections, as the proxy makes them, until one is refused."""

    def __init__(self, tier: Tier) -> None:
        tier.container.reload()
        (network,) = tier.container.attrs["NetworkSettings"]["Networks"].values()
        # Not by the published port: the engine's own proxy would accept in place of the tier.
        self.address = (network["IPAddress"], tier.port)
        self.answered = 0
        self.dropped: list[str] = []
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def join(self) -> None:
        """Wait until every client was refused."""
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()

    def _run(self) -> None:
        while True:
            connection = http.client.HTTPConnection(*self.address, timeout=10)
            try:
                connection.connect()
            except OSError:
                return
            try:
                connection.request("GET", "/health")
                assert connection.getresponse().read()
                self.answered += 1
            except (OSError, http.client.HTTPException) as error:
                self.dropped.append(f"{type(error).__name__}: {error}")
            finally:
                connection.close()


@pytest.mark.parametrize("role", ["api", "web"])
def test_a_tier_that_stops_answers_every_connection_that_it_accepted(lab: Lab, app: Running, role: str) -> None:
    tier = lab.start(role)
    wait_for(tier, "/health")
    hammer = Hammer(tier)
    time.sleep(SECONDS)
    code, _ = tier.stop()
    hammer.join()
    tier.remove()
    assert hammer.dropped == []
    assert hammer.answered > CLIENTS
    assert code == 0
