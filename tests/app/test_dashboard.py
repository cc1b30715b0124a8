"""The Streamlit dashboard: its addresses under the base path, its websocket, and the page itself (ARE-006, ARE-060)."""

from __future__ import annotations

import base64
import http.client
import json
import os
from urllib.parse import urlsplit

import pytest
import requests

from tests.app.conftest import Running
from tests.app.lab import Lab, eventually, wait_for

RUN_PAGE = """
import json
from streamlit.testing.v1 import AppTest
page = AppTest.from_file("dashboard.py", default_timeout=30).run()
print(json.dumps({
    "exceptions": [e.value for e in page.exception],
    "errors": [e.value for e in page.error],
    "warnings": [w.value for w in page.warning],
    "title": page.title[0].value,
    "metrics": {m.label: m.value for m in page.metric},
    "headings": [h.value for h in page.subheader],
    "rows": len(page.dataframe[0].value) if len(page.dataframe) else 0,
    "captions": [c.value for c in page.caption],
}))
"""


def test_health_metrics_and_page_are_under_the_base_path(app: Running) -> None:
    for path in ("/dashboard/_stcore/health", "/dashboard/_stcore/metrics", "/dashboard/"):
        assert requests.get(app.dashboard.url + path, timeout=10).ok
    assert "session_events" in requests.get(app.dashboard.url + "/dashboard/_stcore/metrics", timeout=10).text
    assert not requests.get(app.dashboard.url + "/_stcore/health", timeout=10).ok


def upgrade(app: Running, host: str, origin: str) -> int:
    """Status of a websocket handshake as a proxy would forward it."""
    connection = http.client.HTTPConnection(urlsplit(app.dashboard.url).netloc, timeout=10)
    headers = {
        "Host": host,
        "Origin": origin,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Protocol": "streamlit",
    }
    connection.request("GET", "/dashboard/_stcore/stream", headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize(("origin", "status"), [("https://review.example:8443", 101), ("https://evil.example", 403)])
def test_its_websocket_opens_for_its_own_page_only(app: Running, origin: str, status: int) -> None:
    assert upgrade(app, "review.example:8443", origin) == status


def run_page(app: Running, api_url: str = "http://api:8000") -> str:
    code, output = app.dashboard.execute("env", f"API_URL={api_url}", "python", "-c", RUN_PAGE)
    assert code == 0, output
    return output.splitlines()[-1]


def test_the_page_shows_states_scores_and_the_scheduler(app: Running) -> None:
    created = requests.post(app.api.url + "/jobs", json={"text": "x"}, timeout=10).json()["id"]
    done = f"{app.api.url}/jobs/{created}"
    eventually(lambda: requests.get(done, timeout=5).json()["state"] == "done", "the job is done")
    page = json.loads(run_page(app))
    assert (page["exceptions"], page["errors"]) == ([], [])
    assert page["title"] == "AI Review Engine"
    assert int(page["metrics"]["Done"]) >= 1
    assert 0 <= int(page["metrics"]["Mean score"]) <= 100
    assert page["headings"] == ["Jobs over time (UTC)", "Scores", "Latest jobs"]
    assert 1 <= page["rows"] <= 20
    assert page["captions"][0].startswith("Last tick of the scheduler: ")


def test_the_page_says_when_the_api_does_not_answer(app: Running) -> None:
    page = json.loads(run_page(app, "http://no-such-host:8000"))
    assert page["exceptions"] == []
    assert page["errors"] == ["The API does not answer. The page tries again by itself."]


def test_it_asks_no_server_on_the_internet_and_stops_on_request(lab: Lab, app: Running) -> None:
    dashboard = lab.start("dashboard")
    wait_for(dashboard, "/_stcore/health")
    assert "external IP" not in dashboard.logs()
    code, seconds = dashboard.stop()
    assert code == 0
    assert seconds < 5
    dashboard.remove()
