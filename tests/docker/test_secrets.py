"""No generated secret can be read where it does not belong: the tests search for the values themselves."""

from __future__ import annotations

import json
import re

import pytest

from tests.docker.stack import Stack
from tests.support.secrecy import assert_absent, assert_unexported, assert_unprinted, assert_untracked, generated


@pytest.fixture(scope="module")
def secrets(stack: Stack) -> list[str]:
    """Every generated password, and the private key's body."""
    resources = stack.state(show_secrets=True)["deployment"]["resources"]
    uploads = json.dumps([resource.get("inputs", {}) for resource in resources])
    start = uploads.index("PRIVATE KEY-----") + len("PRIVATE KEY-----")
    body = uploads[start : start + 200].lstrip("\\n")[:40]
    # A search for something else than the key would find nothing, and say that all is well.
    assert re.fullmatch(r"[A-Za-z0-9+/]{40}", body), "this is not the body of a private key"
    return [*generated(stack, least=3), body]


@pytest.mark.fact("ARE-071", stack="D")
def test_no_secret_stands_in_what_the_commands_print(stack: Stack, secrets: list[str]) -> None:
    assert_unprinted(secrets, stack)


def test_no_secret_stands_in_the_exported_state(stack: Stack, secrets: list[str]) -> None:
    assert_unexported(secrets, stack)
    for file in (stack.folder / ".state").rglob("*"):
        if file.is_file():
            assert_absent(secrets, file.read_text(encoding="utf-8", errors="replace"), file.name)


def test_no_secret_stands_in_any_container_log(stack: Stack, secrets: list[str]) -> None:
    for container in stack.containers(everything=True):
        assert_absent(secrets, container.logs().decode(errors="replace"), f"the log of {container.name}")


def test_no_secret_stands_in_labels_commands_and_health_checks(stack: Stack, secrets: list[str]) -> None:
    for container in stack.containers(everything=True):
        config = container.attrs["Config"]
        visible = {key: config.get(key) for key in ("Labels", "Cmd", "Entrypoint", "Healthcheck", "Hostname")}
        visible |= {"Path": container.attrs["Path"], "Args": container.attrs["Args"], "Name": container.name}
        assert_absent(secrets, json.dumps(visible), f"docker inspect of {container.name}")


def test_no_secret_stands_on_a_command_line(stack: Stack, secrets: list[str]) -> None:
    for container in stack.containers():
        lines = container.top()["Processes"]
        assert_absent(secrets, json.dumps(lines), f"a command line in {container.name}")


def test_no_secret_stands_in_a_network_a_volume_or_an_image(stack: Stack, secrets: list[str]) -> None:
    engine = stack.engine
    filters = {"label": f"ai-platform.stack={stack.name}"}
    for network in engine.networks.list(filters=filters):
        assert_absent(secrets, json.dumps(network.attrs), str(network.name))
    for volume in engine.volumes.list(filters=filters):
        assert_absent(secrets, json.dumps(volume.attrs), str(volume.name))
    for image_id in {str(container.attrs["Image"]) for container in stack.containers()}:
        image = engine.images.get(image_id)
        assert_absent(secrets, json.dumps([image.attrs, image.history()]), f"image {image_id}")


def test_no_secret_stands_in_the_checkout(stack: Stack, secrets: list[str]) -> None:
    assert_untracked(secrets, stack)


def test_the_passphrase_is_readable_by_its_owner_only(stack: Stack) -> None:
    assert (stack.folder / ".state" / "passphrase").stat().st_mode & 0o077 == 0
