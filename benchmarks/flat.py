"""Writes the flat program that the project is compared with: the same resources, without a layer in between.

It is what somebody would write by hand in one file: each docker and random resource constructed with plain arguments,
taking names and passwords from the resources before it. Configuration, checks and specs are not in it. The components
stand there as bare resources, so that the two programs register the same; or they are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import pulumi_docker

from platforms.certificates import derive
from platforms.docker.workloads import FIXED_AT_CREATION
from tests.support.recording import SECRET, Graph, Registration

MODULES = {"docker": "docker", "random": "random"}
PROVIDER = "pulumi:providers:docker"
SEED = "foundation-edge-tls-seed"
HEAD = """\
import pulumi
import pulumi_docker as docker
import pulumi_random as random
from pulumi import ComponentResource, Output, ResourceOptions

from platforms.certificates import derive
from platforms.outputs import settle_in_bulk

"""


def snake(name: str) -> str:
    """Python's name of an input: `networksAdvanced` is `networks_advanced`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def variable(name: str) -> str:
    """Python's name of a resource."""
    return re.sub(r"\W", "_", name)


def input_class(kind: str, key: str) -> str | None:
    """The SDK's class of a nested input, such as `ContainerMountArgs`; None for plain maps."""
    stem = kind + key[0].upper() + key[1:]
    names = (f"{stem}Args", f"{stem.removesuffix('s')}Args")
    return next((name for name in names if hasattr(pulumi_docker, name)), None)


class FlatProgram:
    """The source text of the flat program for a recorded graph."""

    def __init__(
        self, graph: Graph, *, stack: str, hosts: Sequence[str] = ("localhost",), components: bool = True
    ) -> None:
        self.resources = [one for one in graph.resources if one.custom or components]
        self.exports = graph.exports
        self._outputs = graph.outputs
        self._stack = stack
        self._hosts = list(hosts)
        self._by_urn = {one.urn: one for one in self.resources}

    @cached_property
    def tokens(self) -> Mapping[str, str]:
        """Texts that the recorder made up for outputs → the outputs."""
        found = {}
        for one in self.resources:
            if one.type.startswith("docker:index/"):
                found[f"{one.name}-0000000"] = f"{variable(one.name)}.name"
            elif one.type.endswith(":RandomPassword"):
                found[f"generated-{one.name}"] = f"{variable(one.name)}.result"
        return found

    @cached_property
    def _certificates(self) -> Mapping[str, str]:
        made = derive(f"generated-{SEED}".encode(), self._stack, self._hosts)
        return {
            made.authority: "authority",
            made.certificate: "Output.unsecret(tls.apply(lambda one: one.certificate))",
            made.key: "tls.apply(lambda one: one.key)",
        }

    @cached_property
    def _token(self) -> re.Pattern[str]:
        longest_first = sorted(self.tokens, key=len, reverse=True)
        return re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    def source(self) -> str:
        """The program."""
        parts = [HEAD, *(self._resource(one) for one in self.resources)]
        for name, value in self.exports.items():
            parts.append(f"pulumi.export({name!r}, {self._value('', '', value)})\n")
        return "".join([*parts, "settle_in_bulk()\n"])

    def _resource(self, one: Registration) -> str:
        if one.type == PROVIDER:
            return f"provider = docker.Provider({one.name!r}, host={one.inputs['host']!r})\n"
        if not one.custom:
            outputs = self._value("", "", self._outputs.get(one.urn, {}))
            name, made = self._variable(one), f"{one.type!r}, {one.name!r}, None, {self._options(one, '')}"
            return f"{name} = ComponentResource({made})\n{name}.register_outputs({outputs})\n"
        module, kind = one.type.partition(":")[0], one.type.rpartition(":")[2]
        arguments = [repr(one.name)]
        arguments += [f"{snake(key)}={self._value(kind, key, value)}" for key, value in one.inputs.items()]
        arguments.append(f"opts={self._options(one, ' '.join(arguments))}")
        text = f"{variable(one.name)} = {MODULES[module]}.{kind}(\n    " + ",\n    ".join(arguments) + ",\n)\n"
        if one.name == SEED:
            text += (
                f"tls = {variable(SEED)}.result.apply(lambda text: derive(text.encode(), {self._stack!r}, "
                f"{self._hosts!r}))\nauthority = Output.unsecret(tls.apply(lambda one: one.authority))\n"
            )
        return text

    @staticmethod
    def _variable(one: Registration) -> str:
        # A component may be called like a resource below it.
        return variable(one.name) if one.custom else f"{variable(one.name)}_component"

    def _options(self, one: Registration, arguments: str) -> str:
        options = ["provider=provider"] if one.type.startswith("docker:") else []
        if one.parent in self._by_urn:
            options.append(f"parent={self._variable(self._by_urn[one.parent])}")
        before = sorted(variable(self._by_urn[urn].name) for urn in one.depends_on if urn in self._by_urn)
        # Pulumi finds out by itself about those whose outputs are used.
        explicit = [name for name in before if f"{name}.name" not in arguments and f"{name}.result" not in arguments]
        if explicit:
            options.append(f"depends_on=[{', '.join(explicit)}]")
        if one.delete_before_replace is not None:
            options.append(f"delete_before_replace={one.delete_before_replace}")
        if one.type.endswith(":Container"):
            options.append(f"replace_on_changes={FIXED_AT_CREATION!r}")
        return f"ResourceOptions({', '.join(options)})"

    def _value(self, kind: str, key: str, value: Any) -> str:
        if isinstance(value, str):
            return self._text(value.removeprefix(SECRET))
        if isinstance(value, list):
            return f"[{', '.join(self._value(kind, key, item) for item in value)}]"
        if not isinstance(value, Mapping):
            return repr(value)
        cls = input_class(kind, key) if kind and key else None
        if cls is None:
            return "{" + ", ".join(f"{name!r}: {self._value('', '', item)}" for name, item in value.items()) + "}"
        fields = (f"{snake(name)}={self._value('', '', item)}" for name, item in value.items())
        return f"docker.{cls}({', '.join(fields)})"

    def _text(self, text: str) -> str:
        if text in self._certificates:
            return self._certificates[text]
        parts = [self.tokens.get(piece, repr(piece)) for piece in self._token.split(text) if piece]
        if len(parts) == 1:
            return parts[0]
        return f"Output.concat({', '.join(parts)})" if parts else "''"
