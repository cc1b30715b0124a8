"""`kubernetes` stand-in: any plain object and CustomResource, by server-side apply, as in the official plugin 4.34.2.

Left out: Helm, YAML and Kustomize types, `...Patch` and `...List`, `metadata.generateName`, client-side apply and
rendering to files. Different: an object that this very resource has made in an interrupted run is taken over instead of
refused; drift that a refresh has recorded is taken back from its other manager without `patchForce`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable
from typing import Any

from google.protobuf import any_pb2, empty_pb2
from google.rpc import status_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2
from pulumi.runtime.proto import provider_pb2 as rpc

from toolchain.plugins import kubernetes_state as state
from toolchain.plugins import kubernetes_types as rules
from toolchain.plugins import schema
from toolchain.plugins.kubernetes_await import NotReady, Watch, wait_for
from toolchain.plugins.kubernetes_cluster import CONFLICT, ApiError, Cluster, conflict_text, settings_of
from toolchain.plugins.kubernetes_types import Kind
from toolchain.plugins.provider import (
    Provider,
    ProviderError,
    answers_errors,
    checked,
    configuration,
    physical_name,
    serve,
    to_struct,
    visible,
)
from toolchain.plugins.schema import UNKNOWN, Values, flag, text

DEFAULT_TIMEOUT = 600.0
"""Seconds to become ready when the program sets no customTimeouts: the official plugin's default."""
NAME_DIGITS = 8


class InitFailed(ProviderError):
    """An object that exists, but is not as the program wants it: the engine records it and goes on from there."""

    def __init__(self, identity: str, inputs: Values, outputs: Values, reason: str) -> None:
        super().__init__(reason)
        failure = rpc.ErrorResourceInitFailed(
            id=identity, properties=to_struct(outputs), inputs=to_struct(inputs), reasons=[reason]
        )
        packed = any_pb2.Any()
        packed.Pack(failure)
        self.details = status_pb2.Status(code=2, message=reason, details=[packed]).SerializeToString()


