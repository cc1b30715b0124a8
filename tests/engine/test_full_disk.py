"""The engine's disk runs full in the middle of a deployment: it is said, and the next run goes on once there is room.

The engine is one of the test's own, with a disk of some hundred MiB; what fills it up first is a file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from tests.support.engine import answering, missing
from tests.support.second_engine import SmallEngine, small_engine
from toolchain.images.__main__ import read_inventory
from toolchain.paths import ROOT

SLOT = int(os.environ.get("E2E_SLOT", "0"))
STACK = f"full.disk_{'n' * 60}"
"""As long, and with as many kinds of characters, as names of stacks get: the engine and the locks know it, too."""
IMAGES = ("node-exporter", "postgres", "redis")
DISK = 540
"""MiB: the images, and room for the data engines' first start."""
STATE_DISK = 128
"""MiB of the folder for the state."""
PROGRAM = """
import pulumi
from components.foundation import Foundation, FoundationArgs
from components.system import System, SystemArgs
from config import SystemFacts, load
from platforms.registry import make_platform
from platforms.specs import MIB, ExecProbe, Health, Resources, ServiceSpec, Volume
from platforms.whole import whole

PASSWORD = "/run/secrets/password"
SMALL = Resources(cpu=1.0, memory=256 * MIB)


def serve(scope, service, data, probe, **more):
    return scope.workloads.serve(
        f"synthetic-{service}",
        ServiceSpec(
            service=service, role="data", image=scope.image(service), user="999:999", resources=SMALL,
            rollout="exclusive", volumes={data: Volume(name=service, keeps_data=True)},
            health=Health(probe=ExecProbe(command=probe)), **more,
        ),
        parent=system,
    )


with whole():
    stack = load(catalogue={"synthetic": SystemFacts(services={})})
    foundation = Foundation("foundation", FoundationArgs(domain=stack.domain), make_platform(stack, pulumi.get_stack()))
    system = System("synthetic", SystemArgs(host="localhost"), foundation)
    postgres = serve(
        system.scope, "postgres", "/var/lib/postgresql/data", ("pg_isready", "-q", "-h", "127.0.0.1", "-U", "owner"),
        port=5432, env={"POSTGRES_USER": "owner", "POSTGRES_PASSWORD_FILE": PASSWORD},
        secret_files={PASSWORD: system.scope.secrets.generate("synthetic-password", parent=system)},
        scratch=("/tmp", "/var/run/postgresql"), stop_signal="SIGINT",
    )
    serve(system.scope, "redis", "/data", ("redis-cli", "ping"), after=[postgres])
"""


@dataclass(frozen=True)
class Deployment:
    """A checkout with a program of two services with data, deployed to the small engine."""

    folder: Path
    engine: SmallEngine

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What `make` runs in it once the tools are there."""
        command = [sys.executable, "-m", "toolchain.deploy", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=plain(), capture_output=True, text=True, check=False, timeout=300
        )

    def up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`make up` without its check of the images."""
        return self.run("up", "--stack", STACK, "--skip-preview", *arguments)

    def there(self) -> dict[str, str]:
        """State of each container of the stack, by service."""
        client = self.engine.client()
        found = client.containers.list(all=True, filters={"label": f"ai-platform.stack={STACK}"})
        assert len({one.labels["ai-platform.service"] for one in found}) == len(found), "one of each, nothing stray"
        return {one.labels["ai-platform.service"]: one.health for one in found}


