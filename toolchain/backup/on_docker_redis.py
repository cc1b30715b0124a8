"""Redis' recovery on Docker: stop, place the dump, start (ARE-086).

A server with an append-only file reads that one and no dump, and with neither it starts empty. So a second server,
which nobody can reach, loads the dump in a folder of the same volume and writes the append-only file for it. Only then
does the new data take the place of the old, by renaming: a restore that fails leaves the old.
"""

from __future__ import annotations

from docker import DockerClient
from docker.models.containers import Container

from toolchain.backup.on_docker_containers import ROLE, SERVICE, DockerKeeper, containers, group_of, wait_healthy
from toolchain.backup.sides import FOLDER
from toolchain.console import ToolchainError, step

DATA = "/data"
RESTORE = "redis-restore"
LOAD = r"""
set -eu
cd /data
# A restore that was killed between its renames: the old data goes back first.
if [ -d .previous ] && [ ! -d appendonlydir ]; then mv .previous/* .; fi
rm -rf .previous .restored
trap 'rm -rf .restored' EXIT
trap 'exit 1' TERM INT
mkdir .restored
cp "$1" .restored/dump.rdb
say() { redis-cli -s /tmp/redis.sock "$@" 2>/dev/null | tr -d '\r'; }
serve() { redis-server --dir /data/.restored --port 0 --unixsocket /tmp/redis.sock --save '' --appendonly no; }
{ serve > /tmp/log 2>&1 || :; touch /tmp/ended; } &
alive() { [ ! -e /tmp/ended ] || { tail -n 5 /tmp/log >&2; exit 1; }; }
until [ "$(say PING)" = PONG ]; do alive; sleep 0.2; done
say CONFIG SET appendonly yes > /dev/null
written() {
  say INFO persistence > /tmp/info
  grep -q '^aof_rewrite_in_progress:0' /tmp/info && grep -q '^aof_rewrite_scheduled:0' /tmp/info
}
until written; do alive; sleep 0.2; done
grep -q '^aof_last_bgrewrite_status:ok' /tmp/info || { tail -n 5 /tmp/log >&2; exit 1; }
say SHUTDOWN NOSAVE > /dev/null || :
wait
test -s .restored/appendonlydir/appendonly.aof.manifest
sync
# From here on to the end, come what may.
trap '' TERM INT
mkdir .previous
for one in appendonlydir dump.rdb; do if [ -e "$one" ]; then mv "$one" .previous/; fi; done
mv .restored/* .
sync
rm -rf .previous
"""


def load(client: DockerClient, keeper: DockerKeeper, archive: str) -> None:
    """Replace the data of the keeper's Redis by an archive that was checked.

    Raises ToolchainError, with the old data in its place and the server running, when that fails.
    """
    server = _server(client, keeper)
    _sweep(client, keeper)
    try:
        with step("stop Redis"):
            server.stop()
        with step("load the archive"):
            _load(client, keeper, server, archive)
    finally:
        with step("start Redis again"):
            server.start()
            wait_healthy([server])


def _server(client: DockerClient, keeper: DockerKeeper) -> Container:
    found = containers(client, keeper.stack, f"{SERVICE}=redis", system=keeper.system, everything=True)
    if len(found) != 1:
        raise ToolchainError(f"{len(found)} containers are the Redis of {keeper.system}: run make up first")
    return found[0]


def _sweep(client: DockerClient, keeper: DockerKeeper) -> None:
    """What a killed restore has left. Raises ToolchainError while one still runs."""
    for helper in containers(client, keeper.stack, f"{SERVICE}={RESTORE}", system=keeper.system, everything=True):
        if helper.status == "running":
            raise ToolchainError(f"a restore of {keeper.system}'s Redis still runs: wait for {helper.name} to end")
        helper.remove(force=True)


def _load(client: DockerClient, keeper: DockerKeeper, server: Container, archive: str) -> None:
    own = {key: value for key, value in server.labels.items() if key.startswith("ai-platform.")}
    owner = group_of(keeper.container)
    helper = client.containers.run(
        server.attrs["Image"],
        ["-c", LOAD, "sh", f"{FOLDER}/{archive}"],
        entrypoint="sh",
        detach=True,
        init=True,
        user=server.attrs["Config"]["User"],
        # Archives are read by their group.
        group_add=[owner],
        # The stack's labels: where this process is killed, the next `make up` removes the container.
        labels=own | {SERVICE: RESTORE, ROLE: "job"},
        volumes={
            _volume(server, DATA): {"bind": DATA, "mode": "rw"},
            _volume(keeper.container, FOLDER): {"bind": FOLDER, "mode": "ro"},
        },
        network_mode="none",
        read_only=True,
        tmpfs={"/tmp": "rw,nosuid,nodev,noexec,size=64m,mode=1777"},  # noqa: S108 - inside the container
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        mem_limit=server.attrs["HostConfig"]["Memory"],
        memswap_limit=server.attrs["HostConfig"]["Memory"],
    )
    try:
        code = helper.wait()["StatusCode"]
        if code != 0:
            reason = helper.logs(tail=5).decode(errors="replace").strip()
            raise ToolchainError(f"Redis did not load it; its data is as it was\n{reason or f'exit code {code}'}")
    finally:
        helper.stop(timeout=10)
        helper.remove(force=True)


def _volume(container: Container, folder: str) -> str:
    return str(next(mount["Name"] for mount in container.attrs["Mounts"] if mount["Destination"] == folder))
