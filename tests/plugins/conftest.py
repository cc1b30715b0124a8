"""A Docker engine, a tiny image and the Pulumi CLI for the tests of the stand-ins. Everything made here is removed."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import docker
import pytest
from docker.errors import ImageNotFound
from pulumi.runtime.proto import provider_pb2 as rpc

from tests.plugins.stacks import KUBERNETES_PREAMBLE, MARK, KubernetesStack, Stack, placed, used
from tests.support.engine import answering, missing
from toolchain.plugins import install, schema
from toolchain.plugins.docker_provider import DockerProvider
from toolchain.plugins.provider import Provider, to_struct
from toolchain.plugins.random_provider import RandomProvider

ROOT = Path(__file__).resolve().parents[2]
CLUSTER_KUBECONFIG = ROOT / ".toolchain" / "cluster" / "kubeconfig"
IMAGE = "ai-platform-plugins-test/busybox:pytest"


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The Docker engine; what the tests leave on it is removed at the end."""
    client = answering()
    yield client
    remove_marked(client)


def remove_marked(client: docker.DockerClient) -> None:
    """Remove the containers, networks and volumes that carry this run's label."""
    marked: dict[str, str | list[str] | bool] = {"label": MARK}
    for container in client.containers.list(all=True, filters=marked):
        container.remove(force=True, v=True)
    for network in client.networks.list(filters=marked):
        network.remove()
    for volume in client.volumes.list(filters=marked):
        volume.remove(force=True)


