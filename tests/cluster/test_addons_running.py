"""The add-ons at work on the running cluster."""

from __future__ import annotations

import base64
import contextlib
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

from tests.cluster.conftest import PATIENCE
from tests.support.engine import missing
from toolchain.cluster import addons, images, kubectl
from toolchain.cluster.addons import installer
from toolchain.cluster.addons.addon import Addon, Object
from toolchain.cluster.addons.catalogue import ADDONS
from toolchain.cluster.addons.failures import explain
from toolchain.cluster.addons.installer import MANAGER
from toolchain.cluster.addons.objects import container, deployment, http_probe
from toolchain.console import ToolchainError
from toolchain.images.__main__ import read_inventory

Place = Callable[[], str]
SLOW = ("site", "database", "prometheus", "worker")
"""Fixtures whose objects take long to be ready: they are begun before the first test."""


@pytest.fixture(scope="module")
def installed(cluster: None) -> None:
    """The running cluster with its add-ons."""
    addons.install()


@pytest.fixture(scope="module")
def place(installed: None) -> Iterator[Place]:
    """Makes a namespace, and returns its name."""
    made: list[str] = []

    def begin() -> str:
        made.append(f"addons-{secrets.token_hex(3)}")
        kubectl("create", "namespace", made[-1])
        return made[-1]

    yield begin
    if made:
        kubectl("delete", "namespace", "--wait=false", *made)


@pytest.fixture(scope="module", autouse=True)
def begun(request: pytest.FixtureRequest) -> None:
    """Begin what the chosen tests of this module need, all at once."""
    chosen = [item for item in request.session.items if item.path == request.path]
    for name in SLOW:
        if any(name in getattr(item, "fixturenames", ()) for item in chosen):
            # One that fails says so in the test that asks for it.
            with contextlib.suppress(Exception, pytest.skip.Exception, pytest.fail.Exception):
                request.getfixturevalue(name)


def apply(namespace: str, *objects: Object) -> None:
    """Make objects in a namespace."""
    kubectl("-n", namespace, "apply", "-f", "-", input=yaml.safe_dump_all(objects))


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
    kubectl("-n", "monitoring", "wait", "deployment/prometheus-operator", "--for=condition=Available", "--timeout=60s")