def plain() -> dict[str, str]:
    """The environment without what points to another state or engine."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "DOCKER_"))}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Nothing deployed yet, the images loaded."""
    answering().close()
    inventory = read_inventory()
    if not {*IMAGES, "nginx"} <= inventory.keys() or not (ROOT / ".toolchain/bin/pulumi").is_file():
        missing("this clone is not bootstrapped: run `make test`")
    folder = tmp_path_factory.mktemp("full")
    shutil.copytree(ROOT / "toolchain", folder / "toolchain", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Pulumi.yaml", "config", "components", "platforms", "policies", "requirements.txt", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".toolchain").mkdir()
    for name in ("bin", "pulumi-home", "images.json"):
        (folder / ".toolchain" / name).symlink_to(ROOT / ".toolchain" / name)
    (folder / "__main__.py").write_text(PROGRAM, encoding="utf-8")
    pool = IPv4Network(f"10.{240 + SLOT}.0.0/20")
    with small_engine(folder / "engine", mebibytes=DISK, bridge=f"aipdisk{SLOT}", pool=pool) as engine:
        engine.load([str(inventory[name]["reference"]) for name in IMAGES])
        platform = {"kind": "docker", "host": engine.host, "networkPool": str(pool)}
        config = {"environment": "development", "platform": platform, "systems": [{"name": "synthetic"}]}
        content = {"config": {f"ai-platform:{key}": value for key, value in config.items()}}
        (folder / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        made = Deployment(folder, engine)
        state = folder / ".state"
        state.mkdir()
        engine.run("mount", "-t", "tmpfs", "-o", f"size={STATE_DISK}m,mode=0777", "tmpfs", str(state))
        code = "import sys; from toolchain import paths, state; state.ensure(paths.CLI_LINK, sys.argv[1])"
        subprocess.run([sys.executable, "-c", code, STACK], cwd=folder, env=plain(), check=True, timeout=120)
        try:
            yield made
        finally:
            engine.run("umount", "--lazy", str(state), check=False)


def test_the_full_disk_is_named_and_the_next_run_goes_on(deployment: Deployment) -> None:
    advice = f"The disk of the engine at {deployment.engine.host} is full. Make room there"
    deployment.engine.leave(0)
    refused = deployment.up()
    said = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert "no space left on device" in said and advice in said, said
    assert "Traceback" not in said
    # Without a byte left, the engine itself keeps networks half-made, and forgets them when it starts.
    deployment.engine.leave(20)
    deployment.engine.stop()
    deployment.engine.start()
    # Room for containers, and not for the first start of a database in one.
    begun = deployment.up()
    said = begun.stdout + begun.stderr
    assert begun.returncode != 0
    assert "error: container synthetic-postgres-0-" in said and advice in said, said
    deployment.engine.leave(None)
    done = deployment.up()
    assert done.returncode == 0, done.stdout + done.stderr
    assert deployment.there() == dict.fromkeys(IMAGES, "healthy")
    again = deployment.up("--expect-no-changes")
    assert again.returncode == 0, again.stdout + again.stderr


def test_a_nearly_full_disk_of_the_state_is_refused_before_anything_is_changed(deployment: Deployment) -> None:
    state, before = deployment.folder / ".state", deployment.there()
    deployment.engine.leave(9, state)
    try:
        full = deployment.run("down", "--stack", STACK)
    finally:
        deployment.engine.leave(None, state)
    assert full.returncode == 1
    assert full.stderr.startswith(f"error: the disk of {state} is full: ")
    assert "the state needs 64; make room, then run this again; nothing was changed" in full.stderr
    assert deployment.there() == before == dict.fromkeys(IMAGES, "healthy")


def test_a_state_that_a_full_disk_cut_short_is_taken_back(deployment: Deployment) -> None:
    folder = deployment.folder / ".state" / ".pulumi"
    file, before = folder / "stacks" / "ai-platform" / f"{STACK}.json", deployment.there()
    # What the CLI leaves where no byte can be written any more: half a state, and a lock without content.
    for written in (file, file.with_name(f"{file.name}.bak")):
        written.write_bytes(written.read_bytes()[:4096])
    lock = folder / "locks" / "organization" / "ai-platform" / STACK / "0.json.1.tmp"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    again = deployment.up("--expect-no-changes")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "the state was cut short, by a full disk perhaps: taken back from .pulumi/backups/" in again.stderr
    assert deployment.there() == before
    down = deployment.run("down", "--stack", STACK)
    assert down.returncode == 0, down.stdout + down.stderr
    assert deployment.there() == {}
