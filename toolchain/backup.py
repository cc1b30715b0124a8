"""`python -m toolchain.backup create|restore`: archives of a stack's PostgreSQL databases in its volume for backups.

Everything runs inside the database's container, as root without capabilities: it owns `/backups`, and the password
is read there from its file, so that it is on no command line and in no output.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from docker import DockerClient
from docker.errors import DockerException
from docker.models.containers import Container

from toolchain import engine
from toolchain.console import ToolchainError, say, step

FOLDER = "/backups"
SYSTEM = "ai-platform.system"
# Roles that are stopped while a database is restored: the server itself must run.
APPLICATIONS = ("app", "worker", "scheduler")
PATIENCE = 300  # seconds that the applications have to be healthy again
SILENCE = 24 * 3600  # seconds that a dump or a restore may last: the engine says nothing meanwhile

LOGIN = 'export PGHOST=127.0.0.1 PGUSER="$POSTGRES_USER" PGPASSWORD="$(cat /run/secrets/postgres-password)"'
# The table of contents stands at the head: only reading all of it finds an archive that was cut short.
CHECK = 'pg_restore --list "$1"; pg_restore --file=/dev/null "$1"'
DUMP = f"""set -eu; umask 077; {LOGIN}; target=$1; set -- "{FOLDER}/.$$.partial"; trap 'rm -f "$1"' EXIT
pg_dump --format=custom --file="$1" "$POSTGRES_DB"; {CHECK}; mv "$1" "$target"; stat -c %s "$target" """
# A session that holds a lock, a forgotten psql say, makes the restore fail instead of hanging.
RESTORE = f"""set -eu; {LOGIN}; export PGOPTIONS='-c lock_timeout=60s' PGAPPNAME=restore
pg_restore --clean --if-exists --single-transaction --no-owner --dbname="$POSTGRES_DB" "$1" """
CANCEL = f"""set -eu; {LOGIN}; psql --quiet --dbname="$POSTGRES_DB" --command "
select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'restore'" """  # noqa: S608 - constant


def create(client: DockerClient, stack: str) -> None:
    """Back up every database of a stack; prints name and size of each archive.

    Raises ToolchainError when the stack has no running database, no volume for backups, or when a dump fails.
    """
    for server in _servers(client, stack):
        name = f"{server.labels[SYSTEM]}-postgres-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.dump"
        with step(f"back up {_database(server)} of {server.labels[SYSTEM]}"):
            size = int(_shell(server, DUMP, f"{FOLDER}/{name}").splitlines()[-1])
        print(f"{name}  {size / 1024:.1f} KiB", flush=True)


def restore(client: DockerClient, stack: str, source: str) -> None:
    """Restore a database from an archive: its name in the volume, or the path of a file on this host.

    Raises ToolchainError, with nothing stopped, when there is no such archive, or it is damaged or of another database;
    and, with the database as it was and the applications started again, when the restore itself fails.
    """
    archives = {server: _archives(server) for server in _servers(client, stack)}
    for server, names in archives.items():
        if source in names:
            return _restore(client, stack, server, f"{FOLDER}/{source}")
    if not Path(source).is_file():
        names = [name for there in archives.values() for name in there] or ["none yet: make backup"]
        raise ToolchainError("\n  ".join([f"no archive FROM={source!r}; stack {stack} has:", *names]))
    owners = [one for one in archives if Path(source).name.startswith(f"{one.labels[SYSTEM]}-postgres-")]
    if len(owners or archives) > 1:
        raise ToolchainError(f"{source} does not tell whose it is: name it <system>-postgres-<time>.dump")
    server = next(iter(owners or archives))
    copy = f".{os.getpid()}.incoming"
    try:
        with step(f"copy {source} into the volume"):
            server.put_archive(FOLDER, _tar(Path(source), copy))
        return _restore(client, stack, server, f"{FOLDER}/{copy}")
    finally:
        _shell(server, 'rm -f "$1"', f"{FOLDER}/{copy}")


