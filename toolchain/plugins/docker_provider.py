"""`docker` stand-in: Container, Network, Volume and RemoteImage as in the official plugin 5.2.0."""

from __future__ import annotations

import importlib.metadata

from docker.errors import APIError, ImageNotFound, NotFound

from toolchain.plugins.docker_container import Container
from toolchain.plugins.docker_engine import Engine, EngineResource, labels
from toolchain.plugins.provider import Provider, serve
from toolchain.plugins.schema import Values, flag, group_set, text, text_map, text_set, to_api

REGISTRY = {"address": text(required=True), "username": text(), "password": text(), "authDisabled": flag()}
FULL = (
    "The disk of the engine at {} is full. Make room there (`docker system df` shows what takes it), then run the same "
    "command again: it goes on from here."
)
ADVICE = {
    "no space left on device": FULL,
    # PostgreSQL, where a part of a write had room.
    "check free disk space": FULL,
    "networks have overlapping ipv4": "A network of the engine at {} has these addresses already: choose another "
    "platform.networkPool. Is there none in `docker network ls`, then a full disk has left it half-made: restart the "
    "engine, which forgets it, and run the same command again.",
    "pool overlaps with other one": "A network of the engine at {} has these addresses already: choose another "
    "platform.networkPool.",
    "port is already allocated": "Another container on the engine at {} has this port (`docker ps` shows which): stop "
    "it, or choose another one (platform.httpPort, platform.httpsPort), then run the same command again.",
    "address already in use": "Another process on the host of the engine at {} has this port (`ss -ltnp` shows which): "
    "end it, or choose another one (platform.httpPort, platform.httpsPort), then run the same command again.",
}
"""What to do, by what the engine says; the first that fits."""
IPAM = {
    "subnet": text(api="Subnet"),
    "gateway": text(api="Gateway"),
    "ipRange": text(api="IPRange"),
    "auxAddress": text_map(api="AuxiliaryAddresses"),
}


class Network(EngineResource):
    """A network. Nothing of it can be changed in place."""

    inputs = {
        "name": text(new=True, api="name"),
        "labels": labels(),
        "driver": text(new=True, computed=True, api="driver"),
        "options": text_map(new=True, computed=True, api="options"),
        "internal": flag(new=True, computed=True, api="internal"),
        "attachable": flag(new=True, api="attachable"),
        "ingress": flag(new=True, api="ingress"),
        "ipv6": flag(new=True, api="enable_ipv6"),
        "ipamDriver": text(new=True, default="default", api="ipam.Driver"),
        "ipamOptions": text_map(new=True, api="ipam.Options"),
        "ipamConfigs": group_set(IPAM, new=True, computed=True, api="ipam.Config"),
    }
    outputs = ("scope",)

    def create(self, inputs: Values, _timeout: float) -> tuple[str, Values]:
        request = to_api(self.inputs, inputs)
        made = self.engine.api.create_network(labels=request.pop("Labels", None), check_duplicate=True, **request)
        return made["Id"], self.state(made["Id"])

    def state(self, identity: str) -> Values:
        seen = self.engine.api.inspect_network(identity)
        pools = [{name: pool.get(key.api) for name, key in IPAM.items()} for pool in seen["IPAM"]["Config"] or []]
        return {
            "ipamConfigs": [{name: value for name, value in pool.items() if value} for pool in pools],
            **{name: seen[name.capitalize()] for name in ("driver", "internal", "options", "scope")},
        }

    def read(self, identity: str, inputs: Values, _outputs: Values) -> tuple[Values, Values] | None:
        try:
            return inputs, self.state(identity)
        except NotFound:
            return None

    def delete(self, identity: str, _state: Values) -> None:
        self.engine.remove_when_free(self.engine.api.remove_network, identity)


class Volume(EngineResource):
    """A named volume. Docker hands back an existing volume of the same name, with its data."""

    inputs = {
        "name": text(new=True),
        "labels": labels(),
        "driver": text(new=True, computed=True),
        "driverOpts": text_map(new=True),
    }
    outputs = ("mountpoint",)

    def create(self, inputs: Values, _timeout: float) -> tuple[str, Values]:
        tags = to_api(self.inputs, inputs).get("Labels")
        made = self.engine.api.create_volume(inputs["name"], inputs.get("driver"), inputs.get("driverOpts"), tags)
        return made["Name"], {"driver": made["Driver"], "mountpoint": made["Mountpoint"]}

    def read(self, identity: str, inputs: Values, _outputs: Values) -> tuple[Values, Values] | None:
        try:
            seen = self.engine.api.inspect_volume(identity)
        except NotFound:
            return None
        return inputs, {"driver": seen["Driver"], "mountpoint": seen["Mountpoint"]}

    def delete(self, identity: str, _state: Values) -> None:
        self.engine.remove_when_free(self.engine.api.remove_volume, identity)


class RemoteImage(EngineResource):
    """An image by name: the host's own, else pulled with the provider's credentials."""

    inputs = {
        "name": text(new=True, required=True),
        "keepLocally": flag(),
        "forceRemove": flag(),
        "platform": text(new=True),
        "pullTriggers": text_set(new=True),
        "triggers": text_map(new=True),
    }
    outputs = ("imageId", "repoDigest")
    autonamed = False

    def create(self, inputs: Values, _timeout: float) -> tuple[str, Values]:
        image = self.engine.find_image(inputs["name"], inputs.get("platform"))
        return image["Id"] + inputs["name"], self.state(image)

    def state(self, image: Values) -> Values:
        return {"imageId": image["Id"], "repoDigest": next(iter(image.get("RepoDigests") or []), "")}

    def read(self, _identity: str, inputs: Values, _outputs: Values) -> tuple[Values, Values] | None:
        try:
            return inputs, self.state(self.engine.api.inspect_image(inputs["name"]))
        except ImageNotFound:
            return None

    def delete(self, _identity: str, state: Values) -> None:
        try:
            if not state.get("keepLocally"):
                self.engine.api.remove_image(state["name"], force=state.get("forceRemove", False))
        except ImageNotFound:
            pass


class DockerProvider(Provider):
    """The provider: one Docker host and the credentials of its registries."""

    name = "docker"
    config = {"host": text(), "registryAuth": group_set(REGISTRY)}

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.docker = Engine(self.cancelled)
        self.types = {
            "docker:index/container:Container": Container(self.docker),
            "docker:index/network:Network": Network(self.docker),
            "docker:index/volume:Volume": Volume(self.docker),
            "docker:index/remoteImage:RemoteImage": RemoteImage(self.docker),
        }

    def configure(self, values: Values) -> None:
        self.docker.host = values.get("host") or self.docker.host
        for entry in values.get("registryAuth", []):
            if not entry.get("authDisabled"):
                address = entry["address"].removeprefix("https://").removeprefix("http://").rstrip("/")
                self.docker.credentials[address] = {name: entry.get(name, "") for name in ("username", "password")}

    def explain(self, error: Exception) -> str:
        return f"Docker at {self.docker.host}: {(isinstance(error, APIError) and error.explanation) or error}"

    def advise(self, message: str) -> str:
        # The engine's own error, or the last words of a process in a container.
        found = [text for sign, text in ADVICE.items() if sign in message.lower()]
        return "\n".join([message, *(text.format(self.docker.host) for text in found[:1])])


def main() -> None:
    """Entry point of `pulumi-resource-docker`."""
    serve(DockerProvider(importlib.metadata.version("pulumi_docker")))