def test_an_add_on_that_does_not_start_is_named_with_what_its_pod_says(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its reasons are there before it is waited for, however slow the machine is.
    monkeypatch.setattr(installer, "PATIENCE", 1)
    namespace = place()
    complaint = 'echo "cannot go on: no such file"; exit 3'
    container_of = partial(container, ports={}, probe=http_probe(1, "/"), memory=("8Mi", "32Mi"))
    broken = {
        "broken": container_of("broken", images.busybox(), ["sh", "-c", complaint]),
        "absent": container_of("absent", "ai-platform/none:1", ["none"]) | {"imagePullPolicy": "Never"},
    }
    wanted = {"broken": "cannot go on: no such file", "absent": "ErrImageNeverPull"}
    addon = Addon(name="some-add-on", module="none", namespace=namespace)
    prepared = {
        name: installer.Prepared(
            addon=addon,
            types="",
            objects=[deployment("some", name, namespace, [one], account="default")],
            binaries=[],
        )
        for name, one in broken.items()
    }
    for each in prepared.values():
        installer._apply(each)
    for name, words in wanted.items():
        eventually(name, partial(says, addon, name, words))
        with pytest.raises(ToolchainError, match=f"^add-on some-add-on: {namespace}/{name} does not become") as said:
            installer._wait(prepared[name])
        assert f"pod {name}-" in str(said.value)
        assert words in str(said.value)


def says(addon: Addon, name: str, words: str) -> bool:
    """Whether the cluster knows by now why a Deployment does not start."""
    return words in explain(addon, name)


@pytest.fixture(scope="module")
def site(place: Place) -> str:
    """A page behind a Gateway, with a certificate; returns its namespace."""
    namespace = place()
    host = f"{namespace}.example.test"
    middleware = {"headers": {"customResponseHeaders": {"X-Middleware": namespace}}}
    extension = {
        "type": "ExtensionRef",
        "extensionRef": {"group": "traefik.io", "kind": "Middleware", "name": "headers"},
    }
    issuer = {"issuerRef": {"name": "first"}, "commonName": "test authority", "isCA": True, "secretName": "authority"}
    apply(
        namespace,
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
    return namespace


def test_https_answers_through_a_gateway_with_a_certificate_of_our_own_authority(site: str) -> None:
    host = f"{site}.example.test"
    kubectl("-n", site, "wait", "certificate/site", "--for=condition=Ready", f"--timeout={PATIENCE}s")
    kubectl("-n", site, "wait", "gateway/edge", "--for=condition=Programmed", f"--timeout={PATIENCE}s")
    secret = json.loads(kubectl("-n", site, "get", "secret", "site", "-o", "json"))["data"]
    context = ssl.create_default_context(cadata=base64.b64decode(secret["ca.crt"]).decode())
    # The name is not in any DNS: the connection goes to this machine, everything else is as with the name.
    wanted = (200, site, "hello from the backend\n")
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


@pytest.fixture(scope="module")
def database(place: Place) -> str:
    """A database; returns its namespace."""
    namespace = place()
    resources = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
    apply(
        namespace,
        thing(
            "postgresql.cnpg.io/v1/Cluster",
            "db",
            {
                "instances": 1,
                "imageName": inventory_image("postgres-cnpg"),
                "storage": {"size": "256Mi"},
                "resources": resources,
            },
        ),
    )
    return namespace


def test_a_database_becomes_healthy_and_answers_sql_over_its_service(database: str) -> None:
    kubectl("-n", database, "wait", "clusters.postgresql.cnpg.io/db", "--for=condition=Ready", f"--timeout={PATIENCE}s")
    secret = json.loads(kubectl("-n", database, "get", "secret", "db-app", "-o", "json"))["data"]
    password = base64.b64decode(secret["password"]).decode()
    # The password goes in over the standard input: a command line can be read by others.
    client = 'read -r PGPASSWORD; export PGPASSWORD; exec psql -h db-rw -U app -d app -tAc "$0"'
    query = "CREATE TABLE IF NOT EXISTS t AS SELECT 41 + 1 AS n; SELECT n FROM t"
    words = ["exec", "-i", "db-1", "-c", "postgres", "--", "sh", "-c", client, query]
    # A database may be ready a moment before its Service has heard of it.
    said = eventually("SQL", lambda: kubectl("-n", database, *words, input=f"{password}\n"))
    assert said.split()[-1] == "42"
    assert "15" in kubectl("-n", database, "exec", "db-1", "-c", "postgres", "--", "postgres", "--version")


def test_a_database_that_cannot_be_is_refused_by_the_operators_webhook(place: Place) -> None:
    spec = {"instances": 1, "imageName": "ai-platform/postgres-cnpg:latest", "storage": {"size": "1Gi"}}
    with pytest.raises(ToolchainError, match="imageName"):
        apply(place(), thing("postgresql.cnpg.io/v1/Cluster", "db", spec))


@pytest.fixture(scope="module")
def prometheus(place: Place) -> str:
    """A Prometheus that scrapes itself; returns its namespace."""
    namespace = place()
    selector = {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}
    watch = {"apiGroups": [""], "resources": ["pods", "services", "endpoints"], "verbs": ["get", "list", "watch"]}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "prometheus"}
    account = {"kind": "ServiceAccount", "name": "prometheus", "namespace": namespace}
    monitor = {"selector": selector, "podMetricsEndpoints": [{"port": "web", "interval": "1s"}]}
    service = {"selector": selector, "endpoints": [{"port": "web", "interval": "1s"}]}
    apply(
        namespace,
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
    return namespace


def test_a_prometheus_scrapes_what_a_monitor_selects_with_programs_that_were_built_here(prometheus: str) -> None:
    kubectl("-n", prometheus, "wait", "prometheus/main", "--for=condition=Available", f"--timeout={PATIENCE}s")
    spec = json.loads(kubectl("-n", prometheus, "get", "statefulset", "prometheus-main", "-o", "json"))["spec"]
    for one in spec["template"]["spec"]["containers"] + spec["template"]["spec"]["initContainers"]:
        assert one["image"].startswith("docker.io/ai-platform/prometheus"), one["name"]
    page = f"/api/v1/namespaces/{prometheus}/pods/prometheus-main-0:9090/proxy/api/v1/query?query=up"

    def up() -> bool:
        found = json.loads(kubectl("get", "--raw", page))["data"]["result"]
        return [(row["metric"]["job"], row["value"][1]) for row in found] == [(f"{prometheus}/pods", "1")]

    assert eventually("the monitored pod is up", up)


@pytest.fixture(scope="module")
def worker(place: Place) -> str:
    """A Deployment without pods that an event source scales; returns its namespace."""
    namespace = place()
    pod = backend("worker")[0]
    template = {"metadata": {"labels": {"app": "worker"}}, "spec": pod["spec"]}
    selector = {"matchLabels": {"app": "worker"}}
    # Always, but for the last minute of a year.
    always = {"timezone": "UTC", "start": "0 0 1 1 *", "end": "59 23 31 12 *", "desiredReplicas": "2"}
    apply(
        namespace,
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
    return namespace


def test_an_event_source_scales_a_deployment_from_nothing_through_the_metrics_server(worker: str) -> None:
    ready = ("get", "deployment", "worker", "-o", "jsonpath={.status.readyReplicas}")
    eventually("two replicas", lambda: kubectl("-n", worker, *ready) == "2")
