"""Manifests of a plan, from the real engine and without a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from report.manifests import HIDDEN, LATER
from report.render import MARK, main
from tests.engine.pack import VALUE, Project

PRELUDE = """
import pulumi
import pulumi_random as random
from pulumi_kubernetes import Provider
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace, Secret, Service

SECRET = pulumi.Config().get_secret("password")
OPTS = pulumi.ResourceOptions(provider=Provider("cluster", context="somewhere"))


def meta(name, **more):
    return {"name": name, "namespace": "shop", **more}


"""
PROGRAM = """
    Namespace("shop", metadata={"name": "shop"}, opts=OPTS)
    generated = random.RandomPassword("db", length=24)
    secret = Secret("db", metadata={"namespace": "shop"}, opts=OPTS,
                    string_data={"password": generated.result})
    Secret("url", metadata=meta("url"), string_data={"url": pulumi.Output.concat("pg://a:", SECRET, "@db")}, opts=OPTS)
    Secret("tls", metadata=meta("tls"), type="kubernetes.io/tls", opts=OPTS,
           data={"tls.key": SECRET, "tls.crt": SECRET})
    ConfigMap("app", metadata=meta("app", annotations={"note": SECRET}), opts=OPTS,
              data={"z.yml": "a: 1\\nb: 2\\n", "a.yml": generated.id})
    reference = {"name": secret.metadata["name"], "key": "password"}
    container = {"image": "api:1", "name": "api", "env": [{"name": "P", "valueFrom": {"secretKeyRef": reference}}]}
    labels = {"app": "api"}
    Deployment("api", metadata=meta("api"), opts=OPTS,
               spec={"selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}})
    CustomResource("pg", api_version="postgresql.cnpg.io/v1", kind="Cluster", metadata=meta("pg"),
                   spec={"instances": 2, "imageName": "postgres:15"}, opts=OPTS)
"""
STACK_FILE = {"ai-platform:platform": {"kind": "kubernetes", "context": "somewhere"}}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project.make(tmp_path_factory.mktemp("render"), PRELUDE)
    made.write(PROGRAM, more=STACK_FILE)
    return made


@pytest.fixture(scope="module")
def folder(project: Project) -> Path:
    output = project.folder / "out"
    assert rendered(project, output) == 0
    return output


def rendered(project: Project, output: Path) -> int:
    return main(["--stack", "dev", "--output", str(output)], root=project.folder, env=project.environment)


def files(folder: Path) -> dict[str, str]:
    found = (file for file in folder.rglob("*") if file.is_file() and file.name != MARK)
    return {str(file.relative_to(folder)): file.read_text(encoding="utf-8") for file in found}


def load(folder: Path, name: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
    return content


def test_every_object_has_a_file_in_the_folder_of_its_namespace(folder: Path) -> None:
    assert sorted(files(folder)) == [
        "cluster/namespace-shop.yaml",
        "shop/cluster-pg.yaml",
        "shop/configmap-app.yaml",
        "shop/deployment-api.yaml",
        "shop/secret-db-00000000.yaml",
        "shop/secret-tls.yaml",
        "shop/secret-url.yaml",
    ]


def test_no_secret_is_in_any_file(folder: Path) -> None:
    for name, text in files(folder).items():
        assert VALUE not in text, name
        assert "[secret]" not in text, name
    assert load(folder, "shop/secret-url.yaml")["stringData"] == {"url": HIDDEN}
    assert set(load(folder, "shop/secret-tls.yaml")["data"]) == {"tls.crt", "tls.key"}
    assert load(folder, "shop/configmap-app.yaml")["metadata"]["annotations"] == {"note": HIDDEN}


def test_the_search_for_secrets_would_find_one(project: Project) -> None:
    project.write(PROGRAM.replace("b: 2", f"b: {VALUE}"), more=STACK_FILE)
    output = project.folder / "plain"
    try:
        assert rendered(project, output) == 0
    finally:
        project.write(PROGRAM, more=STACK_FILE)
    assert any(VALUE in text for text in files(output).values())


def test_a_secret_that_is_not_known_yet_has_the_keys_that_others_refer_to(folder: Path) -> None:
    assert load(folder, "shop/secret-db-00000000.yaml")["stringData"] == {"password": HIDDEN}


def test_what_only_the_deployment_knows_has_a_placeholder(folder: Path) -> None:
    assert load(folder, "shop/configmap-app.yaml")["data"]["a.yml"] == LATER


def test_objects_that_mention_a_made_up_name_mention_the_one_of_the_file(folder: Path) -> None:
    name = load(folder, "shop/secret-db-00000000.yaml")["metadata"]["name"]
    container = load(folder, "shop/deployment-api.yaml")["spec"]["template"]["spec"]["containers"][0]
    assert container["env"][0]["valueFrom"]["secretKeyRef"]["name"] == name == "db-00000000"


def test_keys_stand_in_the_usual_order(folder: Path) -> None:
    text = files(folder)["shop/configmap-app.yaml"]
    keys = [line.partition(":")[0] for line in text.splitlines() if not line.startswith(" ")]
    assert keys == ["apiVersion", "kind", "metadata", "data"]
    assert "  z.yml: |\n    a: 1\n    b: 2\n" in text
    assert files(folder)["shop/cluster-pg.yaml"].startswith("apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\n")


def test_the_same_plan_gives_the_same_files_and_old_ones_go(project: Project, folder: Path) -> None:
    before = files(folder)
    (folder / "shop" / "gone.yaml").write_text("old: true\n", encoding="utf-8")
    assert rendered(project, folder) == 0
    assert files(folder) == before


def test_a_folder_with_something_else_in_it_is_left_alone(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("kept", encoding="utf-8")
    assert rendered(project, tmp_path) == 1
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "kept"
    assert "holds something else than a rendering" in capsys.readouterr().err


def test_a_plan_without_objects_and_a_broken_program_are_said(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for body, reason in (("", "has no Kubernetes objects"), ("raise ValueError('no such thing')", "no such thing")):
        project.write(body, more=STACK_FILE)
        try:
            assert rendered(project, tmp_path / "out") == 1
        finally:
            project.write(PROGRAM, more=STACK_FILE)
        assert reason in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
