"""The add-ons at work on the running cluster."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPSConnection
from typing import Any

import pytest
import yaml

from tests.support.engine import missing
from toolchain.cluster import addons, images, kubectl
from toolchain.cluster.addons import installer
from toolchain.cluster.addons.addon import Addon, Object
from toolchain.cluster.addons.catalogue import ADDONS
from toolchain.cluster.addons.installer import MANAGER
from toolchain.cluster.addons.objects import container, deployment, http_probe
from toolchain.console import ToolchainError
from toolchain.images.__main__ import read_inventory

PATIENCE = 180
"""Seconds that anything on the cluster may take before a test gives up."""

Make = Callable[..., None]


@pytest.fixture(scope="module")
def installed(cluster: None) -> None:
    """The running cluster with its add-ons."""
    addons.install()


@pytest.fixture
def place(installed: None) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"addons-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def make(place: str) -> Make:
    """Makes objects in the test's namespace."""

    def apply(*objects: Object) -> None:
        kubectl("-n", place, "apply", "-f", "-", input=yaml.safe_dump_all(objects))

    return apply


def thing(kind: str, name: str, spec: Object, **labels: str) -> Object:
    """An object; its kind as `group/version/Kind`."""
    version, _, short = kind.rpartition("/")
    return {"apiVersion": version, "kind": short, "metadata": {"name": name, "labels": labels}, "spec": spec}


def inventory_image(name: str) -> str:
    """The reference of an image of the inventory, in the node."""
    reference = read_inventory().get(name, {}).get("reference")
    if reference is None:
        missing(f"image {name} is missing: run `make images`")
    images.load([reference])
    return reference


def eventually(what: str, ask: Callable[[], Any]) -> Any:
    """The first true answer."""
    end = time.monotonic() + PATIENCE
    said: object = None
    while time.monotonic() < end:
        try:
            said = ask()
        except (ToolchainError, OSError) as error:
            said = error
        else:
            if said:
                return said
        time.sleep(0.5)
    raise AssertionError(f"{what}: {said}")


def test_a_second_install_changes_nothing(installed: None, capsys: pytest.CaptureFixture[str]) -> None:
    def versions() -> dict[str, str]:
        found = json.loads(kubectl("get", "deployments,configmaps", "-A", "-o", "json"))["items"]
        own = [item for item in found if item["metadata"]["name"] == MANAGER or "ai-platform/addon" in str(item)]
        return {item["metadata"]["name"]: item["metadata"].get("generation", item.get("data")) for item in own}

    before = versions()
    addons.install()
    assert versions() == before
    assert len(before) > len([addon for addon in ADDONS if addon.programs])
    assert "add-ons are up to date" in capsys.readouterr().err


def test_a_deployment_that_someone_removed_is_brought_back(installed: None) -> None:
    kubectl("-n", "monitoring", "delete", "deployment", "prometheus-operator")
    addons.install(["prometheus-operator"])
    kubectl("-n", "monitoring", "wait", "deployment/prometheus-operator", "--for=condition=Available", "--timeout=10s")


def test_an_add_on_that_does_not_start_is_named_with_what_its_pod_says(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installer, "PATIENCE", 10)
    complaint = 'echo "cannot go on: no such file"; exit 3'
    probe = http_probe(1, "/")
    container_of = partial(container, ports={}, probe=probe, memory=("8Mi", "32Mi"))
    broken = [
        container_of("broken", images.busybox(), ["sh", "-c", complaint]),
        container_of("absent", "ai-platform/none:1", ["none"]) | {"imagePullPolicy": "Never"},
    ]
    addon = Addon(name="some-add-on", module="none", namespace=place)
    for one in broken:
        name = one["name"]
        objects = [deployment("some", name, place, [one], account="default")]
        prepared = installer.Prepared(addon=addon, types="", objects=objects, binaries=[])
        installer._apply(prepared)
        with pytest.raises(ToolchainError, match=f"^add-on some-add-on: {place}/{name} does not become ready") as said:
            installer._wait(prepared)
        assert f"pod {name}-" in str(said.value)
        wanted = "cannot go on: no such file" if name == "broken" else "ErrImageNeverPull"
        assert wanted in str(said.value)


