"""The edge: one NGINX that owns the host's ports and routes by host name to the systems (ARE-052 … ARE-056).

Its configuration lies in a volume. A job checks each new configuration (`nginx -t`) before it puts it there, so a
broken one stops the roll-out and never reaches the running proxy, which reloads, without dropping a connection, when it
sees a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pulumi_random as random
from pulumi import Output, Resource, ResourceOptions

from platforms.certificates import derive
from platforms.docker import nginx
from platforms.docker.context import grant_of
from platforms.docker.workloads import DockerWorkloads
from platforms.specs import (
    MIB,
    Endpoint,
    Health,
    HttpProbe,
    JobSpec,
    PublishedPort,
    Resources,
    Route,
    ServiceSpec,
    Volume,
)

STATE = "/var/cache/nginx"
"""Folder of the volume: writable for the image's own user."""
USER = "101:101"
RESOURCES = Resources(cpu=1.0, memory=128 * MIB, processes=256)
INSTALL = f"""\
set -eu
nginx -t -q -c /etc/edge/nginx.conf
revision=$(cat /etc/edge/* | sha256sum | cut -c1-16)
rm -rf {STATE}/next && mkdir {STATE}/next && cp /etc/edge/* {STATE}/next/
rm -rf "{STATE}/$revision" && mv {STATE}/next "{STATE}/$revision"
ln -sfn "$revision" {STATE}/current.new && mv -T {STATE}/current.new {STATE}/current
for old in {STATE}/*/; do
  case "$old" in "{STATE}/$revision/"|{STATE}/current/) ;; *) rm -rf "$old" ;; esac
done
"""
RUN = f"""\
serving=$(readlink {STATE}/current)
(while sleep 1; do
  wanted=$(readlink {STATE}/current)
  if [ "$wanted" != "$serving" ]; then
    nginx -c {STATE}/current/nginx.conf -s reload && serving=$wanted
  fi
done) &
exec nginx -c {STATE}/current/nginx.conf -g 'daemon off;'
"""


@dataclass(frozen=True, kw_only=True)
class LocalAuthority:
    """Certificates from an authority of the stack's own."""

    rotation: int
    """Another number makes other keys."""


@dataclass(frozen=True, kw_only=True)
class GivenCertificate:
    """A certificate that the configuration names."""

    certificate: str
    """PEM, with its chain."""
    key: Output[str]
    """PEM, secret."""


@dataclass(frozen=True, kw_only=True)
class EdgeSettings:
    """Where the edge listens, and as whom."""

    http_port: int
    https_port: int
    tls: LocalAuthority | GivenCertificate


def proxy(image: str) -> ServiceSpec:
    """The proxy as a service, still without routes."""
    return ServiceSpec(
        service="edge",
        role="proxy",
        image=image,
        entrypoint=("/bin/sh", "-c"),
        command=(RUN,),
        user=USER,
        port=nginx.METRICS_PORT,
        resources=RESOURCES,
        rollout="exclusive",
        health=Health(probe=HttpProbe(path="/edge-health", port=nginx.HTTP_PORT)),
        # Lets the requests that are under way end.
        stop_signal="SIGQUIT",
    )


@dataclass
class EdgeProxy:
    """The one proxy of the stack."""

    workloads: DockerWorkloads
    settings: EdgeSettings
    metrics: Endpoint
    """Connection counts, in Prometheus' format."""
    _routes: dict[str, list[Route]] = field(default_factory=dict)
    _authority: Output[str] | None = None

    def add(self, host: str, routes: Sequence[Route]) -> None:
        """Route a host. Raises ValueError when the host is routed already."""
        if host in self._routes:
            raise ValueError(f"host {host!r} is published twice; give each system a host name of its own")
        self._routes[host] = sorted(routes, key=lambda route: -len(route.path))

    @property
    def authority(self) -> Output[str] | None:
        """The local authority's certificate, for clients to trust; None when the certificate was given."""
        return self._authority

    def open(self, name: str, *, parent: Resource) -> None:
        """Install the configuration of all routes, and listen; without a route there is nothing to open."""
        if not self._routes:
            return
        hosts = {host: [_backend(route) for route in routes] for host, routes in self._routes.items()}
        certificate, key = self._certificates(name, parent)
        image, volume = self.workloads.context.images.engine("nginx"), Volume(name="edge-config")
        installed = self.workloads.run_once(
            f"{name}-install",
            JobSpec(
                service="edge-install",
                image=image,
                entrypoint=("/bin/sh", "-c"),
                command=(INSTALL,),
                user=USER,
                resources=RESOURCES,
                files={
                    "/etc/edge/nginx.conf": nginx.render(
                        hosts, https_port=self.settings.https_port, scrapers=grant_of(self.metrics).subnet
                    ),
                    "/etc/edge/tls.crt": certificate,
                },
                secret_files={"/etc/edge/tls.key": key},
                volumes={STATE: volume},
            ),
            parent=parent,
        )
        self.workloads.serve(
            name,
            replace(
                proxy(image),
                volumes={STATE: volume},
                uses=[route.endpoint for routes in self._routes.values() for route in routes],
                after=[installed],
                publish=[
                    PublishedPort(internal=nginx.HTTP_PORT, external=self.settings.http_port),
                    PublishedPort(internal=nginx.HTTPS_PORT, external=self.settings.https_port),
                ],
            ),
            parent=parent,
            endpoint=self.metrics,
        )

    def _certificates(self, name: str, parent: Resource) -> tuple[Output[str], Output[str]]:
        tls = self.settings.tls
        if isinstance(tls, GivenCertificate):
            return Output.from_input(tls.certificate), tls.key
        # Not RandomBytes: its bytes are its id, too, which the state does not encrypt.
        seed = random.RandomPassword(
            f"{name}-tls-seed",
            length=64,
            special=False,
            keepers={"rotation": str(tls.rotation)},
            opts=ResourceOptions(parent=parent),
        )
        stack, hosts = self.workloads.context.stack, sorted(self._routes)
        derived = seed.result.apply(lambda text: derive(text.encode(), stack, hosts))
        self._authority = Output.unsecret(derived.apply(lambda one: one.authority))
        return Output.unsecret(derived.apply(lambda one: one.certificate)), derived.apply(lambda one: one.key)


@dataclass(frozen=True)
class DockerEdge:
    """Implements `platforms.protocols.Edge` for one system: the proxy is the stack's."""

    proxy: EdgeProxy

    def url(self, host: str) -> str:
        """Where `host` is reached, without a slash at the end."""
        return f"https://{host}{nginx.port_suffix(self.proxy.settings.https_port)}"

    def route(self, name: str, host: str, routes: Sequence[Route], *, parent: Resource) -> None:
        """Publish `routes` under `host`."""
        del name, parent  # The routes become one configuration file of the proxy, no resource of their own.
        self.proxy.add(host, routes)


def _backend(route: Route) -> nginx.Backend:
    grant = grant_of(route.endpoint)
    return nginx.Backend(
        path=route.path,
        host=grant.edge_host,
        port=route.endpoint.port,
        replicas=grant.replicas,
        strip_prefix=route.strip_prefix,
        websocket=route.websocket,
        sticky=route.sticky,
        timeout=route.timeout,
        max_body=route.max_body,
        private=route.private,
    )
