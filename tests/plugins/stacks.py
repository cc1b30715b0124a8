"""Throw-away stacks of the tests: one project each, with a program that a test writes."""

from __future__ import annotations

import json
import subprocess
import textwrap
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

MARK = f"plugins-test-{uuid.uuid4().hex[:8]}"
"""Label of everything that this run makes on the Docker host."""
COMMAND_SECONDS = 600
"""Of one command: more than anything that a program here waits for, so that the command says what it waited for."""

DOCKER_PREAMBLE = """\
    import os
    import pulumi
    import pulumi_docker as docker
    import pulumi_random as random
    image = os.environ["IMAGE"]
    labels = [{"label": os.environ[name], "value": "yes"} for name in ("MARK", "PROJECT")]
"""
KUBERNETES_PREAMBLE = """\
    import os
    import pulumi
    import pulumi_kubernetes as k8s
    from pulumi import CustomTimeouts, ResourceOptions
    image, namespace = os.environ["IMAGE"], os.environ["PROJECT"]
    provider = k8s.Provider("provider", namespace=namespace, cluster_identifier="test")
    inside = ResourceOptions(provider=provider)

    def template(*command, label="web", **container):
        app = {"name": "app", "image": image, "command": list(command), **container}
        app["image_pull_policy"] = "IfNotPresent"
        app["security_context"] = {"allow_privilege_escalation": False, "capabilities": {"drop": ["ALL"]}}
        user = {"run_as_non_root": True, "run_as_user": 65532, "seccomp_profile": {"type": "RuntimeDefault"}}
        pod = {"containers": [app], "security_context": user, "termination_grace_period_seconds": 1}
        return {"metadata": {"labels": {"app": label}}, "spec": pod}

    def within(seconds, opts=inside):
        times = CustomTimeouts(create=f"{seconds}s", update=f"{seconds}s")
        return ResourceOptions.merge(opts, ResourceOptions(custom_timeouts=times))
"""


class Stack:
    """One throw-away project with one stack."""

    def __init__(self, folder: Path, environment: dict[str, str], image: str, preamble: str = DOCKER_PREAMBLE) -> None:
        self.folder = folder
        self.preamble = preamble
        self.name = f"{MARK}-{uuid.uuid4().hex[:4]}"
        """Name of the project, and label of everything that the stack makes."""
        self.environment = {**environment, "MARK": MARK, "PROJECT": self.name, "IMAGE": image}
        (folder / "Pulumi.yaml").write_text(f"name: {self.name}\nruntime: python\n", encoding="utf-8")

    def write(self, program: str) -> Self:
        """Replace the program. `image`, what marks its resources and the usual imports are there already."""
        source = textwrap.dedent(self.preamble) + textwrap.dedent(program)
        (self.folder / "__main__.py").write_text(source, encoding="utf-8")
        return self

    def begin(self) -> Self:
        """Make the stack, with a program that makes nothing."""
        self.write("")
        command = ["pulumi", "stack", "init", "test"]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True, capture_output=True)
        return self

    def command(self, *args: str) -> list[str]:
        selected = [] if args[0] == "install" else ["--stack", "test"]
        return ["pulumi", *args, "--non-interactive", "--color=never", *selected]

    def run(self, *args: str, ok: bool = True, **environment: str) -> str:
        """Run a CLI command and return its output; assert that it succeeds, or that it does not."""
        done = subprocess.run(
            self.command(*args),
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        output = done.stdout + done.stderr
        assert (done.returncode == 0) == ok, output
        assert "prematurely" not in output, output
        return output

    def up(self, *args: str, ok: bool = True, **environment: str) -> str:
        return self.run("up", "--yes", "--skip-preview", *args, ok=ok, **environment)

    def steps(self, *args: str) -> dict[str, str]:
        """Operation of every resource in a preview, by logical name; unchanged ones are left out."""
        plan = json.loads(self.run("preview", "--json", *args))
        operations = {step["urn"].rpartition("::")[2]: step["op"] for step in plan["steps"]}
        return {name: operation for name, operation in operations.items() if operation != "same"}

    def resources(self) -> dict[str, dict[str, Any]]:
        """The state's resources by logical name."""
        exported = json.loads(self.run("stack", "export"))["deployment"].get("resources", [])
        return {entry["urn"].rpartition("::")[2]: entry for entry in exported}

    def output(self, name: str) -> Any:
        """The value of a stack output, secret or not."""
        return json.loads(self.run("stack", "output", "--json", "--show-secrets"))[name]


class KubernetesStack(Stack):
    """A throw-away project whose objects are in a namespace of their own, named as the project."""

    def kubectl(self, *args: str) -> str:
        """What kubectl answers about the stack's namespace, as another user would ask it."""
        command = ["kubectl", "--kubeconfig", self.environment["KUBECONFIG"], "--namespace", self.name, *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def physical(self, name: str) -> str:
        """An object's name in the cluster, by its resource's name."""
        return str(self.resources()[name]["outputs"]["metadata"]["name"])


def used(made: Stack) -> Iterator[Stack]:
    """Make the stack; destroy it afterwards."""
    yield made.begin()
    made.run("destroy", "--yes", "--skip-preview", "--remove")


def placed(made: KubernetesStack) -> Iterator[KubernetesStack]:
    """Make the stack and its namespace; whatever is left in it goes with it, later than the test."""
    made.kubectl("create", "namespace", made.name)
    yield made.begin()
    made.kubectl("delete", "namespace", made.name, "--wait=false")
