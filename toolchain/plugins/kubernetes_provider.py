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
from functools import partial
from typing import Any

from google.protobuf import any_pb2, empty_pb2
from google.rpc import status_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2
from pulumi.runtime.proto import provider_pb2 as rpc

from toolchain.plugins import kubernetes_state as state
from toolchain.plugins import kubernetes_types as rules
from toolchain.plugins import provider as base
from toolchain.plugins.kubernetes_await import NotReady, Watch, wait_for
from toolchain.plugins.kubernetes_cluster import CONFLICT, TERMINATING, ApiError, Cluster, conflict_text
from toolchain.plugins.kubernetes_reasons import condition
from toolchain.plugins.kubernetes_types import Kind
from toolchain.plugins.provider import Provider, ProviderError, answers_errors
from toolchain.plugins.schema import UNKNOWN, Values, flag, text

DEFAULT_TIMEOUT = 600.0
"""Seconds to become ready when the program sets no customTimeouts: the official plugin's default."""
NAME_DIGITS = 8
TEXTS = ("kubeconfig", "context", "namespace", "clusterIdentifier")
FLAGS = (
    *("enableServerSideApply", "enableConfigMapMutable", "enableSecretMutable", "enablePatchForce"),
    *("deleteUnreachable", "suppressDeprecationWarnings", "suppressHelmHookWarnings", "upsertExistingObjects"),
)


class InitFailed(ProviderError):
    """An object that exists, but is not as the program wants it: the engine records it and goes on from there."""

    def __init__(self, identity: str, inputs: Values, outputs: Values, reason: str) -> None:
        super().__init__(reason)
        given, made = base.to_struct(inputs), base.to_struct(outputs)
        packed = any_pb2.Any()
        packed.Pack(rpc.ErrorResourceInitFailed(id=identity, properties=made, inputs=given, reasons=[reason]))
        self.details = status_pb2.Status(code=2, message=reason, details=[packed]).SerializeToString()


