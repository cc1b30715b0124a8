"""Files, variables and secrets of a service: what becomes which object, and how a pod finds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from pulumi import Output

from platforms.kubernetes.context import KeptSecret
from platforms.kubernetes.settings import settings_of
from platforms.kubernetes.workloads import KubernetesWorkloads
from platforms.secrets import HeldSecret
from platforms.specs import Endpoint, ServiceSpec, UrlTemplate
from tests.support.kubernetes import context, endpoint, made, service
from tests.support.recording import SECRET, Graph


def held(text: str) -> HeldSecret:
    return HeldSecret(Output.secret(text))


def served(spec: Callable[[], ServiceSpec]) -> Graph:
    """Secrets are outputs, which are made inside of the program that uses them."""
    return made(lambda parent: KubernetesWorkloads(context()).serve("shop-web", spec(), parent=parent))


def pod(graph: Graph) -> Any:
    return graph.named("shop-web").inputs["spec"]["template"]["spec"]


def env(graph: Graph) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in pod(graph)["containers"][0]["env"]}


def database(**changes: Any) -> Endpoint:
    defaults: dict[str, Any] = {"scheme": "postgresql", "user": "app", "database": "orders", "password": held("geheim")}
    return endpoint("postgres", 5432, **defaults | changes)


def test_files_lie_in_one_immutable_config_map_and_are_mounted_at_their_paths() -> None:
    graph = served(lambda: service(files={"/etc/web/a.yml": "a: 1", "/etc/web/b.yml": "b: 2", "/srv/c.txt": "c"}))
    config = graph.named("shop-web-config")
    assert config.inputs["immutable"] is True
    assert config.inputs["data"] == {"etc_web_a.yml": "a: 1", "etc_web_b.yml": "b: 2", "srv_c.txt": "c"}
    assert "name" not in config.inputs["metadata"], "another content must be able to stand beside the old one"
    folders = {one["mountPath"]: one for one in pod(graph)["containers"][0]["volumeMounts"]}
    assert set(folders) == {"/etc/web", "/srv", "/tmp"}
    assert folders["/etc/web"]["readOnly"] is True
    (volume,) = [one for one in pod(graph)["volumes"] if one["name"] == folders["/etc/web"]["name"]]
    assert volume["projected"]["sources"] == [
        {
            "configMap": {
                "name": "shop-web-config-0000000",
                "items": [{"key": "etc_web_a.yml", "path": "a.yml"}, {"key": "etc_web_b.yml", "path": "b.yml"}],
            }
        }
    ]


def test_without_files_and_secrets_there_is_neither_object() -> None:
    graph = served(service)
    assert graph.of_type(":ConfigMap") == []
    assert graph.of_type(":Secret") == []


def test_a_secret_file_lies_in_the_service_s_own_secret_beside_a_plain_one() -> None:
    def spec() -> ServiceSpec:
        return service(
            files={"/etc/web/a.yml": "a"},
            secret_files={"/etc/web/key": held("geheim"), "/etc/web/raw": Output.from_input("auch")},
        )

    graph = served(spec)
    secret = graph.named("shop-web-secret").inputs
    assert secret["stringData"] == {"etc_web_key": f"{SECRET}geheim", "etc_web_raw": f"{SECRET}auch"}
    assert secret["immutable"] is True
    (volume,) = [one for one in pod(graph)["volumes"] if "projected" in one]
    assert [next(iter(source)) for source in volume["projected"]["sources"]] == ["configMap", "secret"]


def test_a_secret_that_the_cluster_keeps_is_mounted_and_not_copied() -> None:
    graph = served(lambda: service(secret_files={"/run/secrets/ca": KeptSecret(secret="postgres-ca", key="ca.crt")}))
    assert graph.of_type(":Secret") == []
    (volume,) = [one for one in pod(graph)["volumes"] if "projected" in one]
    assert volume["projected"]["sources"] == [
        {"secret": {"name": "postgres-ca", "items": [{"key": "ca.crt", "path": "ca"}]}}
    ]


def test_a_url_with_a_password_is_put_together_by_the_kubelet() -> None:
    graph = served(lambda: service(secrets={"DATABASE_URL": UrlTemplate(endpoint=database())}))
    assert env(graph)["DATABASE_URL"] == "postgresql://app:$(DATABASE_URL_PASSWORD)@postgres:5432/orders"
    assert env(graph)["DATABASE_URL_PASSWORD"] == {
        "secretKeyRef": {"name": "shop-web-secret-0000000", "key": "DATABASE_URL_PASSWORD"}
    }
    order = [one["name"] for one in pod(graph)["containers"][0]["env"]]
    assert order.index("DATABASE_URL_PASSWORD") < order.index("DATABASE_URL"), "a variable sees those before it only"
    assert "geheim" not in str(graph.named("shop-web").inputs)


def test_the_password_of_an_operator_is_read_where_it_lies() -> None:
    kept = KeptSecret(secret="postgres-app", key="password")  # noqa: S106 - names
    graph = served(lambda: service(secrets={"DATABASE_URL": UrlTemplate(endpoint=database(password=kept))}))
    assert graph.of_type(":Secret") == []
    assert env(graph)["DATABASE_URL_PASSWORD"] == {"secretKeyRef": {"name": "postgres-app", "key": "password"}}


@pytest.mark.parametrize(
    ("template", "url"),
    [
        ({"scheme": "postgresql+psycopg"}, "postgresql+psycopg://app:$(URL_PASSWORD)@postgres:5432/orders"),
        ({"database": "7"}, "postgresql://app:$(URL_PASSWORD)@postgres:5432/7"),
        ({"user": None}, "postgresql://:$(URL_PASSWORD)@postgres:5432/orders"),
        ({"password": None}, "postgresql://postgres:5432/orders"),
        ({"password": None, "name": None}, "postgresql://postgres:5432"),
    ],
)
def test_the_template_says_what_stands_in_the_url(template: dict[str, Any], url: str) -> None:
    def spec() -> ServiceSpec:
        rest = {key: template[key] for key in ("scheme", "database") if key in template}
        login = {key: template[key] for key in ("user", "password") if key in template}
        named = {"database": template["name"]} if "name" in template else {}
        return service(secrets={"URL": UrlTemplate(endpoint=database(**login, **named), **rest)})

    graph = served(spec)
    assert env(graph)["URL"] == url


def test_a_plain_secret_variable_is_a_reference() -> None:
    graph = served(lambda: service(env={"LEVEL": "info"}, secrets={"API_KEY": held("geheim")}))
    assert graph.named("shop-web-secret").inputs["stringData"] == {"API_KEY": f"{SECRET}geheim"}
    assert env(graph)["API_KEY"] == {"secretKeyRef": {"name": "shop-web-secret-0000000", "key": "API_KEY"}}
    assert env(graph)["LEVEL"] == "info"


def test_the_objects_belong_to_the_service_that_they_are_for() -> None:
    def make(parent: pulumi.Resource) -> object:
        return settings_of(context(), "shop-web", service(files={"/a": "b"}), "worker", parent=parent)

    config = made(make).named("shop-web-config")
    assert config.inputs["metadata"]["labels"]["ai-platform/service"] == "web"
    assert config.inputs["metadata"]["labels"]["ai-platform/role"] == "worker"
    assert config.inputs["metadata"]["namespace"] == "shop-staging"
    assert config.parent.endswith("::parent")