class KubernetesProvider(Provider):
    """The gRPC service."""

    name = "kubernetes"
    types = {}
    config = {
        **{name: text() for name in ("kubeconfig", "context", "cluster", "namespace", "clusterIdentifier")},
        **{
            name: flag()
            for name in (
                *("enableServerSideApply", "enableConfigMapMutable", "enableSecretMutable", "enablePatchForce"),
                *("deleteUnreachable", "suppressDeprecationWarnings", "suppressHelmHookWarnings"),
                "upsertExistingObjects",
            )
        },
    }

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.settings: Values = {}
        self.cluster = Cluster({})
        self.warned: set[str] = set()
        self.replaced: set[str] = set()
        """URNs whose object must go before the new one is made: a rehearsal would meet the old one."""

    def configure(self, values: Values) -> None:
        self.settings, self.cluster = values, Cluster(values)

    def log(self, urn: str, message: str, severity: int = engine_pb2.INFO, *, passing: bool = False) -> None:
        """Show something beside a resource; `passing` messages only while it is being worked on."""
        self.engine.Log(engine_pb2.LogRequest(severity=severity, message=message, urn=urn, ephemeral=passing))  # type: ignore[arg-type]

    def warn(self, urn: str, warnings: Iterable[str]) -> None:
        """Show the API server's warnings, each once for a resource."""
        for warning in warnings:
            silent = self.settings.get("suppressDeprecationWarnings") and "deprecated" in warning
            if not silent and urn + warning not in self.warned:
                self.warned.add(urn + warning)
                self.log(urn, warning, engine_pb2.WARNING)

    def reachable(self) -> bool:
        """Whether the cluster answers; says once why it does not."""
        if UNKNOWN in (self.settings.get("kubeconfig"), self.settings.get("context")):
            return False
        try:
            self.cluster.connect()
        except ProviderError as error:
            with self.cluster.lock:
                first = "unreachable" not in self.warned
                self.warned.add("unreachable")
            if first:
                self.log("", f"previews are made without the cluster: {error}", engine_pb2.WARNING)
            return False
        return True

    @answers_errors
    def CheckConfig(self, request: Any) -> rpc.CheckResponse:
        values = configuration(self.config, request.news)
        broken = list(schema.failures(self.config, values))
        if values.get("enableServerSideApply") is False:
            broken.append(("enableServerSideApply", "this stand-in has server-side apply only"))
        return checked(request.news, broken)

    @answers_errors
    def DiffConfig(self, request: Any) -> rpc.DiffResponse:
        old, new = (configuration(self.config, values) for values in (request.old_inputs, request.news))
        found = list(rules.changes(old, new))
        if "clusterIdentifier" in old and "clusterIdentifier" in new:
            other = old["clusterIdentifier"] != new["clusterIdentifier"]
        else:
            other = server_of(old) != server_of(new)
        return answer(found, [change for change in found if other])

    @answers_errors
    def Check(self, request: Any) -> rpc.CheckResponse:
        kind, given, old = rules.kind_of(request.urn), visible(request.news), visible(request.olds)
        values = {**given, "apiVersion": given.get("apiVersion", kind.api_version), "kind": kind.name}
        if broken := list(mistakes(kind, given)):
            return checked(request.news, broken)
        metadata = values.setdefault("metadata", {})
        if isinstance(metadata, dict):
            metadata = values["metadata"] = {**metadata}
            if not metadata.get("name") and not autoname(request, metadata, old):
                return checked(request.news, [("metadata.name", "is required: automatic naming is off for this stack")])
            if not metadata.get("namespace") and self.takes_namespace(kind, old):
                metadata["namespace"] = self.settings.get("namespace") or "default"
        return checked(to_struct(state.guarded(kind, values)), ())

    def takes_namespace(self, kind: Kind, old: Values) -> bool:
        """Whether the provider's namespace belongs to an object whose program names none."""
        if old:
            return "namespace" in old.get("metadata", {})
        if rules.BUILT_IN.fullmatch(kind.group):
            return kind.name not in rules.CLUSTER_SCOPED
        try:
            return not self.reachable() or self.cluster.find(kind).namespaced
        except ApiError:
            return True

    @answers_errors
    def Diff(self, request: Any) -> rpc.DiffResponse:
        kind = rules.kind_of(request.urn)
        old, new = visible(request.old_inputs), visible(request.news)
        found = list(rules.changes(old, new))
        switches = {"ConfigMap": "enableConfigMapMutable", "Secret": "enableSecretMutable"}
        mutable = frozenset(name for name, switch in switches.items() if self.settings.get(switch))
        replaces = [change for change in found if rules.replaces(kind, change, mutable, old)]
        if not replaces and rules.is_on(new, rules.REPLACE_UNREADY) and self.has_failed(kind, old):
            replaces = [rules.Change(("status",), None, None)]
            found += replaces
        response = answer(found, replaces, secret=kind.key == "/Secret")
        moved = any(rules.within(change.path, ("metadata.name", "metadata.namespace")) for change in replaces)
        response.deleteBeforeReplace = bool(replaces) and not moved and not rules.is_on(new, rules.AUTONAMED)
        if response.deleteBeforeReplace:
            self.replaced.add(request.urn)
        return response

    def has_failed(self, kind: Kind, inputs: Values) -> bool:
        """Whether an object is a job that has failed and would only stay so."""
        if kind.key != "batch/Job" or not self.reachable():
            return False
        found = self.cluster.look(kind, inputs["metadata"]) or {}
        conditions = (found.get("status") or {}).get("conditions") or []
        return any(entry["type"] == "Failed" and entry["status"] == "True" for entry in conditions)

    @answers_errors
    def Create(self, request: Any) -> rpc.CreateResponse:
        kind, inputs = rules.kind_of(request.urn), visible(request.properties)
        manager = f"pulumi-kubernetes-{hashlib.sha256(request.urn.encode()).hexdigest()[:NAME_DIGITS]}"
        if request.preview:
            if request.urn not in self.replaced:
                self.rehearse(request.urn, kind, inputs, manager, None)
            return rpc.CreateResponse(properties=to_struct(state.planned(kind, inputs)))
        outputs = self.settle(request, kind, inputs, manager, None)
        return rpc.CreateResponse(id=identity(outputs), properties=to_struct(outputs))

    @answers_errors
    def Update(self, request: Any) -> rpc.UpdateResponse:
        kind, inputs, before = rules.kind_of(request.urn), visible(request.news), visible(request.olds)
        old, manager = visible(request.old_inputs), before.get(state.FIELD_MANAGER, "pulumi-kubernetes")
        if request.preview:
            self.rehearse(request.urn, kind, inputs, manager, old)
            return rpc.UpdateResponse(properties=to_struct(state.planned(kind, inputs)))
        return rpc.UpdateResponse(properties=to_struct(self.settle(request, kind, inputs, manager, old)))

    def rehearse(self, urn: str, kind: Kind, inputs: Values, manager: str, old: Values | None) -> None:
        """Let the API server try what the preview plans, where it can: what is made in the same run is not there."""
        if UNKNOWN in json.dumps(inputs) or not self.reachable():
            return
        try:
            self.put(urn, kind, inputs, manager, old, dry_run=True)
        except ApiError as error:
            if error.passing:
                self.warn(urn, [f"not tried in this preview: {error}"])
            elif not error.early:
                raise self.told(kind, inputs, error) from None

    def put(
        self, urn: str, kind: Kind, inputs: Values, manager: str, old: Values | None, *, dry_run: bool = False
    ) -> Values:
        """Apply, and take back fields whose hand-made value a refresh has recorded. Raises ApiError."""
        path = self.cluster.path(kind, inputs["metadata"])
        force = rules.is_on(inputs, rules.PATCH_FORCE) or bool(self.settings.get("enablePatchForce"))
        if old is None and not self.settings.get("upsertExistingObjects") and not force:
            self.refuse_foreign(kind, path, manager)
        try:
            live, warnings = self.cluster.apply(path, inputs, manager, force=force, dry_run=dry_run)
        except ApiError as error:
            if error.status != CONFLICT or not error.causes or old is None or not self.recorded_drift(path, old, error):
                raise
            live, warnings = self.cluster.apply(path, inputs, manager, force=True, dry_run=dry_run)
        self.warn(urn, warnings)
        return live

    def refuse_foreign(self, kind: Kind, path: str, manager: str) -> None:
        """Raise ProviderError for an object that exists and that this resource has not made in an earlier run."""
        found = self.cluster.get(path)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return
        if manager not in [entry.get("manager") for entry in found["metadata"].get("managedFields") or []]:
            raise ProviderError(
                f"{kind.name} {identity(found)} exists already and is not this resource's. Choose another name, delete "
                "it, or set upsertExistingObjects on the provider to take it over."
            )

    def recorded_drift(self, path: str, old: Values, error: ApiError) -> bool:
        """Whether the fields in conflict are this program's own, in the state as they are in the cluster now."""
        live = self.cluster.get(path) or {}
        fields = [str(cause.get("field")) for cause in error.causes]
        return all(state.at(old, field) == state.at(live, field) is not None for field in fields)

    def settle(self, request: Any, kind: Kind, inputs: Values, manager: str, old: Values | None) -> Values:
        """Apply and wait until ready; returns the outputs. Raises InitFailed once the object is there."""
        watch = self.watch(request, kind, inputs)
        try:
            live = watch.repeat(lambda: self.put(request.urn, kind, inputs, manager, old), early=True)
        except ApiError as error:
            raise self.told(kind, inputs, error) from None
        try:
            live = watch.until_ready(live)
        except NotReady as error:
            reason, inputs = f"{kind.name} {identity(error.live)}: {error}", state.guarded(kind, inputs)
            raise InitFailed(identity(error.live), inputs, state.recorded(kind, error.live, manager), reason) from None
        return state.recorded(kind, live, manager)

    def watch(self, request: Any, kind: Kind, inputs: Values) -> Watch:
        """What waits for an object."""
        asked = rules.annotations_of(inputs).get(rules.TIMEOUT_SECONDS, "")
        timeout = request.timeout or (float(asked) if asked.isdigit() else DEFAULT_TIMEOUT)

        def tell(message: str) -> None:
            self.log(request.urn, message, passing=True)

        return Watch(self.cluster, kind, inputs["metadata"], timeout, self.cancelled, tell)

    def told(self, kind: Kind, inputs: Values, error: ApiError) -> ProviderError:
        """The API server's refusal for the user, without a Secret's data."""
        words = conflict_text(error) if error.status == CONFLICT and error.causes else str(error)
        return ProviderError(f"{kind.name} {identity(inputs)}: {state.redacted(kind, inputs, words)}")

    @answers_errors
    def Read(self, request: Any) -> rpc.ReadResponse:
        kind, inputs, before = rules.kind_of(request.urn), visible(request.inputs), visible(request.properties)
        if self.settings.get("deleteUnreachable") and not self.reachable():
            return rpc.ReadResponse()
        namespace, _, name = request.id.rpartition("/")
        live = self.cluster.look(kind, {"namespace": namespace, "name": name})
        if live is None:
            return rpc.ReadResponse()
        now = state.observed_inputs(kind, inputs, live, before) if inputs else state.importable(live)
        outputs = state.recorded(kind, live, before.get(state.FIELD_MANAGER, ""))
        return rpc.ReadResponse(
            id=request.id, inputs=to_struct(state.guarded(kind, now)), properties=to_struct(outputs)
        )

    @answers_errors
    def Delete(self, request: Any) -> empty_pb2.Empty:
        kind, before = rules.kind_of(request.urn), visible(request.properties)
        if self.settings.get("deleteUnreachable") and not self.reachable():
            return empty_pb2.Empty()
        self.watch(request, kind, before).until_gone(before)
        return empty_pb2.Empty()


