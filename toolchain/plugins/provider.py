"""Base of the stand-in resource providers: Pulumi's ResourceProvider protocol over simple resource types.

A provider lists its resource types; each has a schema and a few operations. Unknown types and inputs are refused,
naming the property. Secrets are left to the engine (`acceptSecrets` is off): it marks every output whose input of the
same name is secret, so a type must never return an input's value under another name.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from concurrent import futures
from typing import Any, ClassVar

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2_grpc
from pulumi.runtime.proto import provider_pb2 as rpc

from toolchain.plugins import schema
from toolchain.plugins.parent import follow_parent
from toolchain.plugins.schema import UNKNOWN, Field, Values

GRPC_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
DEFAULT_TIMEOUT = 20 * 60.0
"""Seconds an operation may take when the program sets no customTimeouts: the official plugins' default."""
DEFAULTS = "__defaults"
"""Input that lists the keys which the program left to the provider, as official plugins record it."""


class ProviderError(Exception):
    """An operation that failed, with the text that the user reads."""

    details = b""
    """A serialised google.rpc.Status for the engine, where the text does not say all."""


class ResourceType(ABC):
    """One resource type: its inputs and what it does. Operations raise ProviderError."""

    inputs: ClassVar[Mapping[str, Field]]
    outputs: ClassVar[tuple[str, ...]] = ()
    """Outputs beside the inputs."""
    autonamed: ClassVar[bool] = True
    """`name` is made from the logical name when the program gives none."""
    delete_before_replace: ClassVar[bool] = False
    state_only: ClassVar[frozenset[str]] = frozenset()
    """Inputs whose change is recorded and nothing else, as the official plugin does; the user is warned."""

    def check(self, _inputs: Values, /) -> Iterable[tuple[str, str]]:
        """Rules across inputs: (property, reason) for each that is broken."""
        return ()

    @abstractmethod
    def create(self, inputs: Values, timeout: float, /) -> tuple[str, Values]:
        """Make the resource. Returns its id and what to record over the inputs. Leaves nothing behind on failure."""

    @abstractmethod
    def read(self, identity: str, inputs: Values, outputs: Values, /) -> tuple[Values, Values] | None:
        """The inputs as they are now and what to record over them; None when the resource is gone."""

    def update(self, _identity: str, _old: Values, _new: Values, outputs: Values, /) -> Values:
        """Apply changed inputs in place. Returns what to record over the inputs."""
        return {name: outputs[name] for name in self.outputs if name in outputs}

    @abstractmethod
    def delete(self, identity: str, state: Values, /) -> None:
        """Remove the resource; one that is gone already is no error."""


