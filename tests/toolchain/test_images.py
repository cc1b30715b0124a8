"""The images of this machine: complete, small in rights, and with the interface of the official ones."""

from __future__ import annotations

import contextlib
import io
import secrets
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container
from docker.models.volumes import Volume

from tests.toolchain.conftest import lacking
from toolchain.images import __main__ as images
from toolchain.images import base
from toolchain.images.catalog import CATALOG
from toolchain.images.workshop import Entry

LISTED = [image for image in CATALOG if not image.internal]
SECONDS = 60
UIDS = {
    "app": "10001",
    "postgres": "999",
    "postgres-cnpg": "26",
    "redis": "999",
    "nginx": "101",
    "prometheus": "65534",
    "node-exporter": "65534",
    "postgres-exporter": "65534",
    "redis-exporter": "59000",
    "celery-exporter": "65534",
    "backup": "10001",
}
"""Users of the official images; the platform sets them for pulled images, whose default may be root."""
PROBES: dict[str, tuple[int, str]] = {
    "nginx": (8080, "/"),
    "prometheus": (9090, "/-/healthy"),
    "node-exporter": (9100, "/metrics"),
    "postgres-exporter": (9187, "/metrics"),
    "redis-exporter": (9121, "/metrics"),
}
"""Port and page of the servers that answer with nothing behind them."""

Start = Callable[..., Container]


@pytest.fixture
def start(engine: DockerClient, inventory: dict[str, Entry]) -> Iterator[Start]:
    """Runs images as the platform does: read-only root, no capabilities; removes the containers afterwards."""
    started: list[Container] = []

    def run(name: str, command: list[str] | None = None, **options: Any) -> Container:
        container = engine.containers.run(
            identity(inventory, name),
            command,
            detach=True,
            user=options.pop("user", UIDS[name]),
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit="512m",
            pids_limit=200,
            tmpfs={"/tmp": "rw,mode=1777", **options.pop("tmpfs", {})},
            network_mode=options.pop("network_mode", "bridge"),
            labels={"toolchain-test": "true"},
            **options,
        )
        started.append(container)
        return container

    yield run
    for container in started:
        with contextlib.suppress(NotFound):
            container.remove(force=True, v=True)


@pytest.fixture
def volume(engine: DockerClient) -> Iterator[Volume]:
    """An empty named volume."""
    made = engine.volumes.create(f"toolchain-test-{secrets.token_hex(4)}")
    yield made
    made.remove(force=True)


def identity(inventory: dict[str, Entry], name: str) -> str:
    """The id of an image that must be there."""
    entry = inventory.get(name)
    if entry is None or entry["image"] is None:
        lacking(f"image {name} is missing: {entry and entry.get('reason')}")
    assert entry is not None and entry["image"] is not None
    return entry["image"]


def execute(container: Container, *command: str) -> tuple[int | None, str]:
    """Exit code and output of a command in the container."""
    code, output = container.exec_run(list(command))
    assert isinstance(output, bytes)
    return code, output.decode()


def eventually(container: Container, *command: str, code: int = 0) -> str:
    """The output of a command in the container, once it ends with `code`."""
    end = time.monotonic() + SECONDS
    while True:
        container.reload()
        assert container.status == "running", container.logs(tail=20).decode()
        status, output = execute(container, *command)
        if status == code:
            return output
        assert time.monotonic() < end, f"{command}: {output}\n{container.logs(tail=20).decode()}"
        time.sleep(0.3)


def test_the_inventory_lists_every_image_and_where_it_comes_from(inventory: dict[str, Entry]) -> None:
    assert sorted(inventory) == sorted(image.name for image in LISTED)
    for name, entry in inventory.items():
        if entry["source"] == "missing":
            assert entry["image"] is None and entry["reason"], name
        else:
            assert entry["source"] in {"pulled", "built"}, name
            assert str(entry["image"]).startswith("sha256:") and entry["reference"] and entry["version"], name


