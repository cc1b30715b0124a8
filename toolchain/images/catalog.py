"""The one table of images: upstream reference, and how to build the same interface from Debian packages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Image:
    """One logical image of the inventory."""

    name: str
    upstream: str | None = None
    """Reference in a public registry; None: always built."""
    digest: str | None = None
    """Manifest digest of `upstream`; where it is known, only that content is accepted."""
    build: bool = True
    """Whether `toolchain/images/<name>/Dockerfile` can build it."""
    parent: str = "base"
    """The image handed to the Dockerfile as build argument BASE."""
    package: str | None = None
    """Debian package whose version the build notes in `/etc/image-version`."""
    version: str | None = None
    """Version of `upstream`, and of a build that has no Debian package."""
    internal: bool = False
    """A parent of other images: not listed in the inventory."""
    requirements: str | None = None
    """Requirements file (relative to the root of the repository) whose wheels go into the build context."""
    context: str | None = None
    """Folder of the build context, relative to the root of the repository; None: the image's own folder."""
    tag_prefix: str = ""
    """What the tag of a build starts with, for programs that read a version from it."""

    @property
    def reference(self) -> str | None:
        """What is pulled: by digest where it is known."""
        return f"{self.upstream}@{self.digest}" if self.upstream and self.digest else self.upstream


CATALOG: tuple[Image, ...] = (
    Image(name="base", internal=True),
    Image(name="python", upstream="python:3.11-slim-bookworm", internal=True, package="python3.11", version="3.11"),
    Image(name="postgres", upstream="postgres:15.14-bookworm", package="postgresql-15", version="15.14"),
    Image(
        name="postgres-cnpg",
        upstream="ghcr.io/cloudnative-pg/postgresql:15.14",
        package="postgresql-15",
        version="15.14",
        # The operator refuses an image whose tag does not start with PostgreSQL's version.
        tag_prefix="15-",
    ),
    Image(name="redis", upstream="redis:7.2.10-bookworm", package="redis-server", version="7.2.10"),
    Image(name="nginx", upstream="nginxinc/nginx-unprivileged:1.28.0-bookworm", package="nginx", version="1.28.0"),
    Image(name="prometheus", upstream="prom/prometheus:v2.53.5", package="prometheus", version="2.53.5"),
    Image(
        name="node-exporter",
        upstream="prom/node-exporter:v1.9.1",
        package="prometheus-node-exporter",
        version="1.9.1",
    ),
    Image(
        name="postgres-exporter",
        upstream="prometheuscommunity/postgres-exporter:v0.17.1",
        package="prometheus-postgres-exporter",
        version="0.17.1",
    ),
    Image(
        name="redis-exporter",
        upstream="oliver006/redis_exporter:v1.74.0-alpine",
        package="prometheus-redis-exporter",
        version="1.74.0",
    ),
    Image(
        name="celery-exporter",
        upstream="danihodovic/celery-exporter:0.11.2",
        parent="python",
        version="0.11.2",
        requirements="toolchain/images/celery-exporter/requirements.txt",
    ),
    Image(
        name="backup",
        parent="python",
        package="postgresql-client-15",
        requirements="toolchain/images/backup/requirements.txt",
    ),
    Image(name="grafana", upstream="grafana/grafana:11.6.0", version="11.6.0", build=False),
    Image(
        name="app",
        parent="python",
        version="1.0.0",
        requirements="examples/app/requirements.txt",
        context="examples/app",
    ),
)
