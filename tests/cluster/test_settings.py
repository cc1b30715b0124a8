"""The settings that are written for the cluster's programs."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tomllib
from pathlib import Path

import pytest
import yaml

from toolchain.cluster import build, control_plane, images, node, services
from toolchain.cluster.processes import Component
from toolchain.cluster.settings import CLUSTER, DNS_ADDRESS, NODE_ADDRESS, POD_CIDR, RUN, SERVICE_CIDR

PROGRAM = Path("/bin/true")


def test_namespaces_without_labels_are_restricted_in_every_mode() -> None:
    plugin = control_plane.admission()["plugins"][0]
    assert plugin["name"] == "PodSecurity"
    defaults = plugin["configuration"]["defaults"]
    assert {mode: defaults[mode] for mode in ("enforce", "audit", "warn")} == {
        "enforce": "restricted",
        "audit": "restricted",
        "warn": "restricted",
    }
    assert plugin["configuration"]["exemptions"]["namespaces"] == ["kube-system"]


def test_secrets_are_encrypted_with_the_key_and_read_in_plain_text_too() -> None:
    resource = control_plane.encryption(b"k" * 32)["resources"][0]
    assert resource["resources"] == ["secrets"]
    assert list(resource["providers"][0]) == ["secretbox"]


@pytest.mark.parametrize(
    "component",
    [
        control_plane.etcd(PROGRAM),
        control_plane.apiserver(PROGRAM),
        control_plane.controller_manager(PROGRAM),
        control_plane.scheduler(PROGRAM),
        node.kubelet(PROGRAM),
        node.kube_proxy(PROGRAM),
        node.kube_router(PROGRAM),
    ],
    ids=lambda component: component.name,
)
def test_no_key_stands_on_a_command_line(component: Component) -> None:
    words = " ".join(str(word) for word in component.command)
    assert "BEGIN" not in words
    assert all(str(file).startswith(str(CLUSTER)) for file in component.files)


def test_containerd_keeps_to_folders_of_its_own() -> None:
    config = tomllib.loads(node.containerd_config("docker.io/ai-platform/pause:1"))
    assert config["root"].startswith(str(CLUSTER))
    assert config["state"].startswith(str(RUN))
    runtime = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert runtime["sandbox_image"] == "docker.io/ai-platform/pause:1"
    assert runtime["restrict_oom_score_adj"] is True


def test_the_kubelet_never_removes_an_image_and_lets_nobody_in_unasked() -> None:
    config = node.kubelet_config()
    assert config["imageGCHighThresholdPercent"] == 100
    assert config["authentication"]["anonymous"]["enabled"] is False
    assert config["address"] == str(NODE_ADDRESS)


def test_the_ranges_of_addresses_do_not_overlap() -> None:
    assert not POD_CIDR.overlaps(SERVICE_CIDR)
    assert DNS_ADDRESS in SERVICE_CIDR
    assert NODE_ADDRESS not in POD_CIDR
    assert NODE_ADDRESS not in SERVICE_CIDR


def test_a_file_of_settings_is_written_only_when_it_changes(tmp_path: Path) -> None:
    target = tmp_path / "settings"
    control_plane.write(target, "one")
    before = target.stat().st_ino
    control_plane.write(target, "one")
    assert target.stat().st_ino == before
    control_plane.write(target, "two")
    assert target.read_text() == "two"


@pytest.mark.parametrize("name", ["coredns", "local-path", "metrics-server", "kube-router"])
def test_manifests_are_complete_and_their_pods_restricted(name: str) -> None:
    values = dict.fromkeys(
        ["domain", "dns", "node", "volumes", "busybox", "metrics_certificate", "metrics_key", "authority"], "value"
    )
    values |= {program.replace("-", "_"): "image" for program in services.PROGRAMS}
    documents = list(yaml.safe_load_all(services.manifest(name, values)))
    for one in documents:
        if one["kind"] == "Deployment":
            pod = one["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert all(
                container["securityContext"]["capabilities"] == {"drop": ["ALL"]} for container in pod["containers"]
            )
            assert one["metadata"]["namespace"] == services.DEPLOYMENTS[one["metadata"]["name"]]
    assert all(one["metadata"]["name"] for one in documents)


def test_a_manifest_says_which_value_it_lacks() -> None:
    with pytest.raises(KeyError, match="dns|domain|node"):
        services.manifest("coredns", {})


def test_the_name_of_a_binary_changes_with_its_module_and_its_flags(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module one\n")
    first = build._key(tmp_path, ".", "-s")
    assert build._key(tmp_path, ".", "-s") == first
    (tmp_path / "README").write_text("not built")
    assert build._key(tmp_path, ".", "-s") == first
    (tmp_path / "main.go").write_text("package main\n")
    assert build._key(tmp_path, ".", "-s") != first
    assert build._key(tmp_path, ".", "-w") != build._key(tmp_path, ".", "-s")


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("ai-platform/app:1", "docker.io/ai-platform/app:1"),
        ("postgres:15", "docker.io/library/postgres:15"),
        ("ghcr.io/acme/app:1", "ghcr.io/acme/app:1"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("localhost/app:1", "localhost/app:1"),
    ],
)
def test_images_have_the_same_name_in_the_node_as_in_the_engine(reference: str, name: str) -> None:
    assert images.in_node(reference) == name


def test_an_image_from_nothing_holds_what_it_is_given_and_is_named_by_it(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"content")
    name = images.reference("one", {"/bin/one": program}, entrypoint=["/bin/one"])
    archive = tmp_path / "image.tar"
    layer = images._layer({"/bin/one": program}, {"/bin/two": "one"})
    images._write(archive, name, layer, ["/bin/one"], "65532:65532")
    with tarfile.open(archive) as outer:
        read = {member.name: outer.extractfile(member).read() for member in outer}  # type: ignore[union-attr]
    assert json.loads(read["manifest.json"])[0]["RepoTags"] == [name]
    config = json.loads(read["config.json"])
    assert config["config"]["User"] == "65532:65532"
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(read['layer.tar']).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(read["layer.tar"])) as inner:
        assert {member.name: oct(member.mode) for member in inner if not member.issym()} == {
            "tmp": "0o1777",
            "bin/one": "0o755",
        }
        assert inner.getmember("bin/two").linkname == "one"
    program.write_bytes(b"other")
    assert images.reference("one", {"/bin/one": program}, entrypoint=["/bin/one"]) != name
