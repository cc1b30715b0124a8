"""Pod templates: security, probes, resources, storage, and how a pod ends."""

from __future__ import annotations

from typing import Any

import pytest

from platforms.kubernetes.pods import DRAIN, EVERYWHERE, compute, probes, template
from platforms.kubernetes.settings import Settings
from platforms.specs import (
    BIND_ADDRESS,
    GIB,
    MIB,
    ExecProbe,
    Health,
    HttpProbe,
    JobSpec,
    PublishedPort,
    Resources,
    ServiceSpec,
    Volume,
)
from tests.support.kubernetes import cluster, context, service

NOTHING = Settings(env=[], volumes=[], mounts=[])
PROBE = HttpProbe(path="/health", port=8000)


def pod(spec: ServiceSpec | JobSpec) -> Any:
    return template(context(), "shop-web", spec, NOTHING)["spec"]


def container(spec: ServiceSpec | JobSpec) -> Any:
    (one,) = pod(spec)["containers"]
    return one


def job(**changes: Any) -> JobSpec:
    settings: dict[str, Any] = {
        "service": "schema",
        "image": "web:1",
        "command": ("migrate",),
        "resources": Resources(cpu=0.5, memory=128 * MIB),
    }
    return JobSpec(**settings | changes)


@pytest.mark.parametrize("spec", [service(), job(), service(user="999:999")], ids=["service", "job", "own user"])
def test_every_pod_is_what_pod_security_calls_restricted(spec: ServiceSpec | JobSpec) -> None:
    security = pod(spec)["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == (999 if spec.user else 10001)
    assert security["fsGroup"] == security["runAsGroup"] == security["runAsUser"]
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(spec)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_a_pod_gets_neither_a_token_nor_the_addresses_of_its_neighbours() -> None:
    assert pod(service())["automountServiceAccountToken"] is False
    assert pod(service())["enableServiceLinks"] is False


@pytest.mark.parametrize(
    ("cpu", "overcommit", "request_", "limit"),
    [
        (1, 4, "250m", "1000m"),
        (0.5, 10, "50m", "500m"),
        (0.05, 20, "2m", "50m"),
        (0.01, 20, "1m", "10m"),
        (2, 1, "2000m", "2000m"),
    ],
)
def test_cores_are_shared_by_the_stack_s_factor_and_memory_is_not(
    cpu: float, overcommit: float, request_: str, limit: str
) -> None:
    found = compute(context(cluster=cluster(overcommit=overcommit)), Resources(cpu=cpu, memory=300 * MIB))
    assert found["requests"] == {"cpu": request_, "memory": "300Mi", "ephemeral-storage": "64Mi"}
    assert found["limits"] == {"cpu": limit, "memory": "300Mi", "ephemeral-storage": "512Mi"}


def test_the_three_probes_have_times_of_their_own() -> None:
    found = probes(Health(probe=PROBE, interval=5, timeout=4, retries=3, start_period=32))
    get = {"httpGet": {"path": "/health", "port": 8000}}
    assert found["startupProbe"] == {**get, "periodSeconds": 5, "timeoutSeconds": 4, "failureThreshold": 7}
    assert found["readinessProbe"] == {**get, "periodSeconds": 5, "timeoutSeconds": 4, "failureThreshold": 3}
    alive = {"tcpSocket": {"port": 8000}, "periodSeconds": 15, "timeoutSeconds": 4, "failureThreshold": 3}
    assert found["livenessProbe"] == alive, "a busy process answers nobody, but it listens"


def test_a_command_is_asked_by_all_three_probes() -> None:
    found = probes(Health(probe=ExecProbe(command=("check", "it")), interval=10, start_period=60))
    assert [one["exec"] for one in found.values()] == [{"command": ["check", "it"]}] * 3
    assert found["startupProbe"]["periodSeconds"] * found["startupProbe"]["failureThreshold"] == 60


def test_a_start_takes_as_long_as_the_probe_itself_would() -> None:
    found = probes(Health(probe=PROBE, interval=15, retries=3, start_period=30))
    assert found["startupProbe"]["periodSeconds"] * found["startupProbe"]["failureThreshold"] == 45


def test_a_service_without_a_health_check_has_no_probe() -> None:
    assert not {"startupProbe", "readinessProbe", "livenessProbe"} & set(container(service()))


def test_a_pod_that_answers_waits_before_its_stop_signal_and_is_not_killed_for_it() -> None:
    assert container(service())["lifecycle"] == {"preStop": {"sleep": {"seconds": DRAIN}}}
    assert pod(service(stop_grace=30))["terminationGracePeriodSeconds"] == 30 + DRAIN
    silent = service(port=None, stop_grace=60)
    assert "lifecycle" not in container(silent)
    assert "ports" not in container(silent)
    assert pod(silent)["terminationGracePeriodSeconds"] == 60


def test_the_command_listens_everywhere_since_policies_say_who_gets_there() -> None:
    listening = container(service(command=("run", f"--listen={BIND_ADDRESS}:8000"), entrypoint=("sh", "-c")))
    assert listening["args"] == ["run", f"--listen={EVERYWHERE}:8000"]
    assert listening["command"] == ["sh", "-c"]
    assert not {"args", "command", "workingDir"} & set(container(service())), "the image's own"
    bound = template(
        context(), "x", service(), Settings(env=[{"name": "LISTEN", "value": BIND_ADDRESS}], volumes=[], mounts=[])
    )
    assert {"name": "LISTEN", "value": EVERYWHERE} in bound["spec"]["containers"][0]["env"]


def test_a_user_that_the_image_does_not_know_gets_a_home() -> None:
    assert container(service())["env"] == [{"name": "HOME", "value": "/tmp"}]
    assert container(service(user="999:999"))["env"] == []


def test_what_must_be_writable_is_an_empty_folder_with_a_bound() -> None:
    found = pod(service(scratch=("/tmp", "/run"), volumes={"/logs": Volume(name="logs")}))
    assert [one["emptyDir"]["sizeLimit"] for one in found["volumes"]] == ["64Mi", "64Mi", "256Mi"]
    assert [one["mountPath"] for one in found["containers"][0]["volumeMounts"]] == ["/tmp", "/run", "/logs"]


def test_data_lies_on_a_claim() -> None:
    volume = Volume(name="data", size=3 * GIB, keeps_data=True)
    found = pod(service(scratch=(), volumes={"/data": volume}))
    assert found["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "web-data"}}]


def test_replicas_are_spread_over_nodes_and_zones() -> None:
    found = pod(service())["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in found] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    selector = {"ai-platform/system": "shop", "ai-platform/service": "web"}
    assert all(one["labelSelector"] == {"matchLabels": selector} for one in found)
    assert all(one["whenUnsatisfiable"] == "ScheduleAnyway" for one in found), "one node must be enough"


def test_a_job_s_pod_is_not_started_again_by_the_kubelet() -> None:
    found = template(context(), "shop-schema", job(), NOTHING)
    assert found["spec"]["restartPolicy"] == "Never"
    assert "topologySpreadConstraints" not in found["spec"]
    assert found["metadata"]["labels"]["ai-platform/role"] == "job"


def test_the_labels_that_a_component_adds_are_written_as_a_cluster_writes_them() -> None:
    found = template(context(), "x", service(labels={"ai-platform.profile": "standard"}), NOTHING)
    assert found["metadata"]["labels"]["ai-platform/profile"] == "standard"


@pytest.mark.parametrize(
    "only_on_one_host", [{"sources": {"/srv": "/home"}}, {"publish": [PublishedPort(internal=8000, external=8000)]}]
)
def test_folders_and_ports_of_a_host_are_refused(only_on_one_host: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="shop-web: folders and ports of the host are for the inner development loop"):
        pod(service(**only_on_one_host))
