"""A throw-away network with PostgreSQL, Redis and the application's image, each tier in the container that a
production platform would give it: not root, read-only, no capabilities.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import requests
from docker.models.containers import Container

INVENTORY = Path(__file__).resolve().parents[2] / ".toolchain" / "images.json"
LABEL = "ai-platform.app-test"
ROOT = "/srv/ai-review-engine"
DATABASE = "ai_review_prod"
START_SECONDS = 60.0
ANYWHERE = "0.0.0.0"  # noqa: S104  # inside a container
USER = "1234567890:10001"
"""Any user will do, in this group."""
COMMANDS: Mapping[str, tuple[str, tuple[str, ...], int | None]] = {
    "migrate": ("api", ("python", "-m", "schema.migrate"), None),
    "api": ("api", ("python", "-m", "uvicorn", "api.main:app", "--host", ANYWHERE, "--port", "8000"), 8000),
    "worker": ("worker", ("celery", "-A", "tasks", "worker", "--loglevel=info", "-P", "eventlet"), None),
    "beat": ("worker", ("celery", "-A", "tasks", "beat"), None),
    "web": ("web", ("python", "web/app.py"), 5000),
    "dashboard": (
        "dashboard",
        ("streamlit", "run", "dashboard.py", "--server.address", ANYWHERE, "--server.port", "8501"),
        8501,
    ),
}
"""Folder under apps/, command and port of each tier (ARE-002 to ARE-007, ARE-028, ARE-029, ARE-034)."""


def inventory() -> dict[str, str]:
    """Image ids by logical name. Raises `LookupError` with the reason when one of those needed is missing."""
    try:
        content = json.loads(INVENTORY.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LookupError(f"{INVENTORY} is missing: run `make images`") from None
    found = {}
    for name in ("app", "postgres", "redis"):
        image = content.get(name, {}).get("image")
        if not image:
            raise LookupError(f"no image for {name}: {content.get(name, {}).get('reason', 'run `make images`')}")
        found[name] = image
    return found


def eventually(probe: Callable[[], Any], what: str, seconds: float = START_SECONDS) -> Any:
    """The first true answer of `probe`. Raises `AssertionError` with the last error after `seconds`."""
    deadline = time.monotonic() + seconds
    last: object = "never true"
    while time.monotonic() < deadline:
        try:
            answer = probe()
        except requests.RequestException as error:
            last = error
        else:
            if answer:
                return answer
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds:g} s ({last})")


def wait_for(tier: Tier, path: str) -> None:
    """Wait until `GET path` answers with success. Raises `AssertionError`."""
    eventually(lambda: requests.get(tier.url + path, timeout=5).ok, f"{path} of {tier.container.name}")


@dataclass
class Tier:
    """A running container of the lab."""

    container: Container
    port: int | None

    @property
    def url(self) -> str:
        """Where the tier answers, on a random port of the loopback interface."""
        self.container.reload()
        bindings = self.container.ports[f"{self.port}/tcp"]
        assert bindings, f"port {self.port} is not published\n{self.logs()}"
        return f"http://127.0.0.1:{bindings[0]['HostPort']}"

    @property
    def host(self) -> str:
        """Host name inside the container."""
        return str(self.container.attrs["Config"]["Hostname"])

    def logs(self) -> str:
        """Everything on standard output and standard error."""
        text: Any = self.container.logs()
        return str(text.decode())

    def execute(self, *command: str) -> tuple[int, str]:
        """Exit code and output of a command inside the container."""
        result: Any = self.container.exec_run(list(command))
        return result.exit_code, result.output.decode()

    def sql(self, statement: str, database: str = DATABASE) -> str:
        """The rows of a statement, by psql inside the container of PostgreSQL. Raises `AssertionError`."""
        arguments = ["psql", "-w", "-h", "127.0.0.1", "-U", "app", "-d", database, "-v", "ON_ERROR_STOP=1", "-Atqc"]
        command = ["sh", "-c", 'PGPASSWORD=$POSTGRES_PASSWORD exec "$@"', "sh", *arguments, statement]
        code, output = self.execute(*command)
        assert code == 0, output
        return output.strip()

    def stop(self, grace: int = 25) -> tuple[int, float]:
        """Send SIGTERM; exit code and seconds until the end. 137 means that it had to be killed."""
        start = time.monotonic()
        self.container.stop(timeout=grace)
        code: int = self.container.wait()["StatusCode"]
        return code, time.monotonic() - start

    def finish(self, seconds: float = START_SECONDS) -> int:
        """Wait for a command that ends by itself; its exit code."""
        code: int = self.container.wait(timeout=seconds)["StatusCode"]
        return code

    def remove(self) -> None:
        """Kill and remove."""
        self.container.remove(force=True, v=True)


class Lab:
    """Owner of everything that a test run creates in Docker; `close` removes it all."""

    def __init__(self, client: docker.DockerClient, images: Mapping[str, str]) -> None:
        self.client = client
        self.images = images
        self.run = secrets.token_hex(4)
        self.password = secrets.token_hex(16)
        self.network = client.networks.create(f"app-test-{self.run}", labels={LABEL: self.run})
        self.tiers: list[Tier] = []

    def close(self) -> None:
        """Remove every container, then the volumes and the network."""
        for container in self.client.containers.list(all=True, filters={"label": f"{LABEL}={self.run}"}):
            container.remove(force=True, v=True)
        for volume in self.client.volumes.list(filters={"label": f"{LABEL}={self.run}"}):
            volume.remove(force=True)
        self.network.remove()

    @property
    def environment(self) -> dict[str, str]:
        """What a tier needs. The database's host and name come from config/production.yml."""
        broker = f"redis://:{self.password}@redis:6379"
        return {
            "APP_ENVIRONMENT": "production",
            "DATABASE_URL": f"postgresql://app:{self.password}@",
            "CELERY_BROKER_URL": f"{broker}/0",
            "CELERY_RESULT_BACKEND": f"{broker}/1",
            "REDIS_URL": f"{broker}/2",
        }

    def start(
        self,
        role: str,
        *,
        environment: Mapping[str, str] | None = None,
        aliases: tuple[str, ...] = (),
        command: tuple[str, ...] | None = None,
        volumes: Mapping[str, Mapping[str, str]] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> Tier:
        """Start a tier of the application. An environment variable with an empty value is left out."""
        folder, default, port = COMMANDS[role]
        merged = {**self.environment, **(environment or {})}
        tier = self._create(
            self.images["app"],
            aliases,
            port,
            command=[*(command or default), *arguments],
            working_dir=f"{ROOT}/apps/{folder}",
            environment={name: value for name, value in merged.items() if value},
            user=USER,
            read_only=True,
            tmpfs={"/tmp": "size=64m,mode=1777"},  # noqa: S108  # a path inside the container
            volumes=dict(volumes or {}),
        )
        tier.container.start()
        return tier

    def volume(self, name: str) -> str:
        """Create an empty volume; its name in Docker."""
        created: str = self.client.volumes.create(f"app-test-{self.run}-{name}", labels={LABEL: self.run}).name
        return created

    def start_postgres(self) -> Tier:
        """PostgreSQL under the host name of production.yml."""
        tier = self._create(
            self.images["postgres"],
            ("prod-db.internal",),
            None,
            environment={"POSTGRES_USER": "app", "POSTGRES_DB": DATABASE, "POSTGRES_PASSWORD": self.password},
        )
        tier.container.start()

        def accepts() -> bool:
            return tier.execute("pg_isready", "-h", "127.0.0.1", "-U", "app", "-d", DATABASE)[0] == 0

        eventually(accepts, "PostgreSQL accepts connections")
        return tier

    def start_redis(self, alias: str = "redis") -> Tier:
        """Redis with a password."""
        tier = self._create(
            self.images["redis"],
            (alias,),
            None,
            command=["redis-server", "--requirepass", self.password, "--save", "", "--appendonly", "no"],
        )
        tier.container.start()
        return tier

    def _create(self, image: str, aliases: tuple[str, ...], port: int | None, **options: Any) -> Tier:
        container = self.client.containers.create(
            image,
            name=f"app-test-{self.run}-{len(self.tiers)}",
            labels={LABEL: self.run},
            network=self.network.name,
            networking_config={str(self.network.name): self.client.api.create_endpoint_config(aliases=list(aliases))},
            ports={f"{port}/tcp": ("127.0.0.1", 0)} if port else {},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit="1g",
            **options,
        )
        tier = Tier(container, port)
        self.tiers.append(tier)
        return tier