def test_https_answers_through_a_gateway_with_a_certificate_of_our_own_authority(place: str, make: Make) -> None:
    host = f"{place}.example.test"
    middleware = {"headers": {"customResponseHeaders": {"X-Middleware": place}}}
    extension = {
        "type": "ExtensionRef",
        "extensionRef": {"group": "traefik.io", "kind": "Middleware", "name": "headers"},
    }
    issuer = {"issuerRef": {"name": "first"}, "commonName": "test authority", "isCA": True, "secretName": "authority"}
    make(
        thing("cert-manager.io/v1/Issuer", "first", {"selfSigned": {}}),
        thing("cert-manager.io/v1/Certificate", "authority", issuer),
        thing("cert-manager.io/v1/Issuer", "authority", {"ca": {"secretName": "authority"}}),
        thing(
            "cert-manager.io/v1/Certificate",
            "site",
            {"issuerRef": {"name": "authority"}, "dnsNames": [host], "secretName": "site"},
        ),
        *backend("hello from the backend"),
        thing("traefik.io/v1alpha1/Middleware", "headers", middleware),
        thing(
            "gateway.networking.k8s.io/v1/Gateway",
            "edge",
            {
                "gatewayClassName": "traefik",
                "listeners": [
                    {"name": "http", "protocol": "HTTP", "port": 8000, "hostname": host},
                    {
                        "name": "https",
                        "protocol": "HTTPS",
                        "port": 8443,
                        "hostname": host,
                        "tls": {"certificateRefs": [{"name": "site"}]},
                    },
                ],
            },
        ),
        thing(
            "gateway.networking.k8s.io/v1/HTTPRoute",
            "site",
            {
                "parentRefs": [{"name": "edge"}],
                "hostnames": [host],
                "rules": [{"backendRefs": [{"name": "site", "port": 80}], "filters": [extension]}],
            },
        ),
    )
    kubectl("-n", place, "wait", "certificate/site", "--for=condition=Ready", f"--timeout={PATIENCE}s")
    kubectl("-n", place, "wait", "gateway/edge", "--for=condition=Programmed", f"--timeout={PATIENCE}s")
    secret = json.loads(kubectl("-n", place, "get", "secret", "site", "-o", "json"))["data"]
    context = ssl.create_default_context(cadata=base64.b64decode(secret["ca.crt"]).decode())
    # The name is not in any DNS: the connection goes to this machine, everything else is as with the name.
    wanted = (200, place, "hello from the backend\n")
    assert eventually("HTTPS", lambda: get(host, context) == wanted)

    request = urllib.request.Request("http://127.0.0.1:8080/", headers={"Host": host})  # noqa: S310
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        assert answer.read() == b"hello from the backend\n"