def test_an_inventory_that_was_cut_short_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "INVENTORY", tmp_path / "images.json")
    images._write({"redis": {"image": "sha256:1", "source": "built"}})
    assert images.read_inventory()["redis"]["image"] == "sha256:1"
    content = images.INVENTORY.read_text()
    images.INVENTORY.write_text(content[: len(content) // 2])
    assert images.read_inventory() == {}


def test_only_what_nothing_can_build_may_be_missing(inventory: dict[str, Entry]) -> None:
    missing = {name for name, entry in inventory.items() if entry["source"] == "missing"}
    assert missing <= {image.name for image in LISTED if not image.build}


def test_no_reference_is_latest() -> None:
    for image in CATALOG:
        if image.upstream:
            assert image.upstream.rpartition(":")[2] not in {"", "latest"}, image.name
            assert "/" not in image.upstream.rpartition(":")[2], f"{image.name} has no tag"


def test_built_images_run_as_their_own_user_and_carry_no_package_lists(
    engine: DockerClient, inventory: dict[str, Entry]
) -> None:
    built = sorted(name for name, entry in inventory.items() if entry["source"] == "built")
    assert "app" in built, "no registry has it"
    for name in built:
        config = engine.images.get(identity(inventory, name)).attrs["Config"]
        assert config["User"].partition(":")[0] == UIDS[name], name
        assert not config.get("Labels"), f"{name}: labels of an image become labels of its containers"
        lists = "find /var/lib/apt/ /var/cache/ -type f -name '*[Pp]ackages*' -o -name '*.deb' -o -name '*.bin'"
        output = engine.containers.run(
            identity(inventory, name),
            ["-ec", lists],
            entrypoint="sh",
            user="0",
            remove=True,
            network_disabled=True,
            labels={"toolchain-test": "true"},
        )
        assert output == b"", name


@pytest.mark.parametrize("name", sorted(PROBES))
def test_a_server_answers_with_a_read_only_root_and_no_capabilities(name: str, start: Start) -> None:
    port, page = PROBES[name]
    options: dict[str, Any] = {"environment": {"DATA_SOURCE_URI": "127.0.0.1:1/none", "REDIS_ADDR": "127.0.0.1:1"}}
    if name == "prometheus":
        options["tmpfs"] = {"/prometheus": "rw,uid=65534"}
    container = start(name, **options)
    url = f"http://127.0.0.1:{port}{page}"
    eventually(container, "sh", "-c", f"wget -q -O /dev/null {url} || curl -fsS -o /dev/null {url}")


def test_the_first_start_of_postgres_makes_the_database_and_the_second_finds_it(
    volume: Volume, start: Start, engine: DockerClient, inventory: dict[str, Entry]
) -> None:
    password = secrets.token_urlsafe(16)
    options: dict[str, Any] = {
        "environment": {"POSTGRES_USER": "app", "POSTGRES_DB": "orders", "POSTGRES_PASSWORD_FILE": "/run/secrets/pw"},
        "volumes": {volume.name: {"bind": "/var/lib/postgresql/data"}},
    }
    holder = secret_volume(engine, identity(inventory, "postgres"), password)
    options["volumes"][holder.name] = {"bind": "/run/secrets"}
    try:
        first = start("postgres", **options)
        ready = ("pg_isready", "-h", "127.0.0.1", "-U", "app", "-d", "orders")
        eventually(first, *ready)
        query = "CREATE TABLE t AS SELECT 41 + 1 AS n; TABLE t"
        client = f"PGPASSWORD={password} psql -h $(hostname -i) -U app -d orders -tAc"
        login = ["sh", "-c", f"{client} '{query}'"]
        assert eventually(first, *login).strip().endswith("42")
        wrong = "PGPASSWORD=wrong psql -h $(hostname -i) -U app -d orders -c 'SELECT 1'"
        code, said = execute(first, "sh", "-c", wrong)
        assert code != 0 and "password authentication failed" in said
        begun = time.monotonic()
        first.stop(timeout=30)
        assert time.monotonic() - begun < 10, "SIGINT is PostgreSQL's fast shutdown"
        assert first.wait()["StatusCode"] == 0
        assert b"database system is shut down" in first.logs()
        first.remove()
        second = start("postgres", **options)
        eventually(second, *ready)
        found = ["sh", "-c", f"PGPASSWORD={password} psql -h 127.0.0.1 -U app -d orders -tAc 'TABLE t'"]
        assert eventually(second, *found).strip() == "42"
        assert password.encode() not in second.logs()
        second.stop(timeout=30)
        second.remove(v=True)
    finally:
        for container in engine.containers.list(all=True, filters={"volume": holder.name}):
            container.remove(force=True)
        holder.remove(force=True)


def secret_volume(engine: DockerClient, image: str, password: str) -> Volume:
    """A volume with the file `pw`."""
    made = engine.volumes.create(f"toolchain-test-{secrets.token_hex(4)}")
    carrier = engine.containers.create(image, ["true"], volumes={made.name: {"bind": "/secrets"}})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("pw")
        entry.size, entry.mode = len(password), 0o444
        archive.addfile(entry, io.BytesIO(password.encode()))
    carrier.put_archive("/secrets", buffer.getvalue())
    carrier.remove()
    return made


def test_postgres_without_a_password_refuses_to_start(start: Start) -> None:
    container = start("postgres", tmpfs={"/var/lib/postgresql/data": "rw,uid=999,gid=999,mode=0700"})
    assert container.wait(timeout=SECONDS)["StatusCode"] == 1
    assert b"POSTGRES_PASSWORD_FILE (or POSTGRES_PASSWORD) must be set" in container.logs()


def test_redis_takes_its_arguments_and_keeps_what_it_was_given(volume: Volume, start: Start) -> None:
    options: dict[str, Any] = {"volumes": {volume.name: {"bind": "/data"}}}
    command = ["redis-server", "--appendonly", "yes", "--requirepass", "open-sesame"]
    first = start("redis", command, **options)
    call = ("redis-cli", "-a", "open-sesame", "--no-auth-warning")
    eventually(first, *call, "SET", "n", "42")
    assert "NOAUTH" in execute(first, "redis-cli", "GET", "n")[1]
    first.stop(timeout=20)
    first.remove()
    second = start("redis", ["--appendonly", "yes"], **options)
    eventually(second, "redis-cli", "PING")
    assert execute(second, "redis-cli", "GET", "n")[1].strip() == "42"
    second.remove(force=True)


def test_the_celery_exporter_reads_its_broker_from_the_environment(start: Start) -> None:
    redis = start("redis")
    eventually(redis, "redis-cli", "PING")
    exporter = start(
        "celery-exporter",
        network_mode=f"container:{redis.id}",
        environment={"CE_BROKER_URL": "redis://127.0.0.1:6379/0", "CE_QUEUES": "celery"},
    )
    page = ("wget", "-q", "-O", "-", "http://127.0.0.1:9808/metrics")
    eventually(redis, "redis-cli", "LPUSH", "celery", "{}")
    end = time.monotonic() + SECONDS
    while 'celery_queue_length{queue_name="celery"} 1.0' not in (text := eventually(exporter, *page)):
        assert time.monotonic() < end, text
        time.sleep(1)


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ("", (None, None)),
        ("deb http://mirror.lan/ubuntu noble main\n", (None, None)),
        (
            "Types: deb\nURIs: http://mirror.lan/debian/\nSuites: trixie\n",
            ("http://mirror.lan/debian", None),
        ),
        (
            "# deb http://old.lan/debian bookworm main\ndeb [signed-by=/k.gpg] https://new.lan/debian bookworm main\n"
            "deb https://new.lan/debian-security bookworm-security main\n",
            ("https://new.lan/debian", "https://new.lan/debian-security"),
        ),
    ],
)
def test_the_machines_own_debian_mirror_is_used(sources: str, expected: tuple[str | None, str | None]) -> None:
    assert base.mirrors(sources) == expected
