"""No generated secret can be read where it does not belong: the tests search for the values themselves."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.docker.stack import Stack


@pytest.fixture(scope="module")
def secrets(stack: Stack) -> list[str]:
    """Every generated password, and the private key's body."""
    resources = stack.state(show_secrets=True)["deployment"]["resources"]
    found = [
        json.loads(resource["outputs"]["result"]["plaintext"])
        for resource in resources
        if resource["type"] == "random:index/randomPassword:RandomPassword"
    ]
    uploads = json.dumps([resource.get("inputs", {}) for resource in resources])
    start = uploads.index("PRIVATE KEY-----") + len("PRIVATE KEY-----")
    body = uploads[start : start + 200].lstrip("\\n")[:40]
    # A search for something else than the key would find nothing, and say that all is well.
    assert re.fullmatch(r"[A-Za-z0-9+/]{40}", body), "this is not the body of a private key"
    assert len(found) >= 3
    assert all(len(value) >= 32 for value in found)
    return [*found, body]


def assert_absent(secrets: list[str], text: str, where: str) -> None:
    """Fails with the place only: the value must not get into the test's own output."""
    assert not any(secret in text for secret in secrets), f"a secret stands in {where}"


@pytest.mark.fact("ARE-071", stack="D")
def test_no_secret_stands_in_what_the_commands_print(stack: Stack, secrets: list[str]) -> None:
    assert_absent(secrets, "\n".join(stack.outputs), "the output of make or pulumi")
    assert_absent(secrets, stack.pulumi("preview", "--diff").output, "the output of a preview")


def test_no_secret_stands_in_the_exported_state(stack: Stack, secrets: list[str]) -> None:
    assert_absent(secrets, stack.pulumi("stack", "export", log=False).output, "the exported state")
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
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=stack.folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, files.split("\0")):
        path = Path(stack.folder, name)
        if path.is_file():
            assert_absent(secrets, path.read_text(encoding="utf-8", errors="replace"), name)


def test_the_passphrase_is_readable_by_its_owner_only(stack: Stack) -> None:
    assert (stack.folder / ".state" / "passphrase").stat().st_mode & 0o077 == 0
