"""The pure pieces of the `kubernetes` stand-in: tokens, differences, replacements, drift, readiness. No cluster."""

from __future__ import annotations

import importlib
import json
import threading
from typing import Any

import pytest
from pulumi import _types as sdk

from toolchain.plugins import kubernetes_state as state
from toolchain.plugins import kubernetes_types as rules
from toolchain.plugins.kubernetes_await import NotReady, Watch, wait_for
from toolchain.plugins.kubernetes_cluster import ApiError, Cluster, conflict_text
from toolchain.plugins.kubernetes_types import Change, Kind
from toolchain.plugins.provider import ProviderError
from toolchain.plugins.schema import SECRET, UNKNOWN

DEPLOYMENT, SECRETS = Kind("apps", "v1", "Deployment"), Kind("", "v1", "Secret")
NOWHERE = Cluster({"kubeconfig": "/nowhere"})


def urn(token: str) -> str:
    return f"urn:pulumi:test::project::parent:index:Type${token}::name"


@pytest.mark.parametrize(
    ("token", "api_version", "kind"),
    [
        ("kubernetes:core/v1:Service", "v1", "Service"),
        ("kubernetes:apps/v1:Deployment", "apps/v1", "Deployment"),
        ("kubernetes:networking.k8s.io/v1:NetworkPolicy", "networking.k8s.io/v1", "NetworkPolicy"),
        ("kubernetes:postgresql.cnpg.io/v1:Cluster", "postgresql.cnpg.io/v1", "Cluster"),
        (
            "kubernetes:gateway.envoyproxy.io/v1alpha1:EnvoyPatchPolicy",
            "gateway.envoyproxy.io/v1alpha1",
            "EnvoyPatchPolicy",
        ),
        ("kubernetes:example.com/v1:AllowList", "example.com/v1", "AllowList"),
    ],
)
def test_a_token_names_its_api_version_and_kind(token: str, api_version: str, kind: str) -> None:
    found = rules.kind_of(urn(token))
    assert (found.api_version, found.name) == (api_version, kind)


@pytest.mark.parametrize(
    "token",
    [
        "kubernetes:apps/v1:DeploymentPatch",
        "kubernetes:core/v1:PodList",
        "kubernetes:rbac.authorization.k8s.io/v1:RolePatch",
        "kubernetes:helm.sh/v3:Release",
        "kubernetes:helm.sh/v4:Chart",
        "kubernetes:yaml/v2:ConfigFile",
        "kubernetes:kustomize/v2:Directory",
    ],
)
def test_types_that_are_no_plain_objects_are_refused_by_name(token: str) -> None:
    with pytest.raises(ProviderError, match=token):
        rules.kind_of(urn(token))


def test_changes_are_named_as_the_engine_writes_paths() -> None:
    old = {"metadata": {"labels": {"a.b/c": "1"}}, "spec": {"list": [{"x": 1}, {"x": 2}], "same": True}}
    new = {"metadata": {"labels": {"a.b/c": "2"}}, "spec": {"list": [{"x": 1}, {"x": UNKNOWN}, {"y": 3}], "same": True}}
    assert [change.text for change in rules.changes(old, new)] == [
        'metadata.labels["a.b/c"]', "spec.list[1].x", "spec.list[2]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "path", "replaced"),
    [
        ("apps/Deployment", "spec.selector.matchLabels.app", True),
        ("apps/Deployment", "spec.selectors", False),
        ("apps/Deployment", "spec.template.spec.containers.0.image", False),
        ("apps/Deployment", "metadata.namespace", True),
        ("apps/Deployment", "metadata.labels.name", False),
        ("apps/StatefulSet", "spec.volumeClaimTemplates.0.spec", True),
        ("apps/StatefulSet", "spec.updateStrategy.type", False),
        ("batch/Job", "spec.template.spec.containers.0.image", True),
        ("batch/Job", "spec.ttlSecondsAfterFinished", False),
        ("/ConfigMap", "data.key", True),
        ("/Secret", "type", True),
        ("/Pod", "spec.containers.0.image", False),
        ("/Pod", "spec.containers.0.command.0", True),
        ("/PersistentVolumeClaim", "spec.storageClassName", True),
        ("rbac.authorization.k8s.io/RoleBinding", "roleRef.name", True),
        ("rbac.authorization.k8s.io/RoleBinding", "subjects.0.name", False),
        ("storage.k8s.io/StorageClass", "allowVolumeExpansion", False),
        ("example.com/Thing", "spec.selector", False),
    ],
)
def test_a_change_replaces_what_the_api_server_does_not_let_change(kind: str, path: str, replaced: bool) -> None:
    group, _, name = kind.rpartition("/")
    steps = tuple(int(step) if step.isdigit() else step for step in path.split("."))
    assert rules.replaces(Kind(group, "v1", name), Change(steps, "1", "2"), frozenset(), {}) is replaced