def _restore(client: DockerClient, stack: str, server: Container, archive: str) -> None:
    with step("check the archive"):
        _check(server, archive)
    found = _containers(client, stack, f"{SYSTEM}={server.labels[SYSTEM]}", everything=True)
    applications = [one for one in found if one.labels.get("ai-platform.role") in APPLICATIONS]
    try:
        with step(f"stop {len(applications)} containers of the applications"):
            _each(applications, Container.stop)
        with step(f"restore {_database(server)}"):
            try:
                _shell(server, RESTORE, archive)
            except BaseException:
                # An interrupt ends this process only: the server must not go on under the applications.
                with contextlib.suppress(ToolchainError):
                    _shell(server, CANCEL)
                raise
    finally:
        with step("start the applications again"):
            _each(applications, Container.start)
            _wait(applications)


def _check(server: Container, archive: str) -> None:
    try:
        listing = _shell(server, f"set -eu; {CHECK}", archive)
    except ToolchainError as error:
        raise ToolchainError(f"not a whole archive of pg_dump; nothing was stopped or changed\n{error}") from error
    found = next((line.partition("dbname:")[2].strip() for line in listing.splitlines() if "dbname:" in line), "?")
    if found != _database(server):
        raise ToolchainError(f"an archive of {found}, not of {_database(server)}; nothing was stopped or changed")


def _servers(client: DockerClient, stack: str) -> list[Container]:
    found = _containers(client, stack, "ai-platform.service=postgres")
    if not found:
        raise ToolchainError(f"no PostgreSQL of stack {stack} runs on the engine {engine.host()}: is it up?")
    for server in found:
        if FOLDER not in {mount["Destination"] for mount in server.attrs["Mounts"]}:
            raise ToolchainError(f"no volume for backups: set backups.volume in Pulumi.{stack}.yaml, then make up")
    return found


def _containers(client: DockerClient, stack: str, label: str, *, everything: bool = False) -> list[Container]:
    return client.containers.list(all=everything, filters={"label": [f"ai-platform.stack={stack}", label]})


def _archives(server: Container) -> list[str]:
    return _shell(server, f"find {FOLDER} -maxdepth 1 -name '[!.]*.dump' | sed 's:.*/::' | sort").splitlines()


def _database(server: Container) -> str:
    return str(dict(entry.split("=", 1) for entry in server.attrs["Config"]["Env"])["POSTGRES_DB"])


def _shell(server: Container, script: str, *arguments: str) -> str:
    code, output = server.exec_run(["sh", "-c", script, "sh", *arguments], user="0", demux=True)
    out, err = (str(part or b"", errors="replace") for part in cast("tuple[bytes | None, bytes | None]", output))
    if code != 0:
        raise ToolchainError(err.strip() or f"exit code {code}")
    return out


def _tar(file: Path, name: str) -> Iterator[bytes]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = file.stat().st_size, 0o600
    yield entry.tobuf()
    with file.open("rb") as content:
        yield from iter(lambda: content.read(1 << 20), b"")
    yield bytes(-entry.size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)


def _each(containers: Sequence[Container], action: Callable[[Container], None]) -> None:
    # At once: workers end their running jobs before they stop, each in its own time.
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(action, containers))


def _wait(containers: Sequence[Container]) -> None:
    end = time.monotonic() + PATIENCE
    while waiting := [str(one.name) for one in containers if not _healthy(one)]:
        if time.monotonic() > end:
            raise ToolchainError(f"not healthy after {PATIENCE} s: {', '.join(waiting)}; see `docker logs`")
        time.sleep(1)


def _healthy(container: Container) -> bool:
    container.reload()
    return container.status == "running" and container.health in ("healthy", "unknown")


def main() -> int:
    """Command line; the exit status is 1 when something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.backup")
    parser.add_argument("action", choices=("create", "restore"))
    parser.add_argument("--stack", default="dev")
    parser.add_argument("--from", dest="source", default="")
    options = parser.parse_args()
    # As an interrupt does: what was stopped is started again.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        client = engine.client(timeout=SILENCE)
        if options.action == "create":
            create(client, options.stack)
        else:
            restore(client, options.stack, options.source)
            say(f"{options.source} is restored")
    except (ToolchainError, DockerException, KeyboardInterrupt) as error:
        print(f"error: {str(error) or 'interrupted'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
