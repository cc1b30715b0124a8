"""Runs a Pulumi program against a monitor that records every registration, and answers as an engine would.

The graph is complete before anything is asserted: no assertion hides in an `apply` that may never run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import json_format
from pulumi.runtime import mocks, settings
from pulumi.runtime.stack import run_pulumi_func

SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - Pulumi's public marker of secrets on the wire
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "[secret] "  # noqa: S105 - a marker
"""Stands before the value of every secret in the recorded inputs."""


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One resource as the program registered it."""

    type: str
    name: str
    urn: str
    parent: str
    custom: bool
    inputs: Mapping[str, Any]
    """Plain data; each secret is its text behind `SECRET`."""
    depends_on: frozenset[str]
    """URNs."""
    delete_before_replace: bool | None
    protect: bool
    retain_on_delete: bool
    provider: str
    aliases: tuple[str, ...]


@dataclass
class Graph:
    """Everything that one run of a program registered."""

    resources: list[Registration] = field(default_factory=list)
    outputs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """URN → registered outputs of a component."""
    exports: dict[str, Any] = field(default_factory=dict)
    """What the program exports; secrets are marked."""

    def of_type(self, suffix: str) -> list[Registration]:
        """Resources whose type token ends with `suffix`, in the order of registration."""
        return [one for one in self.resources if one.type.endswith(suffix)]

    def named(self, name: str) -> Registration:
        """The one resource of that logical name. Raises LookupError when there is none or several."""
        found = [one for one in self.resources if one.name == name and one.custom] or [
            one for one in self.resources if one.name == name
        ]
        if len(found) != 1:
            raise LookupError(
                f"{len(found)} resources are named {name!r}: {sorted(one.name for one in self.resources)}"
            )
        return found[0]


class Engine(mocks.Mocks):
    """Answers like a provider whose every operation succeeds; `override` changes the outputs of named resources."""

    def __init__(self, override: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.override = override or {}

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        state = dict(args.inputs)
        if args.typ == "random:index/randomPassword:RandomPassword":
            # As it stands on the wire: the provider marks it, not the program.
            state["result"] = {SIGNATURE: SECRET_SIGNATURE, "value": f"generated-{args.name}"}
        elif args.typ.startswith("docker:index/"):
            state.setdefault("name", f"{args.name}-0000000")
            if args.typ.endswith(":Container"):
                state |= {"exitCode": 0, "containerLogs": ""}
            if args.typ.endswith(":RemoteImage"):
                state["imageId"] = f"sha256:of-{args.inputs['name']}"
        elif args.typ.startswith("kubernetes:"):
            metadata = dict(state.get("metadata", {}))
            metadata.setdefault("name", f"{args.name}-0000000")
            state["metadata"] = metadata
        state |= self.override.get(args.name, {})
        return f"{args.name}-id", state

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"the program invoked {args.token}")


class Monitor(mocks.MockMonitor):
    """Records each request before it is answered."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.graph = Graph()

    def RegisterResource(self, request: Any) -> Any:
        if request.type != "pulumi:pulumi:Stack":
            self.graph.resources.append(
                Registration(
                    type=request.type,
                    name=request.name,
                    urn=self.make_urn(request.parent, request.type, request.name),
                    parent=request.parent,
                    custom=request.custom,
                    inputs=_plain(json_format.MessageToDict(request.object)),
                    depends_on=frozenset(request.dependencies),
                    delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
                    protect=request.protect,
                    retain_on_delete=request.retainOnDelete,
                    provider=request.provider or ",".join(sorted(request.providers)),
                    aliases=tuple(str(alias) for alias in request.aliases),
                )
            )
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def RegisterResourceOutputs(self, request: Any) -> Any:
        self.graph.outputs[request.urn] = _plain(json_format.MessageToDict(request.outputs))
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


def record(
    program: Callable[[], None],
    *,
    stack: str = "dev",
    preview: bool = False,
    override: Mapping[str, Mapping[str, Any]] | None = None,
    root: Path | None = None,
) -> Graph:
    """Run `program` to its end, in the project folder `root`; returns what it registered, raises what it raises."""
    monitor = Monitor(Engine(override))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        settings.set_root_resource(None)  # type: ignore[arg-type]
        mocks.set_mocks(
            monitor.mocks,
            project="ai-platform",
            stack=stack,
            preview=preview,
            monitor=monitor,
            organization="organization",
        )
        settings.SETTINGS.root_directory = str(root) if root else None
        loop.run_until_complete(run_pulumi_func(program))
        stack_resource = pulumi.runtime.get_root_resource()
        monitor.graph.exports = loop.run_until_complete(_resolve(getattr(stack_resource, "outputs", {})))
    finally:
        # A program that failed leaves registrations behind that nobody waits for any more.
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        settings.SETTINGS.rpc_manager.clear()
        settings.SETTINGS.outputs.clear()
        loop.close()
    return monitor.graph


async def _resolve(outputs: Mapping[str, Any]) -> dict[str, Any]:
    resolved = {}
    for name, value in outputs.items():
        output = pulumi.Output.from_input(value)
        plain = await output.future()
        resolved[name] = _mark(plain) if await output.is_secret() else plain
    return resolved


def _plain(value: Any) -> Any:
    """Proto JSON as plain data, secrets marked."""
    if isinstance(value, dict):
        signature = value.get(SIGNATURE)
        if signature == SECRET_SIGNATURE:
            return _mark(_plain(value["value"]))
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _mark(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mark(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_mark(child) for child in value]
    return f"{SECRET}{value.removeprefix(SECRET)}" if isinstance(value, str) else value