@pytest.mark.parametrize(
    ("old", "new", "replaced"), [("1Gi", "2Gi", False), ("1Gi", "512Mi", True), ("1Gi", "1024Mi", False)]
)
def test_a_claim_may_grow_and_is_replaced_when_it_shrinks(old: str, new: str, replaced: bool) -> None:
    change = Change(("spec", "resources", "requests", "storage"), old, new)
    assert rules.replaces(Kind("", "v1", "PersistentVolumeClaim"), change, frozenset(), {}) is replaced


def test_mutable_data_is_changed_in_place_unless_the_object_is_immutable() -> None:
    kind, change = Kind("", "v1", "ConfigMap"), Change(("data", "a"), "1", "2")
    mutable = frozenset({"ConfigMap"})
    assert not rules.replaces(kind, change, mutable, {})
    assert rules.replaces(kind, change, mutable, {"immutable": True})


def test_only_another_api_group_replaces() -> None:
    assert rules.replaces(DEPLOYMENT, Change(("apiVersion",), "extensions/v1beta1", "apps/v1"), frozenset(), {})
    assert not rules.replaces(DEPLOYMENT, Change(("apiVersion",), "apps/v1beta2", "apps/v1"), frozenset(), {})


def test_every_field_of_the_replace_table_is_one_of_the_official_sdk() -> None:
    for key, fields in rules.REPLACED.items():
        group, _, name = key.rpartition("/")
        module = f"{group.partition('.')[0] or 'core'}.v1"
        args = getattr(importlib.import_module(f"pulumi_kubernetes.{module}"), f"{name}InitArgs")
        for field in fields:
            kind: Any = args
            for step in field.split("."):
                declared = sdk.input_type_types(kind)
                assert step in declared, f"{key}: {field}"
                kind = declared[step]


def live(values: dict[str, Any], *fields: dict[str, Any]) -> dict[str, Any]:
    """An object with the field ownership of its managers."""
    managed = [{"manager": "m", "fieldsV1": entry} for entry in fields]
    return {**values, "metadata": {**values.get("metadata", {}), "managedFields": managed}}


def observed(inputs: dict[str, Any], now: dict[str, Any], before: dict[str, Any], owned: dict[str, Any]) -> Any:
    metadata = {"name": "x"}
    found = state.observed_inputs(
        DEPLOYMENT,
        {"apiVersion": "apps/v1", "metadata": metadata, **inputs},
        live({"apiVersion": "apps/v1", "metadata": metadata, **now}, owned),
        {"apiVersion": "apps/v1", "metadata": metadata, **before},
    )
    return {name: value for name, value in found.items() if name not in ("apiVersion", "metadata")}


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [({"cpu": "1000m"}, {"cpu": "1"}), ({"memory": "1024Mi"}, {"memory": "1Gi"}), ({"cpu": 2}, {"cpu": "2"})],
)
def test_a_quantity_in_another_form_is_no_drift(wanted: Any, kept: Any) -> None:
    assert observed({"limits": wanted}, {"limits": kept}, {}, {}) == {"limits": wanted}


def test_equal_looking_text_outside_resources_is_drift() -> None:
    assert observed({"data": {"a": "1000m"}}, {"data": {"a": "1"}}, {"data": {"a": "1000m"}}, {}) == {
        "data": {"a": "1"}
    }


def test_what_the_server_made_of_an_input_is_no_drift_until_it_changes() -> None:
    inputs, recorded = {"spec": {"port": "80", "empty": []}}, {"spec": {"port": 80}}
    assert observed(inputs, {"spec": {"port": 80}}, recorded, {}) == inputs
    assert observed(inputs, {"spec": {"port": 81}}, recorded, {}) == {"spec": {"port": 81, "empty": []}}


