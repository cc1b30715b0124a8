"""The `docker` stand-in's containers, against a real Docker engine."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import NotFound

from toolchain.plugins import schema

CONTAINER = "docker:index/container:Container"
SECRET = "correct-horse-battery"  # noqa: S105 - a test value
CHECK = {"tests": ["CMD", "test", "-f", "/tmp/ready"], "interval": "300ms", "timeout": "1s", "retries": 2}


class Container:
    """Makes containers through the stand-in and looks at them through Docker."""

    def __init__(self, caller: Any, engine: docker.DockerClient, image: str, marks: Any) -> None:
        self.caller, self.engine = caller, engine
        self.base = {"image": image, "labels": marks}
        self.made: list[str] = []

    def inputs(self, **inputs: Any) -> dict[str, Any]:
        return self.caller.check({**self.base, **inputs})  # type: ignore[no-any-return]

    def create(self, **inputs: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Returns id, checked inputs and state."""
        checked = self.inputs(**inputs)
        identity, state = self.caller.create(checked)
        self.made.append(identity)
        return identity, checked, state

    def seen(self, identity: str) -> dict[str, Any]:
        return self.engine.containers.get(identity).attrs

    def output(self, identity: str, *command: str) -> str:
        output = self.engine.containers.get(identity).exec_run(list(command)).output
        assert isinstance(output, bytes)
        return output.decode()

    def drift(self, identity: str, inputs: dict[str, Any], state: dict[str, Any]) -> list[str]:
        """Names of the inputs that a refresh finds changed."""
        answer = self.caller.read(identity, inputs, state)
        return list(self.caller.diff(schema.plain(answer.inputs), inputs).diffs)

    def none_left(self, name: str) -> bool:
        return not self.engine.containers.list(all=True, filters={"name": name})


@pytest.fixture
def container(call: Any, engine: docker.DockerClient, image: str, marks: Any) -> Iterator[Container]:
    """Removes what it made."""
    helper = Container(call(CONTAINER), engine, image, marks)
    yield helper
    for identity in helper.made:
        with contextlib.suppress(NotFound):
            engine.containers.get(identity).remove(force=True, v=True)


def hardened() -> dict[str, Any]:
    """The inputs of a service as this project runs them."""
    return {
        "command": ["sleep", "600"],
        "envs": ["A=1", f"PASSWORD={SECRET}"],
        "user": "10001:10001",
        "workingDir": "/tmp",
        "hostname": "service",
        "readOnly": True,
        "init": True,
        "capabilities": {"drops": ["ALL"], "adds": ["NET_BIND_SERVICE"]},
        "securityOpts": ["no-new-privileges:true"],
        "memory": 32,
        "memorySwap": 32,
        "memoryReservation": 16,
        "cpus": "0.5",
        "cpuShares": 512,
        "ulimits": [{"name": "nofile", "soft": 1024, "hard": 2048}],
        "restart": "unless-stopped",
        "logDriver": "json-file",
        "logOpts": {"max-size": "1m", "max-file": "2"},
        "tmpfs": {"/tmp": "size=8m,mode=1777"},
        "mounts": [
            {"type": "volume", "target": "/run/secrets"},
            {"type": "tmpfs", "target": "/scratch", "tmpfsOptions": {"sizeBytes": 1048576, "mode": 1023}},
        ],
        "uploads": [{"file": "/run/secrets/password", "content": SECRET, "permissions": "0444"}],
        "healthcheck": {"tests": ["CMD", "true"], "interval": "1m30s", "timeout": "2s", "retries": 3},
        "stopSignal": "SIGTERM",
        "stopTimeout": 5,
        "sysctls": {"net.core.somaxconn": "256"},
        "shmSize": 8,
        "dns": ["127.0.0.1"],
        "hosts": [{"host": "peer", "ip": "10.0.0.9"}],
        "groupAdds": ["2000"],
    }