def server_of(values: Values) -> str:
    """The address of the cluster that provider settings name; "" where they cannot be read."""
    try:
        settings = settings_of(values)
    except ProviderError:
        return ""
    contexts = {entry["name"]: entry["context"] for entry in settings.get("contexts") or []}
    cluster = contexts.get(settings.get("current-context"), {}).get("cluster")
    servers = {entry["name"]: entry["cluster"].get("server") for entry in settings["clusters"]}
    return str(servers.get(cluster, ""))


def mistakes(kind: Kind, inputs: Values) -> Iterable[tuple[str, str]]:
    """What is wrong with inputs, as far as that can be told without a cluster."""
    if inputs.get("apiVersion", kind.api_version) not in (kind.api_version, UNKNOWN):
        yield "apiVersion", f"must be {kind.api_version}, as the resource's type says"
    if inputs.get("kind", kind.name) not in (kind.name, UNKNOWN):
        yield "kind", f"must be {kind.name}, as the resource's type says"
    metadata = inputs.get("metadata", {})
    if not isinstance(metadata, dict):
        if metadata != UNKNOWN:
            yield "metadata", "must be an object"
    elif "generateName" in metadata:
        yield "metadata.generateName", "is not supported by this stand-in: leave the name out to have one made"
    wish = rules.annotations_of(inputs).get(rules.WAIT_FOR, UNKNOWN)
    try:
        wait_for("[]" if wish == UNKNOWN else wish)
    except ProviderError as error:
        yield "metadata.annotations", str(error)


