import re
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Network

from platforms.docker import nginx
from platforms.docker.nginx import Backend

SCRAPERS = IPv4Network("10.1.2.0/26")

WEB = Backend(
    path="/",
    host="web.system",
    port=5000,
    replicas=2,
    strip_prefix=False,
    websocket=False,
    sticky=False,
    timeout=60,
    max_body=1000,
    private=("metrics",),
)
API = replace(WEB, path="/api/", host="api.system", port=8000, strip_prefix=True)
DASHBOARD = replace(WEB, path="/dashboard/", host="dashboard.system", port=8501, websocket=True, sticky=True)


def render(hosts: dict[str, Sequence[Backend]], *, https_port: int) -> str:
    """The configuration as text."""
    return nginx.render(hosts, https_port=https_port, scrapers=SCRAPERS)


def block(text: str, opening: str) -> str:
    """The text between `opening` and the brace that closes it."""
    start = text.index(opening)
    depth = 0
    for position in range(text.index("{", start), len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start : position + 1]
    raise AssertionError(f"{opening} is not closed")


def test_upstreams_are_resolved_at_run_time() -> None:
    location = block(render({"localhost": [WEB]}, https_port=443), "location / {\n      set")
    assert "set $backend web.system;" in location
    assert "proxy_pass http://$backend:5000;" in location


def test_a_request_goes_on_until_a_replica_takes_it_but_is_never_sent_twice_unless_it_may_be() -> None:
    text = render({"localhost": [WEB]}, https_port=443)
    assert "proxy_next_upstream error timeout;" in text
    assert "proxy_next_upstream_tries 0;" in text
    assert "non_idempotent" not in text


def test_a_stripped_prefix_is_cut_off_and_told() -> None:
    location = block(render({"localhost": [API]}, https_port=443), "location /api/ {")
    assert "rewrite ^/api/(.*)$ /$1 break;" in location
    assert "proxy_set_header X-Forwarded-Prefix /api;" in location


def test_a_kept_prefix_is_not_rewritten() -> None:
    assert "rewrite" not in render({"localhost": [DASHBOARD]}, https_port=443)


def test_a_sticky_route_spreads_clients_over_the_replicas_and_falls_back_to_any() -> None:
    text = render({"localhost": [replace(DASHBOARD, replicas=3)]}, https_port=443)
    pick = block(text, "split_clients")
    assert [line.split()[-1] for line in pick.splitlines()[1:-1]] == [
        "dashboard-0.system;",
        "dashboard-1.system;",
        "dashboard-2.system;",
    ]
    (fallback,) = re.findall(r"error_page 502 504 = @(replica_localhost_dashboard_[0-9a-f]{8}_any);", text)
    assert "set $backend dashboard.system;" in block(text, f"location @{fallback} {{")


def test_hosts_that_look_alike_have_a_choice_of_replicas_each() -> None:
    text = render({"a-b.example": [DASHBOARD], "a.b.example": [DASHBOARD]}, https_port=443)
    assert len(set(re.findall(r"^  split_clients .* \$(\w+) {$", text, re.MULTILINE))) == 2


def test_one_replica_needs_no_stickiness() -> None:
    assert "split_clients" not in render({"localhost": [replace(DASHBOARD, replicas=1)]}, https_port=443)


def test_private_paths_answer_404() -> None:
    text = render({"localhost": [WEB, API]}, https_port=443)
    assert "location = /metrics { return 404; }" in text
    assert "location = /api/metrics { return 404; }" in text


def test_a_prefix_without_its_slash_is_redirected() -> None:
    assert "location = /api { return 308 /api/; }" in render({"localhost": [API]}, https_port=443)


def test_plain_http_is_redirected_to_the_public_port() -> None:
    assert "return 308 https://$host$request_uri;" in render({"localhost": [WEB]}, https_port=443)
    assert "return 308 https://$host:8443$request_uri;" in render({"localhost": [WEB]}, https_port=8443)


def test_each_host_has_a_server_with_its_own_routes_and_security_headers() -> None:
    text = render({"one.localhost": [WEB], "two.localhost": [API]}, https_port=443)
    for host, mine, other in (("one", "web.system", "api.system"), ("two", "api.system", "web.system")):
        start = text.index(f"server_name {host}.localhost;")
        server = block(text[text.rindex("server {", 0, start) :], "server {")
        assert mine in server
        assert other not in server
        assert "Strict-Transport-Security" in server


def test_only_current_tls_versions_are_spoken() -> None:
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in render({"localhost": [WEB]}, https_port=443)


def test_connection_counts_are_for_the_scrapers_alone() -> None:
    text = render({"localhost": [WEB]}, https_port=443)
    assert "geo $scraper { default 0; 10.1.2.0/26 1; }" in text
    assert "if ($scraper = 0) { return 403; }" in block(text, "location = /metrics {")