def test_every_input_reaches_docker(container: Container) -> None:
    identity, _, _ = container.create(**hardened())
    seen = container.seen(identity)
    config, host = seen["Config"], seen["HostConfig"]
    assert config["Cmd"] == ["sleep", "600"]
    assert {"A=1", f"PASSWORD={SECRET}"} <= set(config["Env"])
    assert (config["User"], config["WorkingDir"], config["Hostname"]) == ("10001:10001", "/tmp", "service")
    assert config["Healthcheck"] == {
        "Test": ["CMD", "true"], "Interval": 90_000_000_000, "Timeout": 2_000_000_000, "Retries": 3
    }  # fmt: skip
    assert (config["StopSignal"], config["StopTimeout"]) == ("SIGTERM", 5)
    assert (host["ReadonlyRootfs"], host["Init"], host["Privileged"]) == (True, True, False)
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["NET_BIND_SERVICE"])
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert (host["Memory"], host["MemorySwap"], host["MemoryReservation"]) == (32 << 20, 32 << 20, 16 << 20)
    assert (host["NanoCpus"], host["CpuShares"], host["ShmSize"]) == (500_000_000, 512, 8 << 20)
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 1024, "Hard": 2048}]
    assert host["RestartPolicy"] == {"Name": "unless-stopped", "MaximumRetryCount": 0}
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}
    assert host["Tmpfs"] == {"/tmp": "size=8m,mode=1777"}
    assert host["Sysctls"] == {"net.core.somaxconn": "256"}
    assert (host["Dns"], host["ExtraHosts"], host["GroupAdd"]) == (["127.0.0.1"], ["peer:10.0.0.9"], ["2000"])
    mounts = {mount["Target"]: mount for mount in host["Mounts"]}
    assert "Source" not in mounts["/run/secrets"]
    assert mounts["/scratch"]["TmpfsOptions"] == {"SizeBytes": 1048576, "Mode": 1023}
    assert container.output(identity, "cat", "/run/secrets/password") == SECRET


def test_a_refresh_of_an_untouched_container_finds_no_drift(container: Container) -> None:
    for inputs in ({}, hardened(), {"attach": True, "mustRun": False, "command": ["true"]}):
        identity, checked, state = container.create(**inputs)
        assert container.drift(identity, checked, state) == []


def test_the_state_repeats_a_secret_only_under_its_own_input(container: Container) -> None:
    identity, inputs, state = container.create(**hardened())
    refreshed = schema.plain(container.caller.read(identity, inputs, state).properties)
    for values in (state, refreshed):
        assert {name for name, value in values.items() if SECRET in json.dumps(value)} == {"envs", "uploads"}


@pytest.mark.parametrize(
    ("meddle", "found"),
    [
        (lambda one: one.update(mem_limit="48m", memswap_limit="64m"), ["memory", "memorySwap"]),
        (lambda one: one.update(cpu_shares=100), ["cpuShares"]),
        (lambda one: one.update(restart_policy={"Name": "always"}), ["restart"]),
        (lambda one: one.stop(timeout=0), ["mustRun"]),
        (lambda one: one.rename(one.name + "-renamed"), ["name"]),
    ],
    ids=["memory", "cpu shares", "restart policy", "stopped", "renamed"],
)
def test_a_refresh_finds_what_was_changed_by_hand(
    container: Container, meddle: Callable[[Any], None], found: list[str]
) -> None:
    identity, inputs, state = container.create(**hardened())
    meddle(container.engine.containers.get(identity))
    assert container.drift(identity, inputs, state) == found


def test_a_refresh_finds_a_limit_that_the_program_does_not_set(container: Container) -> None:
    identity, inputs, state = container.create()
    container.engine.containers.get(identity).update(mem_limit="48m", memswap_limit="48m")
    assert container.drift(identity, inputs, state) == ["memory"]


def test_a_refresh_finds_a_removed_container_gone(container: Container) -> None:
    identity, inputs, state = container.create()
    container.engine.containers.get(identity).remove(force=True)
    assert container.caller.read(identity, inputs, state).id == ""


