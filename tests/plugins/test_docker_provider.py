"""The `docker` stand-in's networks, volumes, images and naming, against a real Docker engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import docker
import pytest
from docker.errors import NotFound
from pulumi.runtime.proto import provider_pb2 as rpc

from toolchain.plugins import schema
from toolchain.plugins.docker_provider import DockerProvider
from toolchain.plugins.provider import to_struct

NETWORK = "docker:index/network:Network"
VOLUME = "docker:index/volume:Volume"
IMAGE = "docker:index/remoteImage:RemoteImage"
CONTAINER = "docker:index/container:Container"
Make = Callable[[str], Any]


def test_a_network_gets_its_subnet_labels_and_isolation(engine: docker.DockerClient, call: Make, marks: Any) -> None:
    network = call(NETWORK)
    pool = {"subnet": "10.219.7.0/24", "gateway": "10.219.7.1"}
    inputs = network.check({"internal": True, "ipamConfigs": [pool], "labels": marks})
    identity, state = network.create(inputs)
    seen = engine.networks.get(identity).attrs
    assert seen["Name"] == inputs["name"]
    assert seen["Internal"] is True
    assert seen["IPAM"]["Config"] == [{"Subnet": "10.219.7.0/24", "Gateway": "10.219.7.1"}]
    assert marks[0]["label"] in seen["Labels"]
    assert (state["driver"], state["scope"], state["internal"]) == ("bridge", "local", True)
    assert state["ipamConfigs"] == [pool]
    refreshed = network.read(identity, inputs, state)
    assert not network.diff(schema.plain(refreshed.inputs), inputs).diffs
    network.delete(identity, state)
    assert network.read(identity, inputs, state).id == ""
    network.delete(identity, state)


def test_a_network_without_a_driver_is_a_bridge_that_leads_out(call: Make, marks: Any) -> None:
    network = call(NETWORK)
    identity, state = network.create(network.check({"labels": marks}))
    assert (state["driver"], state["internal"]) == ("bridge", False)
    network.delete(identity, state)


def test_a_network_still_in_use_is_removed_once_its_container_goes(
    engine: docker.DockerClient, call: Make, marks: Any, image: str
) -> None:
    network = call(NETWORK)
    identity, state = network.create(network.check({"labels": marks}))
    user = engine.containers.run(image, network=identity, detach=True, labels={marks[0]["label"]: "yes"})
    threading.Timer(1, user.remove, kwargs={"force": True}).start()
    network.delete(identity, state)
    with pytest.raises(NotFound):
        engine.networks.get(identity)


def test_a_volume_keeps_its_name_and_labels_and_is_found_gone(
    engine: docker.DockerClient, call: Make, marks: Any
) -> None:
    volume = call(VOLUME)
    inputs = volume.check({"labels": marks})
    identity, state = volume.create(inputs)
    assert identity == inputs["name"]
    assert state["driver"] == "local"
    assert state["mountpoint"] == engine.volumes.get(identity).attrs["Mountpoint"]
    assert not volume.diff(schema.plain(volume.read(identity, inputs, state).inputs), inputs).diffs
    engine.volumes.get(identity).remove()
    assert volume.read(identity, inputs, state).id == ""
    volume.delete(identity, state)


def test_an_image_on_the_host_is_used_without_a_registry_and_kept_if_asked(
    engine: docker.DockerClient, call: Make, image: str
) -> None:
    remote = call(IMAGE)
    inputs = remote.check({"name": image, "keepLocally": True})
    identity, state = remote.create(inputs)
    image_id = engine.images.get(image).id
    assert state["imageId"] == image_id
    assert identity == f"{image_id}{image}"
    assert remote.read(identity, inputs, state).id == identity
    remote.delete(identity, state)
    assert engine.images.get(image).id == image_id


def test_an_image_that_is_not_kept_is_removed(engine: docker.DockerClient, call: Make, image: str) -> None:
    name = "ai-platform-plugins-test/copy:1"
    engine.images.get(image).tag(name)
    remote = call(IMAGE)
    inputs = remote.check({"name": name})
    identity, state = remote.create(inputs)
    remote.delete(identity, state)
    assert remote.read(identity, inputs, state).id == ""


def test_an_image_that_cannot_be_pulled_is_one_error_with_its_name(
    engine: docker.DockerClient, call: Make, refused: Any
) -> None:
    remote = call(IMAGE)
    with pytest.raises(refused, match=r"image localhost:1/none:1 is not at .* and cannot be pulled"):
        remote.create(remote.check({"name": "localhost:1/none:1"}))


def test_an_unreachable_host_is_one_line_that_names_it(call: Make, refused: Any) -> None:
    volume = call(VOLUME)
    volume.provider.docker.host = "unix:///nowhere/docker.sock"
    with pytest.raises(refused, match=r"^Docker at unix:///nowhere/docker.sock does not answer: .*$"):
        volume.create(volume.check({}))


def test_docker_errors_name_the_host_and_dockers_reason(call: Make, engine: docker.DockerClient, refused: Any) -> None:
    network = call(NETWORK)
    with pytest.raises(refused, match=r"^Docker at unix://.*: .*invalid CIDR"):
        network.create(network.check({"ipamConfigs": [{"subnet": "nonsense"}]}))


def test_names_are_unique_stable_and_follow_the_autonaming_of_the_stack(call: Make, refused: Any) -> None:
    volume = call(VOLUME)
    first = volume.check({}, randomSeed=b"a")
    assert first["name"].startswith("plugins-test-")
    assert len(first["name"].rpartition("-")[2]) == 7
    assert volume.check({}, old=first, randomSeed=b"b")["name"] == first["name"]
    assert volume.check({}, randomSeed=b"b")["name"] != first["name"]
    options = rpc.CheckRequest.AutonamingOptions
    assert volume.check({}, autonaming=options(proposed_name="chosen"))["name"] == "chosen"
    with pytest.raises(refused, match="automatic naming is off"):
        volume.check({}, autonaming=options(mode=options.DISABLE))


def test_a_name_fixed_by_the_program_is_freed_first_and_an_automatic_one_is_not(call: Make) -> None:
    network = call(NETWORK)
    fixed, automatic = network.check({"name": "n"}), network.check({})
    assert network.diff(fixed, {**fixed, "internal": True}).deleteBeforeReplace
    assert not network.diff(automatic, {**automatic, "internal": True}).deleteBeforeReplace
    container = call(CONTAINER)
    plain = container.check({"image": "i"})
    assert container.diff(plain, {**plain, "image": "j"}).deleteBeforeReplace
    assert not container.diff(plain, {**plain, "memory": 5}).deleteBeforeReplace


def configure(provider: DockerProvider, **values: Any) -> list[str]:
    """CheckConfig, then Configure unless there are failures; returns the failures."""
    checked = provider.CheckConfig(rpc.CheckRequest(news=to_struct(values)), None)
    if not checked.failures:
        provider.Configure(rpc.ConfigureRequest(args=to_struct(values)), None)
    return [failure.reason for failure in checked.failures]


def test_the_provider_takes_a_host_and_registry_credentials() -> None:
    provider = DockerProvider("5.2.0")
    secret = {
        schema.SIGNATURE: schema.SECRET,
        "value": '[{"address":"https://r.example","username":"u","password":"p"}]',
    }
    assert configure(provider, host="tcp://h:1", registryAuth=secret) == []
    assert provider.docker.host == "tcp://h:1"
    assert provider.docker.credentials == {"r.example": {"username": "u", "password": "p"}}


def test_other_provider_settings_are_refused_by_name() -> None:
    assert configure(DockerProvider("5.2.0"), sshOpts="[]")[0].startswith("sshOpts: not an input")


def test_cancelling_ends_a_wait(engine: docker.DockerClient, call: Make, image: str, marks: Any, refused: Any) -> None:
    container = call(CONTAINER)
    inputs = container.check({"image": image, "command": ["sleep", "60"], "attach": True, "labels": marks})
    threading.Timer(1, lambda: container.provider.Cancel(None, None)).start()
    started = time.monotonic()
    with pytest.raises(refused, match="^cancelled$"):
        container.create(inputs)
    assert time.monotonic() - started < 10
    with pytest.raises(NotFound):
        engine.containers.get(inputs["name"])


def test_lookups_and_functions_are_refused(call: Make, refused: Any) -> None:
    container = call(CONTAINER)
    with pytest.raises(refused, match="cannot import or look up"):
        container.ask("Read", rpc.ReadRequest(id="x", urn=container.urn))
    with pytest.raises(refused, match="function docker:index/getNetwork:getNetwork is not supported"):
        container.ask("Invoke", rpc.InvokeRequest(tok="docker:index/getNetwork:getNetwork"))