def busybox(folder: Path) -> bytes:
    """A statically linked busybox: the host's, else the one of Debian's package busybox-static."""
    host = shutil.which("busybox")
    if host and b"ld-linux" not in Path(host).read_bytes():
        return Path(host).read_bytes()
    try:
        subprocess.run(["apt-get", "download", "busybox-static"], cwd=folder, check=True, capture_output=True)
        package = next(folder.glob("busybox-static*.deb"))
        subprocess.run(["dpkg-deb", "-x", package, folder / "busybox"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        missing(f"no static busybox for the test image: {error}")
    return (folder / "busybox" / "bin" / "busybox").read_bytes()


@pytest.fixture(scope="session")
def image(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A 2 MB image with a shell, made without a registry, or the one that PLUGINS_TEST_IMAGE names."""
    if os.environ.get("PLUGINS_TEST_IMAGE"):
        yield os.environ["PLUGINS_TEST_IMAGE"]
        return
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        program = busybox(tmp_path_factory.mktemp("busybox"))
        add(tar, "bin/busybox", program, 0o755)
        for applet in "sh", "sleep", "cat", "echo", "ls", "touch", "true", "false", "test", "nslookup":
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        add(tar, "etc/passwd", b"root:x:0:0::/:/bin/sh\n", 0o644)
    repository, _, tag = IMAGE.partition(":")
    changes = ["ENV PATH=/bin", 'CMD ["sleep", "600"]']
    engine.api.import_image_from_data(packed.getvalue(), repository=repository, tag=tag, changes=changes)
    yield IMAGE
    with contextlib.suppress(ImageNotFound):
        engine.images.remove(IMAGE, force=True)


def add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    """Put a file into a tar."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


@pytest.fixture(scope="session")
def marks() -> list[dict[str, str]]:
    """The `labels` input that lets this run find what it made."""
    return [{"label": MARK, "value": "yes"}]


@pytest.fixture(scope="session")
def toolbox(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment for a Pulumi CLI that has the stand-ins and nothing else: home, state and PATH of its own."""
    found = os.environ.get("PULUMI") or shutil.which("pulumi") or str(ROOT / ".toolchain" / "bin" / "pulumi")
    if not Path(found).is_file():
        missing("no pulumi CLI: set PULUMI, or put it on PATH or into .toolchain/bin")
    folder = tmp_path_factory.mktemp("toolbox")
    pulumi = folder / "bin" / "pulumi"
    pulumi.parent.mkdir()
    try:
        os.link(Path(found).resolve(), pulumi)
    except OSError:
        shutil.copy2(found, pulumi)
    (folder / "state").mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "COVERAGE", "PYTHON"))},
        "PATH": f"{pulumi.parent}:/usr/local/bin:/usr/bin:/bin",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # Without it the CLI looks for the plugins of all packages that the environment has, before each command.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_HOME", environment["PULUMI_HOME"])
        install.install(str(pulumi), sys.executable, list(install.PROVIDERS))
    return environment


class Refused(Exception):
    """A gRPC error that a provider answered with."""


class Context:
    """The part of a gRPC context that a provider uses."""

    def abort(self, _code: Any, message: str) -> NoReturn:
        raise Refused(message)


class Caller:
    """Calls one resource type of a provider as the engine would, without a process in between."""

    def __init__(self, provider: Provider, token: str) -> None:
        self.provider = provider
        self.urn = f"urn:pulumi:test::project::{token}::{MARK}"

    def ask(self, method: str, request: Any) -> Any:
        return getattr(self.provider, method)(request, Context())

    def check(self, inputs: dict[str, Any], old: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """The checked inputs; Refused when there are failures."""
        request = rpc.CheckRequest(urn=self.urn, news=to_struct(inputs), olds=to_struct(old or {}), **options)
        answer = self.ask("Check", request)
        if answer.failures:
            raise Refused([failure.reason for failure in answer.failures])
        return schema.plain(answer.inputs)

    def diff(self, old: dict[str, Any], new: dict[str, Any]) -> Any:
        return self.ask("Diff", rpc.DiffRequest(urn=self.urn, old_inputs=to_struct(old), news=to_struct(new)))

    def create(self, inputs: dict[str, Any], **options: Any) -> tuple[str, dict[str, Any]]:
        """Create from inputs that were checked. Returns id and state."""
        request = rpc.CreateRequest(urn=self.urn, properties=to_struct(inputs), **options)
        answer = self.ask("Create", request)
        return answer.id, schema.plain(answer.properties)

    def read(self, identity: str, inputs: dict[str, Any], state: dict[str, Any]) -> Any:
        """The answer of a refresh: its id is empty when the resource is gone."""
        request = rpc.ReadRequest(
            id=identity, urn=self.urn, inputs=to_struct(inputs), properties=to_struct(state or {"x": 1})
        )
        return self.ask("Read", request)

    def update(
        self, identity: str, old: dict[str, Any], new: dict[str, Any], state: dict[str, Any], **options: Any
    ) -> dict[str, Any]:
        request = rpc.UpdateRequest(id=identity, urn=self.urn, olds=to_struct(state), **options)
        request.old_inputs.CopyFrom(to_struct(old))
        request.news.CopyFrom(to_struct(new))
        return schema.plain(self.ask("Update", request).properties)

    def delete(self, identity: str, state: dict[str, Any]) -> None:
        self.ask("Delete", rpc.DeleteRequest(id=identity, urn=self.urn, properties=to_struct(state)))


@pytest.fixture
def call() -> Callable[[str], Caller]:
    """Make a caller for a resource type, with a provider of its own."""

    def make(token: str) -> Caller:
        provider: Provider = DockerProvider("5.2.0") if token.startswith("docker:") else RandomProvider("4.21.4")
        return Caller(provider, token)

    return make


@pytest.fixture
def refused() -> type[Refused]:
    """The exception with which a caller reports a provider's error."""
    return Refused


@pytest.fixture
def stack(toolbox: dict[str, str], image: str, tmp_path: Path) -> Iterator[Stack]:
    """A fresh stack, destroyed afterwards whatever the test left."""
    yield from used(Stack(tmp_path, toolbox, image))


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[str]:
    """The kubeconfig of a running cluster: the project's own, or the one that PLUGINS_TEST_KUBECONFIG names.

    At the end, no namespace of this run is left there.
    """
    file = os.environ.get("PLUGINS_TEST_KUBECONFIG") or str(CLUSTER_KUBECONFIG)
    command = ["kubectl", "--kubeconfig", file]
    if subprocess.run([*command, "get", "--raw", "/readyz"], capture_output=True, timeout=30, check=False).returncode:
        missing(f"no Kubernetes cluster answers at {file}: run `make cluster`")
    yield file
    listed = subprocess.run([*command, "get", "namespaces", "-o", "name"], capture_output=True, text=True, check=True)
    if ours := [name for name in listed.stdout.split() if MARK in name]:
        subprocess.run([*command, "delete", "--timeout=300s", "--ignore-not-found", *ours], check=True)


@pytest.fixture(scope="session")
def node_image(kubeconfig: str) -> str:
    """A small image with a shell that the cluster's node has, or the one that PLUGINS_TEST_NODE_IMAGE names."""
    given = os.environ.get("PLUGINS_TEST_NODE_IMAGE")
    if not given:
        images = importlib.import_module("toolchain.cluster.images")
        given = str(images.busybox())
    return given


@pytest.fixture
def objects(toolbox: dict[str, str], kubeconfig: str, tmp_path: Path) -> Iterator[Stack]:
    """A fresh stack on the cluster, for objects without running pods."""
    environment = {**toolbox, "KUBECONFIG": kubeconfig}
    yield from placed(KubernetesStack(tmp_path, environment, "registry.invalid/none:1", KUBERNETES_PREAMBLE))


@pytest.fixture
def whole(toolbox: dict[str, str], kubeconfig: str, tmp_path: Path) -> Iterator[Stack]:
    """A fresh stack whose program makes its namespace itself; destroyed afterwards."""
    environment = {**toolbox, "KUBECONFIG": kubeconfig}
    yield from used(KubernetesStack(tmp_path, environment, "registry.invalid/none:1", KUBERNETES_PREAMBLE))


@pytest.fixture(scope="module")
def pods(
    toolbox: dict[str, str], kubeconfig: str, node_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], KubernetesStack]]:
    """Makes stacks on the cluster, for pods that run, each with a namespace of its own."""

    def make() -> KubernetesStack:
        environment = {**toolbox, "KUBECONFIG": kubeconfig}
        made = KubernetesStack(tmp_path_factory.mktemp("pods"), environment, node_image, KUBERNETES_PREAMBLE)
        made.kubectl("create", "namespace", made.name)
        stacks.append(made)
        return made.begin()

    stacks: list[KubernetesStack] = []
    yield make
    for made in stacks:
        made.kubectl("delete", "namespace", made.name, "--wait=false")


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Assert that a condition becomes true within ten seconds."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "the condition did not become true"
            time.sleep(0.1)

    return wait