def test_limits_and_restart_policy_change_in_place(container: Container) -> None:
    identity, old, state = container.create(memory=32, memorySwap=32)
    new = {**old, "memory": 48, "memorySwap": 48, "cpuShares": 300, "restart": "on-failure", "maxRetryCount": 4}
    difference = container.caller.diff(old, new)
    assert list(difference.replaces) == []
    started = container.seen(identity)["State"]["StartedAt"]
    updated = container.caller.update(identity, old, new, state)
    seen = container.seen(identity)
    assert seen["State"]["StartedAt"] == started
    assert (seen["HostConfig"]["Memory"], seen["HostConfig"]["CpuShares"]) == (48 << 20, 300)
    assert seen["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 4}
    assert updated["memory"] == 48
    assert container.drift(identity, new, updated) == []


def test_an_update_starts_a_stopped_container_again(container: Container) -> None:
    identity, inputs, state = container.create()
    container.engine.containers.get(identity).stop(timeout=0)
    answer = container.caller.read(identity, inputs, state)
    container.caller.update(identity, schema.plain(answer.inputs), inputs, schema.plain(answer.properties))
    assert container.seen(identity)["State"]["Running"]


def test_a_preview_of_an_update_touches_nothing(container: Container) -> None:
    identity, old, state = container.create(memory=32, memorySwap=32)
    planned = container.caller.update(identity, old, {**old, "memory": 48}, state, preview=True)
    assert planned["memory"] == 48
    assert container.seen(identity)["HostConfig"]["Memory"] == 32 << 20


def test_uploads_take_text_bytes_and_files_with_mode_and_owner(container: Container, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"from a file")
    identity, _, _ = container.create(
        uploads=[
            {"file": "/a/text", "content": "grüße", "permissions": "0440", "owner": "10001", "group": "20002"},
            {"file": "/a/bytes", "contentBase64": base64.b64encode(b"\x00\xff").decode(), "executable": True},
            {"file": "/a/file", "source": str(source)},
        ]
    )
    stream, _ = container.engine.containers.get(identity).get_archive("/a")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        found = {member.name: member for member in tar.getmembers()}
        content = {name: tar.extractfile(name).read() for name in found if found[name].isfile()}  # type: ignore[union-attr]
    assert content == {"a/text": "grüße".encode(), "a/bytes": b"\x00\xff", "a/file": b"from a file"}
    assert (found["a/text"].mode & 0o777, found["a/text"].uid, found["a/text"].gid) == (0o440, 10001, 20002)
    assert (found["a/bytes"].mode & 0o777, found["a/file"].mode & 0o777) == (0o744, 0o644)


def test_an_upload_outside_every_volume_of_a_read_only_root_fails_and_leaves_nothing(
    container: Container, refused: Any
) -> None:
    inputs = container.inputs(readOnly=True, uploads=[{"file": "/etc/x", "content": "x"}])
    with pytest.raises(refused, match="read-only"):
        container.caller.create(inputs)
    assert container.none_left(inputs["name"])


def test_waiting_returns_once_the_container_is_healthy(container: Container) -> None:
    identity, _, _ = container.create(
        command=["sh", "-c", "sleep 1; touch /tmp/ready; sleep 600"], healthcheck={**CHECK, "retries": 20},
        tmpfs={"/tmp": ""}, wait=True, waitTimeout=20,
    )  # fmt: skip
    assert container.seen(identity)["State"]["Health"]["Status"] == "healthy"


BROKEN: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "unhealthy": ("echo no good; sleep 600", {"tests": ["CMD-SHELL", "echo not ready; false"]}, 20, "is unhealthy"),
    "exited": ("echo no good; exit 7", {}, 20, "exited with code 7"),
    "too slow": ("echo no good; exec sleep 600", {"retries": 1000}, 1, r"is starting \(1 s allowed"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_container_that_does_not_get_healthy_is_reported_and_removed(
    container: Container, refused: Any, case: str
) -> None:
    script, check, timeout, problem = BROKEN[case]
    command = ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do echo line $i; done;"
               f"echo password is $PASSWORD of {SECRET}; {script}"]  # fmt: skip
    inputs = container.inputs(
        command=command, envs=[f"PASSWORD={SECRET}"], healthcheck={**CHECK, **check}, wait=True, waitTimeout=timeout
    )
    started = time.monotonic()
    with pytest.raises(refused, match=f"container {inputs['name']} {problem}") as caught:
        container.caller.create(inputs)
    message = str(caught.value)
    assert time.monotonic() - started < 15
    assert "no good" in message
    assert "line 22" in message
    assert "line 3\n" not in message
    assert "not ready" in message or case != "unhealthy"
    assert SECRET not in message
    assert container.none_left(inputs["name"])


def test_waiting_without_a_health_check_is_refused(container: Container, refused: Any) -> None:
    with pytest.raises(refused, match="wait needs a health check"):
        container.create(wait=True)


def test_a_container_that_cannot_start_is_removed(container: Container, refused: Any) -> None:
    inputs = container.inputs(command=["/does/not/exist"])
    with pytest.raises(refused, match="does/not/exist"):
        container.caller.create(inputs)
    assert container.none_left(inputs["name"])


def test_an_attached_container_gives_its_exit_code_and_logs_without_secrets(container: Container) -> None:
    url = f"postgresql://user:{SECRET}@host/db"
    identity, inputs, state = container.create(
        command=["sh", "-c", f"echo out $DATABASE_URL; echo {SECRET} >&2; exit 3"], envs=[f"DATABASE_URL={url}"],
        attach=True, logs=True, mustRun=False,
    )  # fmt: skip
    assert state["exitCode"] == 3
    assert sorted(state["containerLogs"].split()) == ["[secret]", "[secret]", "out"]
    refreshed = schema.plain(container.caller.read(identity, inputs, state).properties)
    assert refreshed["containerLogs"] == state["containerLogs"]
    assert refreshed["exitCode"] == 3


def test_an_attached_container_that_never_ends_is_stopped_by_the_time_out(container: Container, refused: Any) -> None:
    inputs = container.inputs(attach=True)
    with pytest.raises(refused, match=f"container {inputs['name']} still runs after 1 s"):
        container.caller.create(inputs, timeout=1)
    assert container.none_left(inputs["name"])


def test_a_container_can_be_made_without_starting_it(container: Container) -> None:
    identity, _, state = container.create(start=False)
    assert container.seen(identity)["State"]["Status"] == "created"
    assert state["exitCode"] == 0


def test_removal_grants_the_grace_period_and_takes_anonymous_volumes_along(container: Container) -> None:
    script = "trap 'sleep 1; echo bye > /shared/bye; exit 0' TERM; touch /shared/up; while true; do sleep 0.1; done"
    volume = container.engine.volumes.create(labels={container.base["labels"][0]["label"]: "yes"})
    mounts = [
        {"type": "volume", "target": "/shared", "source": volume.name},
        {"type": "volume", "target": "/anonymous"},
    ]
    identity, _, state = container.create(command=["sh", "-c", script], mounts=mounts, destroyGraceSeconds=8)
    anonymous = [mount["Name"] for mount in container.seen(identity)["Mounts"] if mount["Destination"] == "/anonymous"]
    while "up" not in container.output(identity, "ls", "/shared"):
        time.sleep(0.1)
    container.caller.delete(identity, state)
    identity, _, _ = container.create(mounts=mounts[:1])
    assert container.output(identity, "cat", "/shared/bye") == "bye\n"
    container.caller.delete(identity, state)
    volume.remove()
    with pytest.raises(NotFound):
        container.engine.volumes.get(anonymous[0])


def test_removal_keeps_anonymous_volumes_when_told_to_and_is_immediate_without_grace(container: Container) -> None:
    identity, _, state = container.create(mounts=[{"type": "volume", "target": "/anonymous"}], removeVolumes=False)
    name = container.seen(identity)["Mounts"][0]["Name"]
    started = time.monotonic()
    container.caller.delete(identity, state)
    assert time.monotonic() - started < 5
    container.engine.volumes.get(name).remove()
    container.caller.delete(identity, state)


def test_networks_replace_the_default_one_and_share_aliases(container: Container, marks: Any) -> None:
    labels = {marks[0]["label"]: "yes"}
    networks = [container.engine.networks.create(f"{marks[0]['label']}-{letter}", labels=labels) for letter in "ab"]
    advanced = [{"name": network.id, "aliases": ["api", f"api-{str(network.name)[-1]}"]} for network in networks]
    identity, inputs, state = container.create(networksAdvanced=advanced)
    joined = container.seen(identity)["NetworkSettings"]["Networks"]
    assert set(joined) == {network.name for network in networks}
    assert all({"api", f"api-{name[-1]}"} <= set(endpoint["Aliases"]) for name, endpoint in joined.items())
    reported = {data["networkName"]: data["ipAddress"] for data in state["networkDatas"]}
    assert reported == {name: endpoint["IPAddress"] for name, endpoint in joined.items()}
    assert container.drift(identity, inputs, state) == []
    address = container.output(identity, "nslookup", "api-a")
    assert reported[networks[0].name] in address
    container.caller.delete(identity, state)
    for network in networks:
        network.remove()


def test_a_published_port_is_bound_where_asked_and_its_choice_reported(container: Container) -> None:
    ports = [{"internal": 8080, "ip": "127.0.0.1"}, {"internal": 53, "protocol": "udp", "ip": "127.0.0.1"}]
    identity, inputs, state = container.create(ports=ports)
    bound = container.seen(identity)["NetworkSettings"]["Ports"]
    assert bound["8080/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": str(state["ports"][0]["external"])}]
    assert bound["53/udp"] == [{"HostIp": "127.0.0.1", "HostPort": str(state["ports"][1]["external"])}]
    assert container.drift(identity, inputs, state) == []


def test_old_style_volumes_bind_names_and_folders(container: Container, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host", encoding="utf-8")
    identity, _, _ = container.create(
        volumes=[{"hostPath": str(tmp_path), "containerPath": "/host", "readOnly": True}, {"containerPath": "/anon"}]
    )
    assert container.output(identity, "cat", "/host/file") == "from the host"
    mounts = {mount["Destination"]: mount for mount in container.seen(identity)["Mounts"]}
    assert (mounts["/host"]["RW"], mounts["/anon"]["Type"]) == (False, "volume")