def test_fields_that_the_program_does_not_set_never_show() -> None:
    now = {"spec": {"paused": True, "replicas": 7, "strategy": {}}}
    assert observed({"spec": {"paused": True}}, now, {"spec": {"paused": True}}, {"f:spec": {"f:paused": {}}}) == {
        "spec": {"paused": True}
    }


def test_list_items_are_matched_by_their_keys_in_whatever_order() -> None:
    key = 'k:{"name":"%s"}'
    owned: dict[str, Any] = {
        "f:env": {key % "a": {".": {}, "f:value": {}}, key % "b": {".": {}, "f:value": {}}, key % "c": {".": {}}}
    }
    inputs = {"env": [{"name": "b", "value": "2"}, {"name": "a", "value": "1"}]}
    now = {"env": [{"name": "c", "value": "3"}, {"name": "a", "value": "9"}, {"name": "b", "value": "2"}]}
    found = observed(inputs, now, inputs, owned)
    assert found == {"env": [{"name": "b", "value": "2"}, {"name": "a", "value": "9"}]}


def test_a_list_item_removed_by_hand_is_drift() -> None:
    owned: dict[str, Any] = {"f:env": {'k:{"name":"a"}': {".": {}}}}
    inputs = {"env": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]}
    assert observed(inputs, {"env": [{"name": "a", "value": "1"}]}, inputs, owned) == {
        "env": [{"name": "a", "value": "1"}]
    }


def test_a_port_whose_protocol_was_defaulted_is_still_the_same_port() -> None:
    owned: dict[str, Any] = {"f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}}}}
    inputs = {"ports": [{"containerPort": 80, "name": "http"}]}
    now = {"ports": [{"containerPort": 80, "name": "http", "protocol": "TCP"}]}
    assert observed(inputs, now, now, owned) == inputs


def test_what_is_added_by_hand_to_a_value_with_one_owner_is_drift() -> None:
    inputs = {"selector": {"app": "web"}, "subjects": [{"name": "a"}]}
    recorded = {"selector": {"app": "web"}, "subjects": [{"name": "a", "kind": "User"}]}
    owned: dict[str, Any] = {"f:selector": {}, "f:subjects": {}}
    assert observed(inputs, recorded, recorded, owned) == inputs
    now = {"selector": {"app": "web", "by": "hand"}, "subjects": [{"name": "a", "kind": "User"}, {"name": "b"}]}
    assert observed(inputs, now, recorded, owned) == now


def test_secret_text_is_compared_with_its_encoded_data() -> None:
    inputs = {"apiVersion": "v1", "metadata": {}, "stringData": {"a": "hello"}}
    same, other = ({"metadata": {}, "data": {"a": text}} for text in ("aGVsbG8=", "b3RoZXI="))
    assert state.observed_inputs(SECRETS, inputs, live(same), same)["stringData"] == {"a": "hello"}
    assert state.observed_inputs(SECRETS, inputs, live(other), same)["stringData"] == {"a": "other"}


def test_secret_data_is_marked_and_hidden_in_messages() -> None:
    guarded = state.guarded(SECRETS, {"stringData": {"a": "hello"}, "type": "Opaque"})
    assert SECRET in guarded["stringData"].values()
    assert guarded["type"] == "Opaque"
    message = state.redacted(SECRETS, {"stringData": {"a": "hello"}}, 'invalid: "hello" or "aGVsbG8="')
    assert message == 'invalid: "[secret]" or "[secret]"'


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (".spec.replicas", 3),
        (".metadata.labels.app.kubernetes.io/name", "web"),
        ('.spec.containers[name="app"].image', "i"),
        ('.spec.ports[port=80,protocol="TCP"].name', "http"),
        ('.metadata.finalizers[="a.b/c"]', None),
        (".spec.missing.more", None),
    ],
)
def test_a_path_of_a_conflict_finds_its_value(field: str, value: Any) -> None:
    values = {
        "metadata": {"labels": {"app": "x", "app.kubernetes.io/name": "web"}, "finalizers": ["a.b/c"]},
        "spec": {
            "replicas": 3,
            "containers": [{"name": "side", "image": "s"}, {"name": "app", "image": "i"}],
            "ports": [{"port": 80, "name": "http"}],
        },
    }
    assert state.at(values, field) == value