def answers_errors(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what a handler raises into one gRPC error that the CLI prints beside the resource."""

    @functools.wraps(method)
    def handler(self: Provider, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request)
        except ProviderError as error:
            message = str(error)
            if error.details:
                context.set_trailing_metadata((("grpc-status-details-bin", error.details),))
        except Exception as error:  # noqa: BLE001 - the process must go on serving the other resources
            message = self.explain(error)
        return context.abort(grpc.StatusCode.UNKNOWN, self.advise(message))

    return handler


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The gRPC service. Subclasses set `name`, `config` and `types`, and take their settings in `configure`."""

    name: ClassVar[str]
    config: ClassVar[Mapping[str, Field]] = {}
    types: Mapping[str, ResourceType]

    def __init__(self, version: str) -> None:
        self.version = version
        self.cancelled = threading.Event()

    def configure(self, values: Values) -> None:
        """Take the provider's configuration."""

    def explain(self, error: Exception) -> str:
        """The text for an error that is not a ProviderError."""
        return f"{self.name} stand-in: {type(error).__name__}: {error}"

    def advise(self, message: str) -> str:
        """The text for the user, with what to do where that is known."""
        return message

    def resource(self, urn: str) -> ResourceType:
        """The type of a URN. Raises ProviderError for one that this provider does not have."""
        token = urn.split("::")[2].rpartition("$")[2]
        if token not in self.types:
            known = ", ".join(sorted(self.types))
            raise ProviderError(f"{token} is not supported by the {self.name} stand-in, which has only: {known}")
        return self.types[token]

    @answers_errors
    def Handshake(self, request: Any) -> rpc.ProviderHandshakeResponse:
        self.engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(request.engine_address))
        return rpc.ProviderHandshakeResponse(supports_autonaming_configuration=True)

    @answers_errors
    def GetPluginInfo(self, _request: Any) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=self.version)

    @answers_errors
    def GetSchema(self, _request: Any) -> rpc.GetSchemaResponse:
        document = {"name": self.name, "version": self.version, "resources": {token: {} for token in self.types}}
        return rpc.GetSchemaResponse(schema=json.dumps(document))

    @answers_errors
    def CheckConfig(self, request: Any) -> rpc.CheckResponse:
        return checked(request.news, schema.failures(self.config, configuration(self.config, request.news)))

    @answers_errors
    def DiffConfig(self, request: Any) -> rpc.DiffResponse:
        return difference(
            self.config, configuration(self.config, request.old_inputs), configuration(self.config, request.news)
        )

    @answers_errors
    def Configure(self, request: Any) -> rpc.ConfigureResponse:
        self.configure(configuration(self.config, request.args))
        return rpc.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

    @answers_errors
    def Check(self, request: Any) -> rpc.CheckResponse:
        kind, given, old = self.resource(request.urn), visible(request.news), schema.plain(request.olds)
        if broken := list(schema.failures(kind.inputs, given)):
            return checked(request.news, broken)
        values = schema.complete(kind.inputs, given)
        if kind.autonamed and "name" not in values:
            name = old["name"] if "name" in old.get(DEFAULTS, []) else physical_name(request)
            if not name:
                return checked(request.news, [("name", "is required: automatic naming is off for this stack")])
            values["name"] = name
        values[DEFAULTS] = sorted(values.keys() - given.keys())
        return checked(to_struct(values), kind.check(values))

    @answers_errors
    def Diff(self, request: Any) -> rpc.DiffResponse:
        kind, old, new = self.resource(request.urn), schema.plain(request.old_inputs), schema.plain(request.news)
        response = difference(kind.inputs, old, new)
        # Two resources cannot have one name: a name that the program fixed must be free before the new one is made.
        fixed_name = kind.autonamed and "name" not in new.get(DEFAULTS, []) and old.get("name") == new.get("name")
        response.deleteBeforeReplace = bool(response.replaces) and (kind.delete_before_replace or fixed_name)
        return response

    @answers_errors
    def Create(self, request: Any) -> rpc.CreateResponse:
        kind, inputs = self.resource(request.urn), visible(request.properties)
        if request.preview:
            return rpc.CreateResponse(properties=to_struct({**dict.fromkeys(kind.outputs, UNKNOWN), **inputs}))
        identity, outputs = kind.create(inputs, request.timeout or DEFAULT_TIMEOUT)
        return rpc.CreateResponse(id=identity, properties=to_struct({**inputs, **outputs}))

    @answers_errors
    def Read(self, request: Any) -> rpc.ReadResponse:
        kind, inputs, state = self.resource(request.urn), visible(request.inputs), visible(request.properties)
        if not state:
            raise ProviderError(f"the {self.name} stand-in cannot import or look up existing resources")
        found = kind.read(request.id, inputs, state)
        if found is None:
            return rpc.ReadResponse()
        now, outputs = found
        recorded = to_struct({**now, DEFAULTS: schema.plain(request.inputs).get(DEFAULTS, [])})
        return rpc.ReadResponse(id=request.id, inputs=recorded, properties=to_struct({**now, **outputs}))

    @answers_errors
    def Update(self, request: Any) -> rpc.UpdateResponse:
        kind, state = self.resource(request.urn), visible(request.olds)
        old, new = visible(request.old_inputs), visible(request.news)
        if request.preview:
            return rpc.UpdateResponse(properties=to_struct({**new, **ResourceType.update(kind, "", old, new, state)}))
        if silent := kind.state_only.intersection(schema.changed(kind.inputs, old, new)):
            message = f"{', '.join(sorted(silent))}: recorded, but in force only once the resource is replaced"
            warning = engine_pb2.LogRequest(severity=engine_pb2.WARNING, message=message, urn=request.urn)
            self.engine.Log(warning)
        outputs = kind.update(request.id, old, new, state)
        return rpc.UpdateResponse(properties=to_struct({**new, **outputs}))

    @answers_errors
    def Delete(self, request: Any) -> empty_pb2.Empty:
        self.resource(request.urn).delete(request.id, visible(request.properties))
        return empty_pb2.Empty()

    @answers_errors
    def Invoke(self, request: Any) -> Any:
        raise ProviderError(f"function {request.tok} is not supported by the {self.name} stand-in")

    @answers_errors
    def Cancel(self, _request: Any) -> empty_pb2.Empty:
        self.cancelled.set()
        return empty_pb2.Empty()


