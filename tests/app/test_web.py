"""The web page over HTTP: form, list, job page, and what browsers are told (ARE-004, ARE-005)."""

from __future__ import annotations

import re

import pytest
import requests

from tests.app.conftest import Running
from tests.app.lab import Lab, eventually, wait_for

EVIL = """<script>alert("x")</script> & 'quotes' "double" </textarea></pre> {{ 7 * 7 }}"""

HASTY = """
import socket, threading
BODY = b'{"jobs": []}'
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n"
def serve(connection):
    connection.recv(65536)
    connection.sendall(HEAD % len(BODY) + BODY)
    connection.recv(65536)
    connection.close()
listening = socket.create_server(("", 8000))
while True:
    threading.Thread(target=serve, args=(listening.accept()[0],)).start()
"""
"""An API that keeps each connection, and closes it instead of answering the second request."""


def get(app: Running, path: str) -> requests.Response:
    return requests.get(app.web.url + path, timeout=10)


def submit(app: Running, text: str, **headers: str) -> requests.Response:
    return requests.post(app.web.url + "/jobs", data={"text": text}, headers=headers, timeout=10, allow_redirects=False)


def test_a_text_goes_from_the_form_through_a_worker_to_the_findings(app: Running) -> None:
    answer = submit(app, "# TODO\r\npassword = 'hunter22'\r\n")
    assert answer.status_code == 303
    path = answer.headers["Location"]
    eventually(lambda: "Findings" in get(app, path).text, "the page shows the findings")
    page = get(app, path).text
    assert "<strong>74</strong> of 100" in page
    assert "looks like a credential" in page
    assert "trailing-space" not in page
    assert 'http-equiv="refresh"' not in page
    index = get(app, "/").text
    assert path in index
    assert 'href="/dashboard/"' in index


def test_what_a_user_typed_is_shown_as_text_and_never_as_markup(app: Running) -> None:
    path = submit(app, EVIL).headers["Location"]
    for page in (get(app, path).text, get(app, "/").text):
        assert "&lt;script&gt;alert(" in page
        assert "<script" not in page
        assert "{{ 7 * 7 }}" in page


def test_a_refused_text_stays_in_the_form(app: Running) -> None:
    answer = submit(app, "NUL \x00 kept" + EVIL)
    assert answer.status_code == 422
    assert "plain text" in answer.text
    assert "&lt;/textarea&gt;" in answer.text
    assert submit(app, "").status_code == 422
    assert submit(app, "x" * 1_000_001).status_code == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://review.example", "Host": "review.example"}, 303),
        ({"Origin": "https://review.example:8443", "Host": "review.example"}, 303),
    ],
)
def test_only_its_own_pages_may_send_the_form(app: Running, headers: dict[str, str], status: int) -> None:
    assert submit(app, "x", **headers).status_code == status


def test_browsers_are_told_to_run_nothing_from_elsewhere(app: Running) -> None:
    answer = get(app, "/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"<style|<script|\sstyle=|\son\w+=|https?://", answer.text)
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', answer.text):
        assert get(app, path).ok


def test_it_is_served_by_a_production_server_with_health_and_metrics(app: Running) -> None:
    answer = get(app, "/health")
    assert (answer.status_code, answer.headers["Server"]) == (200, "gunicorn")
    get(app, "/no/such/page")
    metrics = get(app, "/metrics").text
    assert re.search(r'http_requests_total\{method="GET",route="/",status="200"\} \d', metrics)
    assert re.search(r'http_requests_total\{method="GET",route="unmatched",status="404"\} \d', metrics)
    assert 'http_request_duration_seconds_bucket{le="0.5",method="GET",route="/health",status="200"}' in metrics


def test_unknown_pages_and_jobs_are_not_found(app: Running) -> None:
    for path in ("/no/such/page", "/jobs/x", "/jobs/00000000-0000-4000-8000-000000000000"):
        answer = get(app, path)
        assert answer.status_code == 404
        assert "Back to the reviews" in answer.text


def test_without_the_api_it_is_alive_and_says_so(lab: Lab) -> None:
    web = lab.start("web", environment={"API_URL": "http://no-such-host:8000"})
    wait_for(web, "/health")
    answer = requests.get(web.url + "/", timeout=10)
    assert answer.status_code == 503
    assert "The review service is unavailable." in answer.text
    assert "no-such-host" not in answer.text
    code, seconds = web.stop()
    assert code == 0
    assert seconds < 5
    web.remove()


def test_a_question_that_the_api_left_unanswered_on_a_kept_connection_is_asked_again(lab: Lab) -> None:
    lab.start("api", aliases=("hasty",), command=("python", "-c", HASTY))
    web = lab.start("web", environment={"API_URL": "http://hasty:8000"})
    wait_for(web, "/")
    for _ in range(3):
        assert requests.get(web.url + "/", timeout=10).status_code == 200


@pytest.mark.fact("ARE-097", stack="D")
def test_in_development_it_runs_the_reloading_server_without_its_debugger(lab: Lab, app: Running) -> None:
    web = lab.start("web", environment={"APP_ENVIRONMENT": "development", "FLASK_DEBUG": "1"})
    wait_for(web, "/health")
    assert "Werkzeug" in requests.get(web.url + "/", timeout=10).headers["Server"]
    assert requests.get(web.url + "/console", timeout=10).status_code == 404
    assert "Restarting with" in web.logs()
    assert web.stop()[1] < 5
    web.remove()