def get(host: str, context: ssl.SSLContext) -> tuple[int, str | None, str]:
    """Status, header of the middleware and body of a host's page from the local Gateway, its certificate verified."""
    connection = HTTPSConnection("127.0.0.1", 8443, timeout=5)
    plain = socket.create_connection(("127.0.0.1", 8443), timeout=5)
    connection.sock = context.wrap_socket(plain, server_hostname=host)
    connection.request("GET", "/", headers={"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.headers["X-Middleware"], answer.read().decode()


def backend(text: str) -> list[Object]:
    """A small web server and its Service, named `site`."""
    server = {
        "name": "server",
        "image": images.busybox(),
        "command": ["sh", "-c", f"echo '{text}' > /tmp/index.html && exec httpd -f -p 8080 -h /tmp"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "readinessProbe": {"httpGet": {"port": 8080, "path": "/index.html"}},
    }
    secure = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    return [
        thing("v1/Pod", "site", {"securityContext": secure, "containers": [server]}, app="site"),
        thing("v1/Service", "site", {"selector": {"app": "site"}, "ports": [{"port": 80, "targetPort": 8080}]}),
    ]


def test_a_database_becomes_healthy_and_answers_sql_over_its_service(place: str, make: Make) -> None:
    resources = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
    make(
        thing(
            "postgresql.cnpg.io/v1/Cluster",
            "db",
            {
                "instances": 1,
                "imageName": inventory_image("postgres-cnpg"),
                "storage": {"size": "256Mi"},
                "resources": resources,
            },
        )
    )
    kubectl("-n", place, "wait", "clusters.postgresql.cnpg.io/db", "--for=condition=Ready", f"--timeout={PATIENCE}s")
    secret = json.loads(kubectl("-n", place, "get", "secret", "db-app", "-o", "json"))["data"]
    password = base64.b64decode(secret["password"]).decode()
    # The password goes in over the standard input: a command line can be read by others.
    client = 'read -r PGPASSWORD; export PGPASSWORD; exec psql -h db-rw -U app -d app -tAc "$0"'
    query = "CREATE TABLE IF NOT EXISTS t AS SELECT 41 + 1 AS n; SELECT n FROM t"
    words = ["exec", "-i", "db-1", "-c", "postgres", "--", "sh", "-c", client, query]
    # A database may be ready a moment before its Service has heard of it.
    said = eventually("SQL", lambda: kubectl("-n", place, *words, input=f"{password}\n"))
    assert said.split()[-1] == "42"
    assert "15" in kubectl("-n", place, "exec", "db-1", "-c", "postgres", "--", "postgres", "--version")


def test_a_database_that_cannot_be_is_refused_by_the_operators_webhook(place: str, make: Make) -> None:
    with pytest.raises(ToolchainError, match="imageName"):
        make(
            thing(
                "postgresql.cnpg.io/v1/Cluster",
                "db",
                {"instances": 1, "imageName": "ai-platform/postgres-cnpg:latest", "storage": {"size": "1Gi"}},
            )
        )


def test_a_prometheus_scrapes_what_a_monitor_selects_with_programs_that_were_built_here(place: str, make: Make) -> None:
    selector = {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}
    watch = {"apiGroups": [""], "resources": ["pods", "services", "endpoints"], "verbs": ["get", "list", "watch"]}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "prometheus"}
    account = {"kind": "ServiceAccount", "name": "prometheus", "namespace": place}
    monitor = {"selector": selector, "podMetricsEndpoints": [{"port": "web", "interval": "1s"}]}
    service = {"selector": selector, "endpoints": [{"port": "web", "interval": "1s"}]}
    make(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "prometheus"}},
        {"apiVersion": role["apiGroup"] + "/v1", "kind": "Role", "metadata": {"name": "prometheus"}, "rules": [watch]},
        {
            "apiVersion": role["apiGroup"] + "/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "prometheus"},
            "roleRef": role,
            "subjects": [account],
        },
        thing("monitoring.coreos.com/v1/PodMonitor", "pods", monitor),
        thing("monitoring.coreos.com/v1/ServiceMonitor", "services", service),
        thing(
            "monitoring.coreos.com/v1/Prometheus",
            "main",
            {
                "serviceAccountName": "prometheus",
                "podMonitorSelector": {},
                "serviceMonitorSelector": {},
                "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65534,
                    "fsGroup": 65534,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            },
        ),
    )
    kubectl("-n", place, "wait", "prometheus/main", "--for=condition=Available", f"--timeout={PATIENCE}s")
    spec = json.loads(kubectl("-n", place, "get", "statefulset", "prometheus-main", "-o", "json"))["spec"]
    for one in spec["template"]["spec"]["containers"] + spec["template"]["spec"]["initContainers"]:
        assert one["image"].startswith("docker.io/ai-platform/prometheus"), one["name"]
    page = f"/api/v1/namespaces/{place}/pods/prometheus-main-0:9090/proxy/api/v1/query?query=up"

    def up() -> bool:
        found = json.loads(kubectl("get", "--raw", page))["data"]["result"]
        return [(row["metric"]["job"], row["value"][1]) for row in found] == [(f"{place}/pods", "1")]

    assert eventually("the monitored pod is up", up)


def test_an_event_source_scales_a_deployment_from_nothing_through_the_metrics_server(place: str, make: Make) -> None:
    pod = backend("worker")[0]
    template = {"metadata": {"labels": {"app": "worker"}}, "spec": pod["spec"]}
    selector = {"matchLabels": {"app": "worker"}}
    # Always, but for the last minute of a year.
    always = {"timezone": "UTC", "start": "0 0 1 1 *", "end": "59 23 31 12 *", "desiredReplicas": "2"}
    make(
        thing("apps/v1/Deployment", "worker", {"replicas": 0, "selector": selector, "template": template}),
        thing(
            "keda.sh/v1alpha1/ScaledObject",
            "worker",
            {
                "scaleTargetRef": {"name": "worker"},
                "minReplicaCount": 0,
                "maxReplicaCount": 3,
                "pollingInterval": 5,
                "triggers": [{"type": "cron", "metadata": always}],
            },
        ),
    )
    ready = ("get", "deployment", "worker", "-o", "jsonpath={.status.readyReplicas}")
    eventually("two replicas", lambda: kubectl("-n", place, *ready) == "2")
