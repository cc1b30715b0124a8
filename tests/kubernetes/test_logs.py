"""What the tiers wrote can be read where a cluster keeps it, line by line, and one piece of work be followed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.kubernetes.stack import Object, Stack
from tests.support.deployment import eventually

STREAMLIT = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO dashboard .*8501$", re.MULTILINE)
"""Streamlit writes its lines itself."""
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$")


def records(stack: Stack, tier: str) -> Iterator[Object]:
    """The lines of a tier that are records; what a library says before the logging is set up is none."""
    for line in stack.log(tier).splitlines():
        if line.startswith("{"):
            yield json.loads(line)


@pytest.mark.fact("ARE-113", stack="S")
def test_a_job_is_followed_through_the_logs_of_all_four_tiers(stack: Stack) -> None:
    assert stack.get("/").status == 200
    job = stack.post("/api/jobs", {"text": "followed"}).json["id"]
    wanted = {
        "web": '"GET / HTTP/1.1" 200',
        "api": '"POST /api/jobs HTTP/1.1" 201',
        "worker": f"job {job}: score",
    }
    for tier, words in wanted.items():
        found = eventually(
            lambda: [one for one in records(stack, tier) if words in one["message"]],  # noqa: B023
            what=f"a line of {tier} with {words}",
        )
        for record in found:
            assert set(record) >= {"time", "level", "service", "logger", "message"}, record
            assert TIME.match(record["time"]), record
            assert (record["service"], record["level"]) == (tier, "info"), record
    assert STREAMLIT.search(stack.log("dashboard"))