def to_struct(values: Values) -> struct_pb2.Struct:
    """Python data as a protobuf Struct, without nulls."""
    message = struct_pb2.Struct()
    message.update({name: value for name, value in values.items() if value is not None})
    return message


def visible(message: struct_pb2.Struct) -> Values:
    """A Struct's values without the bookkeeping key."""
    return {name: value for name, value in schema.plain(message).items() if name != DEFAULTS}


def configuration(keys: Mapping[str, Field], message: struct_pb2.Struct) -> Values:
    """Provider settings as data: the engine sends everything that is not text as JSON in a string."""
    values = schema.plain(message)
    for name in ("version", "pluginDownloadURL", "__internal"):
        values.pop(name, None)
    for name, value in values.items():
        if isinstance(value, str) and value != UNKNOWN and name in keys and keys[name].kind != "text":
            values[name] = json.loads(value)
    return values


def checked(inputs: struct_pb2.Struct, broken: Iterable[tuple[str, str]]) -> rpc.CheckResponse:
    """A Check answer: the inputs and what is wrong with them."""
    found = [rpc.CheckFailure(property=path, reason=f"{path}: {reason}") for path, reason in broken]
    return rpc.CheckResponse(inputs=inputs, failures=found)


def physical_name(request: Any, digits: int = 7) -> str:
    """A unique name as the stack's autonaming asks; by default the logical name and some hexadecimal digits."""
    if request.HasField("autonaming"):
        return "" if request.autonaming.mode == request.autonaming.DISABLE else str(request.autonaming.proposed_name)
    seed = request.randomSeed or os.urandom(32)
    return f"{request.urn.rpartition('::')[2]}-{hashlib.sha256(seed).hexdigest()[:digits]}"


def difference(keys: Mapping[str, Field], old: Values, new: Values) -> rpc.DiffResponse:
    """A Diff answer for the inputs that changed."""
    names = schema.changed(keys, old, new)
    kinds, detail = rpc.PropertyDiff, {}
    for name in names:
        verb = "ADD" if old.get(name) is None else "DELETE" if new.get(name) is None else "UPDATE"
        kind = kinds.Kind.Value(f"{verb}_REPLACE" if keys[name].new else verb)
        detail[name] = kinds(kind=kind, inputDiff=True)
    return rpc.DiffResponse(
        changes=rpc.DiffResponse.DIFF_SOME if names else rpc.DiffResponse.DIFF_NONE,
        diffs=names,
        replaces=[name for name in names if keys[name].new],
        detailedDiff=detail,
        hasDetailedDiff=True,
    )


def serve(provider: Provider) -> None:
    """Serve until the engine ends this process, or is gone itself. The port goes to stdout."""
    follow_parent()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64), options=GRPC_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # The engine cancels what is under way by Cancel; SIGINT follows at the end and means: leave.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    print(port, flush=True)
    server.wait_for_termination()
