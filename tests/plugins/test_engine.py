"""The stand-ins under the real Pulumi engine: a stack's life, its secrets, its failures."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import docker
import pytest

SERVICE = """
    network = docker.Network("net", internal=True, labels=labels)
    volume = docker.Volume("vol", labels=labels)
    password = random.RandomPassword("password", length=24, special=False)
    seed = random.RandomBytes("seed", length=32)
    app = docker.Container(
        "app",
        image=docker.RemoteImage("image", name=image, keep_locally=True).image_id,
        labels=labels,
        command=["sleep", "600"],
        envs=[pulumi.Output.format("PASSWORD={0}", password.result), "PLAIN=yes"],
        memory=int(os.environ.get("MEMORY", "32")),
        memory_swap=64,
        networks_advanced=[{"name": network.id, "aliases": ["app"]}],
        mounts=[
            {"type": "volume", "target": "/run/secrets"},
            {"type": "volume", "target": "/data", "source": volume.name},
        ],
        uploads=[{"file": "/run/secrets/seed", "content": seed.base64}],
        healthcheck={"tests": ["CMD", "test", "-f", "/run/secrets/seed"], "interval": "300ms", "retries": 3},
        wait=True,
        opts=pulumi.ResourceOptions(delete_before_replace=False),
    )
    pulumi.export("id", app.id)
    pulumi.export("name", app.name)
    pulumi.export("address", app.network_datas[0].ip_address)
    pulumi.export("alias", app.networks_advanced[0].aliases[0])
    pulumi.export("password", password.result)
    pulumi.export("seed", seed.base64)
