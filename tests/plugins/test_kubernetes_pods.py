"""What the `kubernetes` stand-in waits for, and what it says when it waits in vain: on a real node."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from tests.plugins.conftest import KubernetesStack

WEB = """\
    web = k8s.apps.v1.Deployment("web", spec={{
        "replicas": {replicas}, "selector": {{"match_labels": {{"app": "web"}}}},
        "template": template({command}),
    }}, opts=within({seconds}))
"""
SERVE = '"sh", "-c", "touch /tmp/up; exec sleep 600"'
PROBED = SERVE + ', readiness_probe={"exec": {"command": ["test", "-f", "/tmp/up"]}, "period_seconds": 1}'
SERVICE = """\
    k8s.core.v1.Service("service", spec={"selector": {"app": "web"}, "ports": [{"port": 80, "target_port": 8080}]},
        opts=within(60))
"""
JOB = """\
    once = template("sh", "-c", "{script}")
    once["spec"]["restart_policy"] = "Never"
    k8s.batch.v1.Job("job", metadata={{"annotations": {{"pulumi.com/replaceUnready": "true"}}}},
        spec={{"backoff_limit": 0, "template": once}}, opts=within(60))
"""
ROOT_POD = """\
    pod = {"containers": [{"name": "app", "image": image, "command": ["sleep", "9"]}]}
    k8s.apps.v1.Deployment("web", opts=within(5), spec={
        "selector": {"match_labels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod},
    })
"""
POD = """\
    wait = '["jsonpath={.status.phase}=Running", "condition=PodScheduled"]'
    never = template("sleep", "99", readiness_probe={"exec": {"command": ["false"]}})
    k8s.core.v1.Pod("pod", metadata={"annotations": {"pulumi.com/waitFor": wait}}, spec=never["spec"], opts=within(40))
"""


def web(command: str, replicas: int = 1, seconds: int = 60) -> str:
    return WEB.format(command=command, replicas=replicas, seconds=seconds)


def test_up_waits_until_pods_are_available_and_services_have_endpoints(pods: KubernetesStack) -> None:
    pods.write(web(PROBED, replicas=2) + SERVICE).up()
    assert pods.kubectl("get", "deployment", pods.physical("web"), "-o", "jsonpath={.status.availableReplicas}") == "2"
    slices = pods.kubectl("get", "endpointslices", "-o", "jsonpath={.items[*].endpoints[*].conditions.ready}")
    assert slices == "true true"
    pods.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert pods.steps() == {}


def test_a_roll_out_ends_when_only_new_pods_are_left(pods: KubernetesStack) -> None:
    pods.write(web(PROBED)).up()
    pods.write(web(PROBED.replace("600", "601"))).up()
    found = json.loads(pods.kubectl("get", "pods", "-o", "json"))["items"]
    staying = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
    assert ["601" in pod["spec"]["containers"][0]["command"][-1] for pod in staying] == [True]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ('"true", image="registry.invalid/none:1"', ["ImagePull", "registry.invalid/none:1", "failed to"]),
        ('"sh", "-c", "echo my last words; exit 3"', ["exit code 3", "restarts", "my last words"]),
        ('"sleep", "9", resources={"requests": {"cpu": "4000"}}', ["Unschedulable", "Insufficient cpu"]),
        (
            '"sleep", "99", readiness_probe={"exec": {"command": ["cat", "/missing"]}, "period_seconds": 1}',
            ["Readiness probe failed", "/missing"],
        ),
        ('"sleep", "99", env_from=[{"secret_ref": {"name": "missing"}}]', ["CreateContainerConfigError", "missing"]),
    ],
    ids=["image", "crash", "scheduler", "probe", "secret"],
)
def test_a_pod_that_does_not_start_says_why_and_the_next_up_goes_on(
    pods: KubernetesStack, command: str, words: list[str]
) -> None:
    output = pods.write(web(command, seconds=40)).up(ok=False)
    diagnostics = output.partition("Diagnostics:")[2]
    for word in words:
        assert word in diagnostics
    assert pods.resources()["web"]["initErrors"]
    before = pods.physical("web")
    pods.write(web(PROBED)).up()
    assert pods.physical("web") == before
    assert "initErrors" not in pods.resources()["web"]


def test_what_pod_security_refuses_is_warned_of_at_preview_and_named_at_up(pods: KubernetesStack) -> None:
    pods.up()
    pods.write(ROOT_POD)
    assert "would violate PodSecurity" in pods.run("preview")
    assert "violates PodSecurity" in pods.up(ok=False)


def test_a_job_is_waited_for_and_a_failed_one_shows_its_log_and_is_made_again(pods: KubernetesStack) -> None:
    output = pods.write(JOB.format(script="echo table is locked; exit 1")).up(ok=False)
    assert "the job failed: BackoffLimitExceeded" in output
    assert "table is locked" in output
    assert "replace" in pods.steps()["job"]
    pods.write(JOB.format(script="echo done")).up()
    assert pods.kubectl("get", "job", pods.physical("job"), "-o", "jsonpath={.status.succeeded}") == "1"
    assert pods.steps() == {}


def test_a_claim_that_waits_for_its_first_consumer_is_not_waited_for(pods: KubernetesStack) -> None:
    pods.write("""
        k8s.storage.v1.StorageClass("late", metadata={"name": namespace}, provisioner="example.com/none",
            volume_binding_mode="WaitForFirstConsumer", opts=here)
        k8s.core.v1.PersistentVolumeClaim("claim", spec={"storage_class_name": namespace,
            "access_modes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}}, opts=within(10))
    """).up()
    pods.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert pods.steps() == {}


def test_stateful_sets_and_daemon_sets_are_waited_for(pods: KubernetesStack) -> None:
    pods.write(f"""
        labels = {{"match_labels": {{"app": "web"}}}}
        k8s.apps.v1.StatefulSet("state", spec={{"replicas": 2, "service_name": "state", "selector": labels,
            "template": template({PROBED})}}, opts=within(60))
        k8s.apps.v1.DaemonSet("agent", spec={{"selector": labels, "template": template({PROBED})}}, opts=within(60))
    """).up()
    assert pods.kubectl("get", "statefulsets", "-o", "jsonpath={.items[*].status.readyReplicas}") == "2"
    assert pods.kubectl("get", "daemonsets", "-o", "jsonpath={.items[*].status.numberAvailable}") == "1"
    assert pods.steps() == {}


def test_the_wait_for_annotation_replaces_the_built_in_wait(pods: KubernetesStack) -> None:
    pods.write(POD).up()
    pods.write(POD.replace("=Running", "=Gone").replace("within(40)", "within(3)"))
    assert ".status.phase is Running, not Gone" in pods.up(ok=False)


def test_an_interrupt_ends_the_wait_and_keeps_the_object(pods: KubernetesStack) -> None:
    pods.up()
    pods.write(web('"sleep", "99", readiness_probe={"exec": {"command": ["false"]}, "period_seconds": 1}', seconds=300))
    command = pods.command("up", "--yes", "--skip-preview")
    with subprocess.Popen(command, cwd=pods.folder, env=pods.environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert any("0 of 1 pods" in line for line in child.stdout), "the wait was never shown"
        child.send_signal(signal.SIGINT)
        output, _ = child.communicate()
    assert "cancelled while waiting" in output
    assert pods.resources()["web"]["initErrors"]