class KubernetesProvider(Provider):
    """The gRPC service."""

    name = "kubernetes"
    types = {}
    config = {name: text() for name in TEXTS} | {name: flag() for name in FLAGS}

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self.settings, self.cluster = Values(), Cluster({})
        self.warned = False
        self.replaced: set[str] = set()
        """URNs whose object must go before the new one is made: a rehearsal would meet the old one."""

    def configure(self, values: Values) -> None:
        if values.get("enableServerSideApply") is False:
            raise ProviderError("enableServerSideApply: this stand-in has server-side apply only")
        self.settings, self.cluster = values, Cluster(values)

    def log(self, urn: str, message: str, severity: int = engine_pb2.INFO, *, passing: bool = False) -> None:
        """Show something beside a resource; `passing` messages only while it is being worked on."""
        self.engine.Log(engine_pb2.LogRequest(severity=severity, message=message, urn=urn, ephemeral=passing))  # type: ignore[arg-type]

    def warn(self, urn: str, warnings: Iterable[str]) -> None:
        """Show the API server's warnings."""
        for warning in warnings:
            if "deprecated" not in warning or not self.settings.get("suppressDeprecationWarnings"):
                self.log(urn, warning, engine_pb2.WARNING)

    def reachable(self) -> bool:
        """Whether the cluster answers; says once why it does not."""
        if UNKNOWN in (self.settings.get("kubeconfig"), self.settings.get("context")):
            return False
        try:
            self.cluster.connect()
        except ProviderError as error:
            with self.cluster.lock:
                first, self.warned = not self.warned, True
            if first:
                self.log("", f"previews are made without the cluster: {error}", engine_pb2.WARNING)
            return False
        return True

    @answers_errors
    def DiffConfig(self, request: Any) -> rpc.DiffResponse:
        old, new = (base.configuration(self.config, values) for values in (request.old_inputs, request.news))
        found = list(rules.changes(old, new))
        named = all("clusterIdentifier" in values for values in (old, new))
        decisive = ("clusterIdentifier",) if named else ("kubeconfig", "context")
        return answer(found, [change for change in found if rules.within(change.path, decisive)])

    @answers_errors
    def Check(self, request: Any) -> rpc.CheckResponse:
        kind, given, old = rules.kind_of(request.urn), base.visible(request.news), base.visible(request.olds)
        values = {**given, "apiVersion": given.get("apiVersion", kind.api_version), "kind": kind.name}
        if broken := list(mistakes(kind, given)):
            return base.checked(request.news, broken)
        metadata = values.setdefault("metadata", {})
        if isinstance(metadata, dict):
            metadata = values["metadata"] = {**metadata}
            if not metadata.get("name") and not autoname(request, metadata, old):
                return base.checked(request.news, [("metadata.name", "is required: automatic naming is off")])
            if not metadata.get("namespace") and self.takes_namespace(kind, old):
                metadata["namespace"] = self.settings.get("namespace") or "default"
        return base.checked(base.to_struct(state.guarded(kind, values)), ())

    def takes_namespace(self, kind: Kind, old: Values) -> bool:
        """Whether the provider's namespace belongs to an object whose program names none."""
        if old:
            return "namespace" in old.get("metadata", {})
        try:
            return not self.reachable() or bool(self.cluster.find(kind)["namespaced"])
        except ApiError:
            return True  # nobody knows yet

    @answers_errors
    def Diff(self, request: Any) -> rpc.DiffResponse:
        kind, old, new = rules.kind_of(request.urn), base.visible(request.old_inputs), base.visible(request.news)
        found = list(rules.changes(old, new))
        switches = {"ConfigMap": "enableConfigMapMutable", "Secret": "enableSecretMutable"}
        mutable = frozenset(name for name, switch in switches.items() if self.settings.get(switch))
        replaces = [change for change in found if rules.replaces(kind, change, mutable, old)]
        if not replaces and rules.is_on(new, rules.REPLACE_UNREADY) and self.has_failed(kind, old):
            found += (replaces := [rules.Change(("status",), None, None)])
        response = answer(found, replaces, secret=kind.key == "/Secret")
        moved = any(rules.within(change.path, ("metadata.name", "metadata.namespace")) for change in replaces)
        response.deleteBeforeReplace = bool(replaces) and not moved and not rules.is_on(new, rules.AUTONAMED)
        self.replaced |= {request.urn} if response.deleteBeforeReplace else set()
        return response

    def has_failed(self, kind: Kind, inputs: Values) -> bool:
        """Whether an object is a job that has failed and would only stay so."""
        found = self.cluster.look(kind, inputs["metadata"]) if kind.key == "batch/Job" and self.reachable() else None
        return condition(found or {}, "Failed").get("status") == "True"

    @answers_errors
    def Create(self, request: Any) -> rpc.CreateResponse:
        kind, inputs = rules.kind_of(request.urn), base.visible(request.properties)
        # The same in every run: an object that an interrupted run has left is known by it.
        manager = f"pulumi-kubernetes-{hashlib.sha256(request.urn.encode()).hexdigest()[:NAME_DIGITS]}"
        outputs = self.settle(request, kind, inputs, manager, None)
        return rpc.CreateResponse(id="" if request.preview else identity(outputs), properties=base.to_struct(outputs))

    @answers_errors
    def Update(self, request: Any) -> rpc.UpdateResponse:
        kind, inputs, before = rules.kind_of(request.urn), base.visible(request.news), base.visible(request.olds)
        old, manager = base.visible(request.old_inputs), before.get(state.FIELD_MANAGER, "pulumi-kubernetes")
        return rpc.UpdateResponse(properties=base.to_struct(self.settle(request, kind, inputs, manager, old)))

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
        here = {"namespace": inputs["metadata"].get("namespace") if self.cluster.find(kind)["namespaced"] else None}
        body = state.clean({**inputs, "metadata": {**inputs["metadata"], **here}})
        try:
            live, warnings = self.cluster.apply(path, body, manager, force=force, dry_run=dry_run)
        except ApiError as error:
            if error.status != CONFLICT or not error.causes or old is None or not self.recorded_drift(path, old, error):
                raise
            live, warnings = self.cluster.apply(path, body, manager, force=True, dry_run=dry_run)
        self.warn(urn, warnings)
        return live

    def refuse_foreign(self, kind: Kind, path: str, manager: str) -> None:
        """Raise ProviderError for an object that exists and that this resource has not made in an earlier run."""
        metadata = (found := self.cluster.get(path) or {}).get("metadata", {})
        if "deletionTimestamp" in metadata:
            raise ApiError(f"an older object of this name is {TERMINATING}", CONFLICT)
        if found and manager not in [entry.get("manager") for entry in metadata.get("managedFields") or []]:
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
        """Apply and wait until ready, or try it; returns the outputs. Raises InitFailed once the object is there."""
        if request.preview:
            if request.urn not in self.replaced:
                self.rehearse(request.urn, kind, inputs, manager, old)
            return state.planned(kind, inputs)
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
        tell, timeout = partial(self.log, request.urn, passing=True), request.timeout or DEFAULT_TIMEOUT
        return Watch(self.cluster, kind, inputs["metadata"], timeout, self.cancelled, tell)

    def told(self, kind: Kind, inputs: Values, error: ApiError) -> ProviderError:
        """The API server's refusal for the user, without a Secret's data."""
        words = conflict_text(error) if error.status == CONFLICT and error.causes else str(error)
        return ProviderError(f"{kind.name} {identity(inputs)}: {state.redacted(kind, inputs, words)}")

    @answers_errors
    def Read(self, request: Any) -> rpc.ReadResponse:
        inputs, before = base.visible(request.inputs), base.visible(request.properties)
        kind = rules.kind_of(request.urn)
        if self.settings.get("deleteUnreachable") and not self.reachable():
            return rpc.ReadResponse()
        namespace, _, name = request.id.rpartition("/")
        live = self.cluster.look(kind, {"namespace": namespace, "name": name})
        if live is None:
            return rpc.ReadResponse()
        now = state.observed_inputs(kind, inputs, live, before) if inputs else state.importable(live)
        recorded = state.guarded(kind, now), state.recorded(kind, live, before.get(state.FIELD_MANAGER, ""))
        inputs_now, outputs = (base.to_struct(values) for values in recorded)
        return rpc.ReadResponse(id=request.id, inputs=inputs_now, properties=outputs)

    @answers_errors
    def Delete(self, request: Any) -> empty_pb2.Empty:
        kind, before = rules.kind_of(request.urn), base.visible(request.properties)
        if self.settings.get("deleteUnreachable") and not self.reachable():
            return empty_pb2.Empty()
        self.watch(request, kind, before).until_gone(before)
        return empty_pb2.Empty()


