"""No secret can be read where it does not belong: the tests search for the values themselves."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from tests.kubernetes.stack import Stack, name_of
from tests.support.secrecy import assert_absent, assert_unexported, assert_unprinted, assert_untracked, generated

SHELLESS = ("prometheus",)
"""Services whose image has no shell to ask for command lines."""


@pytest.fixture(scope="module")
def secrets(stack: Stack) -> list[str]:
    """Every generated password, those of the operators too, and the bodies of all private keys; plain and as base64."""
    found = set(generated(stack, least=2))
    keys = set()
    for namespace in (stack.namespace, stack.ground):
        for secret in stack.objects("secrets", "--namespace", namespace):
            for name, value in secret.get("data", {}).items():
                text = base64.b64decode(value).decode(errors="replace")
                keys |= {match[1] for match in re.finditer(r"PRIVATE KEY-----\s+([A-Za-z0-9+/]{40})", text)}
                if name == "password":
                    found.add(text)
    assert len(keys) >= 3, "the authorities of the stack and of the operator, and certificates"
    assert all(len(value) >= 32 for value in found)
    plain = [*found, *keys]
    return [*plain, *(base64.b64encode(value.encode()).decode().rstrip("=")[:-1] for value in plain)]


@pytest.mark.fact("ARE-071", stack="S")
def test_no_secret_stands_in_what_the_commands_print(stack: Stack, secrets: list[str]) -> None:
    assert_unprinted(secrets, stack)


def test_no_secret_stands_in_the_exported_state(stack: Stack, secrets: list[str]) -> None:
    assert_unexported(secrets, stack)
    for file in (stack.folder / ".state").rglob("*"):
        if file.is_file():
            assert_absent(secrets, file.read_text(encoding="utf-8", errors="replace"), file.name)


def test_no_secret_stands_in_the_rendered_manifests(stack: Stack, secrets: list[str], tmp_path: Path) -> None:
    stack.make("render", f"ARGS=--output {tmp_path}")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 20
    for file in files:
        assert_absent(secrets, file.read_text(encoding="utf-8"), file.name)


def kinds(stack: Stack) -> list[str]:
    """Every kind of object that a namespace can have, but Secrets."""
    listed = stack.kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
    assert "configmaps" in listed
    return [kind for kind in listed if kind not in ("secrets", "pods.metrics.k8s.io")]


def test_no_secret_stands_in_any_object_but_secrets(stack: Stack, secrets: list[str]) -> None:
    for namespace in (stack.namespace, stack.ground):
        everything = stack.kubectl(
            "get", ",".join(kinds(stack)), "--namespace", namespace, "--output=yaml", "--show-managed-fields"
        )
        assert "kind: ConfigMap" in everything
        assert_absent(secrets, everything, f"the objects of {namespace}")


def test_no_secret_stands_in_what_kubectl_describe_shows(stack: Stack, secrets: list[str]) -> None:
    for namespace in (stack.namespace, stack.ground):
        shown = stack.kubectl("describe", ",".join([*kinds(stack), "secrets"]), "--namespace", namespace)
        assert "Namespace:" in shown
        assert_absent(secrets, shown, f"the description of {namespace}")


def test_no_secret_stands_in_any_log(stack: Stack, secrets: list[str]) -> None:
    for pod in stack.objects("pods"):
        for previous in (False, True):
            ran = stack.try_kubectl("logs", name_of(pod), "--all-containers", f"--previous={str(previous).lower()}")
            if ran.code == 0:
                assert_absent(secrets, ran.output, f"the log of {name_of(pod)}")


def test_no_secret_stands_on_a_command_line(stack: Stack, secrets: list[str]) -> None:
    for pod in stack.pods():
        if pod["metadata"]["labels"]["ai-platform/service"] in SHELLESS:
            continue
        ran = stack.run(name_of(pod), "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
        assert ran.output.strip(), name_of(pod)
        assert_absent(secrets, ran.output, f"a command line in {name_of(pod)}")


def test_no_secret_stands_in_the_checkout(stack: Stack, secrets: list[str]) -> None:
    assert_untracked(secrets, stack)
