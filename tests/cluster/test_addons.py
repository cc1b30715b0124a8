"""What the add-ons are made of: restricted, pinned, built here."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from toolchain.cluster import addons, build
from toolchain.cluster.addons import materials
from toolchain.cluster.addons.addon import Addon, Object
from toolchain.cluster.addons.catalogue import ADDONS
from toolchain.cluster.addons.failures import reasons
from toolchain.cluster.addons.installer import select
from toolchain.console import ToolchainError

RUNNING = [addon for addon in ADDONS if addon.programs]
RESTRICTED: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
IMAGE = "docker.io/ai-platform/{}:0123456789ab"


def rendered(addon: Addon) -> list[Object]:
    """An add-on's objects, with images of names that are easy to tell."""
    references = {program.name: IMAGE.format(program.name) for program in addon.programs}
    return addon.objects(materials.folder(addon), references)


def pods(addon: Addon) -> list[Object]:
    """The pod specs of an add-on's Deployments."""
    found = [item for item in rendered(addon) if item["kind"] == "Deployment"]
    assert found, addon.name
    return [item["spec"]["template"]["spec"] for item in found]


@pytest.mark.parametrize("addon", RUNNING, ids=lambda addon: addon.name)
def test_every_container_is_restricted_and_says_what_it_needs(addon: Addon) -> None:
    for pod in pods(addon):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod.get("hostNetwork") and not pod.get("hostPID") and not pod.get("initContainers")
        assert not any("hostPath" in volume for volume in pod["volumes"])
        for container in pod["containers"]:
            assert RESTRICTED.items() <= container["securityContext"].items(), container["name"]
            for kind in ("requests", "limits"):
                assert container["resources"][kind].keys() == {"cpu", "memory"}, container["name"]
            assert container["readinessProbe"] and container["livenessProbe"], container["name"]


@pytest.mark.parametrize("addon", RUNNING, ids=lambda addon: addon.name)
def test_nothing_is_run_that_was_not_built_here(addon: Addon) -> None:
    ours = {IMAGE.format(program.name) for program in addon.programs}
    for pod in pods(addon):
        for container in pod["containers"]:
            assert container["image"] in ours
            assert container["imagePullPolicy"] == "IfNotPresent"
            # Also the images that an operator hands on to the pods that it makes.
            values = [row.get("value", "") for row in container.get("env", [])]
            for word in [*container["command"], *container.get("args", []), *values]:
                assert not re.search(r"(ghcr|quay|docker|k8s)\.io/(?!ai-platform/)", word), word


@pytest.mark.parametrize("addon", RUNNING, ids=lambda addon: addon.name)
def test_only_the_proxy_may_do_what_restricted_forbids_and_binds_to_this_machine_alone(addon: Addon) -> None:
    (namespace,) = (item for item in rendered(addon) if item["kind"] == "Namespace")
    level = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    ports = [port for pod in pods(addon) for container in pod["containers"] for port in container.get("ports", [])]
    bound = {port["hostPort"]: port["hostIP"] for port in ports if "hostPort" in port}
    if addon.name == "traefik":
        assert level == "privileged"
        assert bound == {8080: "127.0.0.1", 8443: "127.0.0.1"}
    else:
        assert level == "restricted"
        assert not bound


@pytest.mark.parametrize("addon", ADDONS, ids=lambda addon: addon.name)
def test_the_types_are_types_and_nothing_else(addon: Addon) -> None:
    kinds = re.findall(r"(?m)^kind: (\w+)$", materials.types(addon, materials.folder(addon)))
    assert kinds and set(kinds) == {"CustomResourceDefinition"}


@pytest.mark.parametrize("addon", ADDONS, ids=lambda addon: addon.name)
def test_the_table_in_the_documentation_names_the_version_that_is_pinned(addon: Addon) -> None:
    text = (build.MODULES / addon.name / "go.mod").read_text()
    pinned = re.search(rf"(?m)\b{re.escape(addon.module)} v(\S+)", text)
    listed = re.search(rf"(?m)^\| {addon.name} \| (\S+) \|", addons.__doc__ or "")
    assert pinned and listed and pinned[1] == listed[1]


def test_an_add_on_is_installed_anew_when_a_module_of_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {addon.name: materials.key(addon) for addon in ADDONS}
    assert len(set(before.values())) == len(ADDONS)
    shutil.copytree(build.MODULES, tmp_path / "modules")
    monkeypatch.setattr(build, "MODULES", tmp_path / "modules")
    assert {addon.name: materials.key(addon) for addon in ADDONS} == before
    # Not of the add-on's name: one of its programs comes from it.
    with (tmp_path / "modules/prometheus/go.sum").open("a") as file:
        file.write("\n")
    changed = {addon.name for addon in ADDONS if materials.key(addon) != before[addon.name]}
    assert changed == {"prometheus-operator"}


def test_a_name_that_is_no_add_on_is_refused_with_those_that_are() -> None:
    with pytest.raises(ToolchainError, match="no such add-on: treafik; there are: gateway-api, traefik"):
        select(["treafik"])
    assert [addon.name for addon in select(["cert-manager", "traefik"])] == ["traefik", "cert-manager"]


def test_a_pod_that_cannot_start_is_described_by_its_reason() -> None:
    waiting = {"waiting": {"reason": "ErrImageNeverPull", "message": "image is not present"}}
    last = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    status = {
        "phase": "Pending",
        "conditions": [{"type": "Ready", "status": "False", "reason": "Unready", "message": "containers: [x]"}],
        "containerStatuses": [{"name": "x", "state": waiting, "lastState": last}],
    }
    assert reasons({"status": status}) == [
        "Unready: containers: [x]",
        "container x: ErrImageNeverPull: image is not present",
        "container x: OOMKilled: 137",
    ]
    assert reasons({"status": {"phase": "Pending"}}) == ["phase Pending"]