def mistakes(kind: Kind, inputs: Values) -> Iterable[tuple[str, str]]:
    """What is wrong with inputs, as far as that can be told without a cluster."""
    for name, typed in {"apiVersion": kind.api_version, "kind": kind.name}.items():
        if inputs.get(name, typed) not in (typed, UNKNOWN):
            yield name, f"must be {typed}, as the resource's type says"
    if "generateName" in inputs.get("metadata", {}):
        yield "metadata.generateName", "is not supported by this stand-in: leave the name out to have one made"
    wish = rules.annotations_of(inputs).get(rules.WAIT_FOR, UNKNOWN)
    try:
        wait_for("[]" if wish == UNKNOWN else wish)
    except ProviderError as error:
        yield "metadata.annotations", str(error)


def autoname(request: Any, metadata: Values, old: Values) -> bool:
    """Give metadata the name that the object has, or a new one. False when automatic naming is off."""
    kept = old.get("metadata", {}).get("name") if rules.is_on(old, rules.AUTONAMED) else None
    metadata["name"] = kept or base.physical_name(request, NAME_DIGITS)
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
        place = str(change.path[0]) if secret and change.path[0] in rules.DATA else change.text
        detail[place] = kinds(kind=kinds.Kind.Value(verb + suffix), inputDiff=True)
    return rpc.DiffResponse(
        changes=rpc.DiffResponse.DIFF_SOME if found else rpc.DiffResponse.DIFF_NONE,
        diffs=sorted({str(change.path[0]) for change in found}),
        replaces=sorted({str(change.path[0]) for change in replaces}),
        detailedDiff=detail,
        hasDetailedDiff=True,
    )


def main() -> None:
    """Serve the provider in the version of the installed SDK package."""
    base.serve(KubernetesProvider(importlib.metadata.version("pulumi_kubernetes")))
