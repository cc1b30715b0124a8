"""The outside judges, really asked: about objects with faults, and about the stack for Kubernetes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from report.render import main as render
from tests.support.engine import missing
from toolchain.console import ToolchainError
from toolchain.deploy import pulumi
from toolchain.environment import full
from toolchain.judges import __main__ as judges
from toolchain.judges.complaints import Verdict
from toolchain.judges.panel import JUDGES
from toolchain.paths import INVENTORY

LABELS = {"app": "api"}
CONTAINER = {
    "name": "api",
    "image": "ai-platform/api:0a1b2c3d4e5f",
    "resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi", "cpu": "1m"}},
    "securityContext": {"privileged": True, "runAsUser": 0},
}
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "api", "namespace": "shop"},
    "spec": {
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}},
    },
}
DATABASE: dict[str, Any] = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "db", "namespace": "shop"},
    "spec": {"instances": 2, "storage": {"size": "1Gi"}},
}


def written(folder: Path, *objects: dict[str, Any]) -> Path:
    """A rendering below a hidden folder, where the default one is."""
    target = folder / ".hidden" / "shop"
    target.mkdir(parents=True)
    for one in objects:
        file = target / f"{one['kind'].lower()}-{one['metadata']['name']}.yaml"
        file.write_text(yaml.safe_dump(one), encoding="utf-8")
    return target.parent


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    """What the judges say about a privileged pod and a database with a mistyped field."""
    mistyped = copy.deepcopy(DATABASE)
    mistyped["spec"]["storag"] = {}
    unknown: dict[str, Any] = {"apiVersion": "shop.example/v1", "kind": "Shop", "metadata": {"name": "a"}}
    folder = written(tmp_path_factory.mktemp("faulty"), DEPLOYMENT, mistyped, unknown)
    return {verdict.judge: verdict for verdict in judges.judge(folder)}


@pytest.mark.parametrize(
    ("judge", "check", "object_", "text"),
    [
        ("kubeconform", "invalid", "shop/Cluster/db", "additional properties 'storag' not allowed"),
        ("kubeconform", "error", "/Shop/a", "could not find schema"),
        ("kube-score", "container-security-context-privileged", "shop/Deployment/api", "api: "),
        ("checkov", "CKV_K8S_16", "shop/Deployment/api", "privileged"),
    ],
)
def test_each_judge_finds_its_fault_and_names_the_object(
    faulty: dict[str, Verdict], judge: str, check: str, object_: str, text: str
) -> None:
    found = [one for one in faulty[judge].complaints if (one.check, one.object) == (check, object_)]
    assert len(found) == 1
    assert text in found[0].text


def test_an_object_that_is_right_is_no_complaint_of_kubeconform(faulty: dict[str, Verdict]) -> None:
    assert "shop/Deployment/api" not in {one.object for one in faulty["kubeconform"].complaints}


def test_an_empty_folder_is_no_acquittal(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="found nothing to judge"):
        judges.judge(written(tmp_path))


def test_complaints_and_entries_that_nothing_needs_end_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judges.main([str(written(tmp_path, DEPLOYMENT))]) == 1
    said = capsys.readouterr().out
    assert "kube-score container-security-context-privileged: shop/Deployment/api" in said
    assert "judges.yaml: the entry for kube-score pod-probes-identical of */StatefulSet/redis matches nothing" in said


def test_the_stack_for_kubernetes_is_accepted_by_every_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not pulumi().is_file() or not INVENTORY.is_file():
        missing("there are no tools and images yet: run `make images`")
    folder = tmp_path / "staging"
    assert render(["--stack", "staging", "--output", str(folder)], env=full()) == 0, capsys.readouterr().err
    assert judges.main([str(folder)]) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert all(f"{name}: " in said for name in JUDGES)