def test_a_conflict_says_which_field_who_and_what_to_do() -> None:
    causes = [
        {"reason": "FieldManagerConflict", "field": ".spec.replicas", "message": 'conflict with "hpa" using apps/v1'}
    ]
    words = conflict_text(ApiError("Apply failed", 409, causes))
    assert '.spec.replicas: managed by "hpa" using apps/v1' in words
    assert "pulumi.com/patchForce" in words


@pytest.mark.parametrize(
    ("annotation", "status", "missing"),
    [
        ("condition=Ready", {"conditions": [{"type": "Ready", "status": "True"}]}, []),
        ("condition=Ready=false", {"conditions": [{"type": "Ready", "status": "False"}]}, []),
        ("condition=Ready", {}, ["condition Ready is not True"]),
        (
            "condition=Ready",
            {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]},
            ["condition Ready is not True"],
        ),
        ("jsonpath={.status.phase}=Done", {"phase": "Done"}, []),
        ("jsonpath={.status.phase}=Done", {"phase": "New"}, [".status.phase is New, not Done"]),
        ("jsonpath={.status.count}=2", {"count": 2}, []),
        ("jsonpath={.status.phase}", {}, [".status.phase is not there"]),
        ('["jsonpath={.status.phase}", "condition=Ready"]', {"phase": "x"}, ["condition Ready is not True"]),
    ],
)
def test_a_wait_for_annotation_holds_or_says_what_is_missing(annotation: str, status: Any, missing: list[str]) -> None:
    values = {"metadata": {"generation": 2}, "status": status}
    assert [text for check in wait_for(annotation) if (text := check(values, NOWHERE))] == missing


@pytest.mark.parametrize("annotation", ["ready", "jsonpath=status", "[1]", json.dumps({"condition": "Ready"})])
def test_a_wait_for_annotation_that_is_not_understood_is_refused(annotation: str) -> None:
    with pytest.raises(ProviderError, match="condition=<type>"):
        wait_for(annotation)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("/nowhere/config", "/nowhere/config"),
        ("{}", "kubeconfig"),
        ("{a: [s3cret", "cannot be used"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_named_and_not_quoted(content: str, words: str) -> None:
    with pytest.raises(ProviderError, match=words) as refusal:
        Cluster({"kubeconfig": content}).connect()
    assert "s3cret" not in str(refusal.value)


def rolling(observed: int, updated: int, reason: str) -> dict[str, Any]:
    """A Deployment of two pods whose template is the third; one pod of an earlier template has crashed."""
    progressing = {"type": "Progressing", "reason": reason, "message": "timed out"}
    replicas = {"replicas": 2, "updatedReplicas": updated, "availableReplicas": 2}
    return {
        "kind": "Deployment",
        "metadata": {"name": "web", "generation": 3, "uid": "1"},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": observed, "conditions": [progressing], **replicas},
    }


class Told(Cluster):
    """A cluster that tells one state of an object after the other."""

    def __init__(self, *states: dict[str, Any]) -> None:
        super().__init__({"kubeconfig": "/nowhere"})
        self.states = list(states)

    def look(self, kind: Kind, metadata: dict[str, Any]) -> dict[str, Any]:
        """The next state."""
        return self.states.pop(0)

    def items(self, path: str, **selectors: str) -> list[dict[str, Any]]:
        """Neither pods nor events."""
        return []


LATE, DONE = "ProgressDeadlineExceeded", "NewReplicaSetAvailable"


def watch(*states: dict[str, Any]) -> dict[str, Any]:
    """What the wait for a Deployment ends with, from the state that the update was answered with."""
    cluster = Told(*states[1:])
    return Watch(cluster, DEPLOYMENT, {}, 60, threading.Event(), lambda _: None).until_ready(states[0])


def test_a_deadline_that_an_earlier_template_exceeded_says_nothing_of_the_next_one() -> None:
    done = rolling(3, 2, DONE)
    assert watch(rolling(2, 1, LATE), rolling(3, 0, LATE), done) == done


def test_a_deadline_that_the_template_itself_exceeded_is_its_end() -> None:
    for begun in (rolling(2, 2, DONE), rolling(3, 1, LATE)):
        with pytest.raises(NotReady, match="no progress within progressDeadlineSeconds: timed out"):
            watch(begun, rolling(3, 1, LATE))