"""


def test_a_stack_lives_from_preview_to_destroy_without_drift(stack: Any, engine: docker.DockerClient) -> None:
    stack.write(SERVICE)
    made = {"net", "vol", "password", "seed", "app", "image"}
    planned = stack.steps()
    assert {name: planned[name] for name in made} == dict.fromkeys(made, "create")
    stack.up()
    container = engine.containers.get(stack.output("id"))
    assert container.attrs["State"]["Health"]["Status"] == "healthy"
    assert stack.output("alias") == "app"
    assert stack.output("address") in str(container.attrs["NetworkSettings"]["Networks"])
    stack.run("preview", "--expect-no-changes")
    stack.run("refresh", "--yes", "--expect-no-changes")
    stack.up("--expect-no-changes")

    container.update(mem_limit="48m", memswap_limit="64m")
    assert "~ 1 updated" in stack.run("refresh", "--yes")
    assert stack.steps() == {"app": "update"}
    stack.up()
    assert engine.containers.get(stack.output("id")).attrs["HostConfig"]["Memory"] == 32 << 20

    container.remove(force=True, v=True)
    assert "- 1 deleted" in stack.run("refresh", "--yes")
    assert stack.steps() == {"app": "create"}
    stack.up()
    assert engine.containers.get(stack.output("id")).status == "running"

    stack.run("destroy", "--yes", "--skip-preview")
    marked = {"label": stack.name}
    assert engine.containers.list(all=True, filters=marked) == []
    assert engine.networks.list(filters=marked) == []
    assert engine.volumes.list(filters=marked) == []
    assert stack.resources() == {}


def test_secrets_are_nowhere_in_plain_text(stack: Any, engine: docker.DockerClient) -> None:
    output = stack.write(SERVICE).up()
    password, seed = stack.output("password"), stack.output("seed")
    container = engine.containers.get(stack.output("id"))
    assert f"PASSWORD={password}" in container.attrs["Config"]["Env"]
    assert container.exec_run(["cat", "/run/secrets/seed"]).output == seed.encode()
    refreshed = stack.run("refresh", "--yes", "--diff")
    updated = stack.up("--diff", MEMORY="48")
    state = stack.run("stack", "export")
    for secret in (password, seed):
        assert not any(secret in text for text in (output, refreshed, updated, state))
    outputs = stack.resources()["app"]["outputs"]
    marked = {name for name, value in outputs.items() if "1b47061264138c4ac30d75fd1eb44270" in json.dumps(value)}
    assert marked == {"envs", "uploads"}


def test_a_broken_release_is_refused_and_the_old_container_goes_on_serving(
    stack: Any, engine: docker.DockerClient
) -> None:
    stack.write(SERVICE).up()
    good = stack.output("id")
    broken = SERVICE.replace('"sleep", "600"', '"sh", "-c", "echo release is broken; exit 4"')
    output = stack.write(broken).up(ok=False)
    assert re.search(r"container app-[0-9a-f]{7} exited with code 4", output)
    assert "release is broken" in output
    assert engine.containers.get(good).status == "running"
    assert len(engine.containers.list(all=True, filters={"label": stack.name, "name": "app-"})) == 1
    assert stack.resources()["app"]["id"] == good
    stack.write(SERVICE).up("--expect-no-changes")


def test_a_roll_out_makes_the_new_container_before_the_old_one_goes(stack: Any, engine: docker.DockerClient) -> None:
    stack.write(SERVICE).up()
    first = stack.output("name")
    output = stack.write(SERVICE.replace("PLAIN=yes", "PLAIN=no")).up()
    assert output.index("created replacement") < output.index("deleted original")
    assert stack.output("name") != first


def test_a_container_is_replaced_delete_first_unless_told_otherwise(stack: Any) -> None:
    program = 'docker.Container("one", image=image, labels=labels, envs=["A=1"], must_run=True)\n'
    stack.write(program).up()
    output = stack.write(program.replace("A=1", "A=2")).up()
    assert output.index("deleted original") < output.index("created replacement")


def test_a_change_that_docker_cannot_apply_warns_and_can_be_made_to_replace(stack: Any) -> None:
    program = """
        docker.Container("one", image=image, labels=labels, healthcheck={"tests": ["CMD", "true"], "interval": "9s"},
                         opts=pulumi.ResourceOptions(replace_on_changes=REPLACE))
    """
    stack.write(program.replace("REPLACE", "[]")).up()
    output = stack.write(program.replace("REPLACE", "[]").replace("9s", "8s")).up()
    assert "healthcheck: recorded, but in force only once the resource is replaced" in output
    stack.write(program.replace("REPLACE", '["healthcheck"]').replace("9s", "7s"))
    assert "replace" in stack.steps()["one"]


def test_unknown_values_flow_through_a_preview(stack: Any) -> None:
    stack.write("""
        network = docker.Network("net", labels=labels)
        docker.Container("one", image=image, labels=labels, networks_advanced=[{"name": network.id}],
                         envs=[network.name.apply(lambda name: f"NETWORK={name}")], hostname=network.id[:12])
        pulumi.export("scope", network.scope)
    """)
    planned = stack.steps()
    assert {planned[name] for name in ("net", "one")} == {"create"}


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ('docker.Container("one", image=image, devices=[{"host_path": "/dev/null"}])', "devices: not an input"),
        ('docker.Container("one", image=image, mounts=[{"target": "/x", "type": "npipe"}])',
         r"mounts\[0\].type: must match"),
        ('docker.Tag("one", source_image="a", target_image="b")', "tag:Tag is not supported by the docker stand-in"),
        ('random.RandomPassword("one", length=0)', "length: must be at least 1"),
        ('pulumi.export("x", docker.get_network("bridge").id)', "getNetwork is not supported by the docker stand-in"),
    ],
    ids=["input", "value", "type", "range", "function"],
)  # fmt: skip
def test_what_is_not_supported_is_refused_by_name(stack: Any, program: str, reason: str) -> None:
    output = stack.write(program).run("preview", ok=False)
    assert re.search(reason, output), output
    assert "Traceback" not in output or "getNetwork" in reason


def test_an_explicit_provider_chooses_the_host_and_an_unreachable_one_is_named(stack: Any) -> None:
    program = """
        there = docker.Provider("there", host="unix:///nowhere/docker.sock")
        docker.Volume("vol", labels=labels, opts=pulumi.ResourceOptions(provider=there))
    """
    stack.write(program)
    assert stack.steps()["vol"] == "create"
    output = stack.up(ok=False)
    assert "Docker at unix:///nowhere/docker.sock does not answer" in output
    stack.write(program.replace("unix:///nowhere", "unix:///var/run")).up()
    assert stack.resources()["vol"]["outputs"]["driver"] == "local"


def test_an_interrupted_update_leaves_no_container_behind(
    stack: Any, engine: docker.DockerClient, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    stack.write("""
        docker.Container("slow", image=image, labels=labels, wait=True, wait_timeout=300,
                         healthcheck={"tests": ["CMD", "false"], "interval": "1s", "retries": 1000})
    """)
    command = stack.command("up", "--yes", "--skip-preview")
    output = stack.folder / "output"
    with output.open("w") as file:
        update = subprocess.Popen(command, cwd=stack.folder, env=stack.environment, stdout=file, stderr=file)
        containers = {"label": stack.name, "name": "slow"}
        eventually(lambda: bool(engine.containers.list(filters=containers)))
        update.send_signal(signal.SIGINT)
        started = time.monotonic()
        assert update.wait(timeout=60) != 0
    assert time.monotonic() - started < 30
    eventually(lambda: not engine.containers.list(all=True, filters=containers))
    assert "Traceback" not in output.read_text()
    stack.run("cancel", "--yes")
    stack.run("refresh", "--yes", "--clear-pending-creates")
