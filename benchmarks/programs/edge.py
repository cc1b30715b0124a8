"""The edge before one static page: what the proxy's throughput is measured on."""

from __future__ import annotations

import pulumi
from pulumi import ResourceOptions

from components.app_tier import AppTier, AppTierArgs
from components.foundation import Foundation, FoundationArgs
from components.ingress import Ingress, IngressArgs
from components.system import System, SystemArgs
from config import SystemFacts, load
from platforms.registry import make_platform
from platforms.specs import MIB, Resources, Route

NAME = "bench"
PATH = "/page/"
PORT = 8000
PAGE = f"""\
worker_processes 1;
pid /tmp/nginx.pid;
error_log /dev/stderr warn;
events {{ worker_connections 1024; }}
http {{
  client_body_temp_path /tmp/client-body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  access_log off;
  server {{
    listen {PORT};
    location / {{ default_type text/plain; return 200 "0123456789abcdef\\n"; }}
  }}
}}
"""


def main() -> None:
    """Deploy the current stack."""
    stack = load(catalogue={NAME: SystemFacts(services={}, reserved_env=frozenset())})
    foundation = Foundation("foundation", FoundationArgs(domain=stack.domain), make_platform(stack, pulumi.get_stack()))
    root = System(NAME, SystemArgs(host=stack.domain), foundation)
    page = AppTier(
        f"{NAME}-page",
        AppTierArgs(
            service="page",
            image=root.scope.image("nginx"),
            command=("nginx", "-c", "/etc/page/nginx.conf", "-g", "daemon off;"),
            working_dir="/",
            port=PORT,
            health_path="/",
            resources=Resources(cpu=1.0, memory=128 * MIB),
            replicas=1,
            files={"/etc/page/nginx.conf": PAGE},
        ),
        root.scope,
        ResourceOptions(parent=root),
    )
    routes = [Route(path=PATH, endpoint=page.endpoint)]
    Ingress(f"{NAME}-ingress", IngressArgs(host=root.host, routes=routes), root.scope, ResourceOptions(parent=root))
    foundation.open()
    pulumi.export("url", f"{root.url}{PATH}")


if __name__ == "__main__":
    main()