def autoname(request: Any, metadata: Values, old: Values) -> bool:
    """Give metadata the name that the object has, or a new one. False when automatic naming is off."""
    kept = old.get("metadata", {}).get("name") if rules.is_on(old, rules.AUTONAMED) else None
    metadata["name"] = kept or physical_name(request, NAME_DIGITS)
    if isinstance(metadata.setdefault("annotations", {}), dict):
        metadata["annotations"] = {**metadata["annotations"], rules.AUTONAMED: "true"}
    return bool(metadata["name"])


def identity(values: Values) -> str:
    """The resource's id: namespace and name, or the name of an object without a namespace."""
    metadata = values["metadata"]
    return "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))


def answer(found: list[rules.Change], replaces: list[rules.Change], *, secret: bool = False) -> rpc.DiffResponse:
    """A Diff answer for changes, some of which replace the resource; of secret data without the keys."""
    detail, kinds = {}, rpc.PropertyDiff
    for change in found:
        verb = "ADD" if change.old is None else "DELETE" if change.new is None else "UPDATE"
        suffix = "_REPLACE" if change in replaces else ""
        whole = secret and change.path[0] in rules.DATA
        detail[str(change.path[0]) if whole else change.text] = kinds(
            kind=kinds.Kind.Value(verb + suffix), inputDiff=True
        )
    return rpc.DiffResponse(
        changes=rpc.DiffResponse.DIFF_SOME if found else rpc.DiffResponse.DIFF_NONE,
        diffs=sorted({str(change.path[0]) for change in found}),
        replaces=sorted({str(change.path[0]) for change in replaces}),
        detailedDiff=detail,
        hasDetailedDiff=True,
    )


def main() -> None:
    """Serve the provider in the version of the installed SDK package."""
    serve(KubernetesProvider(importlib.metadata.version("pulumi_kubernetes")))


if __name__ == "__main__":
    main()
