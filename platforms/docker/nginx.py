"""The NGINX configuration of the edge, as text: a pure function of the routes.

Upstream names are resolved at run time through Docker's DNS (`resolver` and a variable in `proxy_pass`), so that
replacing a container needs no reload. The DNS also names containers that start or stop: a request whose connection
fails goes to the next one, until one takes it; a POST does so only as long as nothing of it was sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

from platforms.headers import SECURITY

HTTP_PORT = 8080
HTTPS_PORT = 8443
METRICS_PORT = 9113

FORWARDED = (
    ("Host", "$http_host"),
    ("Connection", "$connection_upgrade"),
    ("Upgrade", "$http_upgrade"),
    ("X-Real-IP", "$remote_addr"),
    ("X-Forwarded-For", "$remote_addr"),
    ("X-Forwarded-Proto", "$scheme"),
    ("X-Forwarded-Host", "$http_host"),
    ("X-Request-ID", "$request_id"),
)
"""Headers that every service gets; what a client sends under these names is not passed on."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One route of one host, with everything that NGINX must know of it."""

    path: str
    host: str
    """Name that every replica answers to."""
    port: int
    replicas: int
    strip_prefix: bool
    websocket: bool
    sticky: bool
    timeout: int
    max_body: int
    private: tuple[str, ...]

    def replica(self, index: int) -> str:
        """Name that one replica answers to."""
        first, _, rest = self.host.partition(".")
        return f"{first}-{index}.{rest}" if rest else f"{first}-{index}"


def render(hosts: Mapping[str, Sequence[Backend]], *, https_port: int, scrapers: IPv4Network) -> str:
    """The whole `nginx.conf`.

    `https_port` is the port that clients see, for redirects; `scrapers` are the addresses that may ask for metrics.
    """
    picks = [
        _pick(_variable(host, backend), backend)
        for host, backends in hosts.items()
        for backend in backends
        if _is_pinned(backend)
    ]
    servers = [_server(host, backends) for host, backends in hosts.items()]
    return "\n".join(
        [_head(), *picks, _plain_server(https_port), _metrics_server(scrapers), _unknown_host(), *servers, "}\n"]
    )


def port_suffix(https_port: int) -> str:
    """What stands behind the host name in URLs: nothing for the port that `https` implies."""
    return "" if https_port == 443 else f":{https_port}"  # noqa: PLR2004


def _head() -> str:
    return """\
worker_processes auto;
pid /tmp/nginx.pid;
error_log /dev/stderr warn;
events { worker_connections 4096; }
http {
  client_body_temp_path /tmp/client-body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  server_tokens off;
  default_type application/octet-stream;
  log_format json escape=json '{"time":"$time_iso8601","client":"$remote_addr","method":"$request_method",'
    '"host":"$host","uri":"$uri","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,'
    '"upstream":"$upstream_addr","request_id":"$request_id"}';
  access_log /dev/stdout json;

  server_names_hash_bucket_size 512;
  server_names_hash_max_size 4096;
  variables_hash_bucket_size 256;
  variables_hash_max_size 4096;
  resolver 127.0.0.11 valid=1s ipv6=off;
  resolver_timeout 10s;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }

  ssl_certificate tls.crt;
  ssl_certificate_key tls.key;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
  ssl_prefer_server_ciphers off;
  ssl_session_cache shared:tls:2m;
  ssl_session_timeout 1d;
  ssl_session_tickets off;

  proxy_http_version 1.1;
  proxy_connect_timeout 1s;
  proxy_next_upstream error timeout;
  proxy_next_upstream_tries 0;
  proxy_next_upstream_timeout 15s;
"""


def _plain_server(https_port: int) -> str:
    return f"""\
  server {{
    listen {HTTP_PORT} default_server;
    location = /edge-health {{ access_log off; default_type text/plain; return 200 "ok\\n"; }}
    location / {{ return 308 https://$host{port_suffix(https_port)}$request_uri; }}
  }}"""


def _metrics_server(scrapers: IPv4Network) -> str:
    return f"""\
  geo $scraper {{ default 0; {scrapers} 1; }}
  server {{
    listen {METRICS_PORT};
    access_log off;
    location = /metrics {{
      # `allow` and `deny` would come too late: `return` answers before they are looked at.
      if ($scraper = 0) {{ return 403; }}
      default_type text/plain;
      return 200 "nginx_connections_active $connections_active
nginx_connections_reading $connections_reading
nginx_connections_writing $connections_writing
nginx_connections_waiting $connections_waiting
";
    }}
  }}"""


def _unknown_host() -> str:
    return f"""\
  server {{
    listen {HTTPS_PORT} ssl http2 default_server;
    return 421;
  }}"""


def _server(host: str, backends: Sequence[Backend]) -> str:
    locations = "\n".join(_location(host, backend) for backend in backends)
    security = "\n".join(
        f'    proxy_hide_header {name};\n    add_header {name} "{value}" always;' for name, value in SECURITY
    )
    return f"""\
  server {{
    listen {HTTPS_PORT} ssl http2;
    server_name {host};
{security}
{locations}
  }}"""


def _location(host: str, backend: Backend) -> str:
    bare = backend.path.rstrip("/")
    variable = _variable(host, backend)
    lines = [f"    location {backend.path} {{"]
    if _is_pinned(backend):
        # The client's own replica may be gone: then any other will do.
        lines += [f"      set $backend ${variable};", f"      error_page 502 504 = @{variable}_any;"]
    else:
        lines.append(f"      set $backend {backend.host};")
    lines += _proxy(backend) + ["    }"]
    if _is_pinned(backend):
        lines += [f"    location @{variable}_any {{", f"      set $backend {backend.host};", *_proxy(backend), "    }"]
    lines += [f"    location = {backend.path}{path} {{ return 404; }}" for path in backend.private]
    if bare:
        lines.append(f"    location = {bare} {{ return 308 {backend.path}; }}")
    return "\n".join(lines)


def _proxy(backend: Backend) -> list[str]:
    lines = [
        f"      client_max_body_size {backend.max_body};",
        f"      proxy_read_timeout {backend.timeout}s;",
        f"      proxy_send_timeout {backend.timeout}s;",
    ]
    if backend.websocket:
        lines.append("      proxy_buffering off;")
    lines += [f"      proxy_set_header {name} {value};" for name, value in FORWARDED]
    if backend.strip_prefix and backend.path != "/":
        lines += [
            f"      proxy_set_header X-Forwarded-Prefix {backend.path.rstrip('/')};",
            f"      rewrite ^{backend.path}(.*)$ /$1 break;",
        ]
    lines.append(f"      proxy_pass http://$backend:{backend.port};")
    return lines


def _is_pinned(backend: Backend) -> bool:
    return backend.sticky and backend.replicas > 1


def _variable(host: str, backend: Backend) -> str:
    # A digest, since NGINX bounds names of variables, and `a-b.c` and `a.b.c` need one each.
    route = f"{host}{backend.path}"
    readable = "".join(c if c.isalnum() else "_" for c in route).strip("_")[:32]
    return f"replica_{readable}_{hashlib.sha256(route.encode()).hexdigest()[:8]}"


def _pick(variable: str, backend: Backend) -> str:
    share = 100 / backend.replicas
    parts = [f"    {share:.2f}% {backend.replica(index)};" for index in range(backend.replicas - 1)]
    parts.append(f"    * {backend.replica(backend.replicas - 1)};")
    body = "\n".join(parts)
    return f'  split_clients "$remote_addr $http_user_agent" ${variable} {{\n{body}\n  }}\n'
