"""What the `kubernetes` stand-in waits for, and what it says when it waits in vain: on a real node.

No time here is one that a slow machine could miss: what becomes ready has minutes, and what never does is asked for its
reasons only once the cluster shows them.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.plugins.stacks import KubernetesStack

Make = Callable[[], KubernetesStack]
PATIENCE = 300
"""Seconds that anything may take that comes in the end."""
PROBE = 'readiness_probe={"exec": {"command": ["test", "-f", "/tmp/up"]}, "period_seconds": 1, "timeout_seconds": 10}'
SERVE = f'"sh", "-c", "touch /tmp/up; exec sleep 600", {PROBE}'
JOB = """\
    once = template("sh", "-c", "{script}", label="job")
    once["spec"]["restart_policy"] = "Never"
    k8s.batch.v1.Job("job", metadata={{"annotations": {{"pulumi.com/replaceUnready": "true"}}}},
        spec={{"backoff_limit": 0, "template": once}}, opts=within(300))
"""
POD = """\
    wait = '["jsonpath={{.status.phase}}={phase}", "condition=PodScheduled"]'
    never = template("sleep", "600", label="pod", readiness_probe={{"exec": {{"command": ["false"]}}}})
    k8s.core.v1.Pod("pod", metadata={{**never["metadata"], "annotations": {{"pulumi.com/waitFor": wait}}}},
        spec=never["spec"], opts=within({seconds}))
"""
HEALTHY = f"""\
    def running(label):
        return {{"selector": {{"match_labels": {{"app": label}}}}, "template": template({SERVE}, label=label)}}

    k8s.apps.v1.Deployment("web", spec={{"replicas": 2, **running("web")}}, opts=within(300))
    k8s.core.v1.Service("service", opts=within(300),
        spec={{"selector": {{"app": "web"}}, "ports": [{{"port": 80, "target_port": 8080}}]}})
    k8s.apps.v1.StatefulSet("state", spec={{"replicas": 2, "service_name": "state", **running("state")}},
        opts=within(300))
    k8s.apps.v1.DaemonSet("agent", spec=running("agent"), opts=within(300))
    late = k8s.storage.v1.StorageClass("late", metadata={{"name": namespace}}, provisioner="example.com/none",
        volume_binding_mode="WaitForFirstConsumer", opts=inside)
    k8s.core.v1.PersistentVolumeClaim("claim", spec={{"storage_class_name": late.metadata.name,
        "access_modes": ["ReadWriteOnce"], "resources": {{"requests": {{"storage": "1024Mi"}}}}}}, opts=within(10))
{POD.format(phase="Running", seconds=PATIENCE)}"""


@dataclass(frozen=True)
class Trouble:
    """A pod that does not start: what its container is, what the cluster says of it and what `up` must say."""

    container: str
    symptom: str
    words: tuple[str, ...]


TROUBLES = {
    "image": Trouble(
        '"true", image="registry.invalid/none:1"',
        '"reason": "(ErrImagePull|ImagePullBackOff)"',
        ("ImagePull", "registry.invalid/none:1", "failed to"),
    ),
    # A pod without a probe is ready for as long as it runs, and may be found so.
    "crash": Trouble(
        f'"sh", "-c", "echo my last words; exit 3", {PROBE}',
        '"exitCode": 3',
        ("exit code 3", "restarts", "my last words"),
    ),
    "scheduler": Trouble(
        '"sleep", "9", resources={"requests": {"cpu": "4000"}}',
        "Insufficient cpu",
        ("Unschedulable", "Insufficient cpu"),
    ),
    "probe": Trouble(
        '"sleep", "600", readiness_probe={"exec": {"command": ["cat", "/missing"]}, "period_seconds": 1}',
        "Readiness probe",
        ("Readiness probe failed", "/missing"),
    ),
    "secret": Trouble(
        '"sleep", "99", env_from=[{"secret_ref": {"name": "missing"}}]',
        "CreateContainerConfigError",
        ("CreateContainerConfigError", "missing"),
    ),
}
ROOT_POD = """\
    root = {"containers": [{"name": "app", "image": image, "command": ["sleep", "9"]}]}
    k8s.apps.v1.Deployment("root", opts=within(5), spec={
        "selector": {"match_labels": {"app": "root"}},
        "template": {"metadata": {"labels": {"app": "root"}}, "spec": root},
    })
"""


def deployment(name: str, container: str, seconds: int) -> str:
    """A Deployment of one pod; whoever waits for it has some seconds."""
    return (
        f'    k8s.apps.v1.Deployment("{name}", spec={{"selector": {{"match_labels": {{"app": "{name}"}}}},\n'
        f'        "template": template({container}, label="{name}")}}, opts=within({seconds}))\n'
    )


# ── what becomes ready ───────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Healthy:
    """A stack of every kind that is waited for, and its state as one `up` left it."""

    stack: KubernetesStack
    endpoints: str
    recorded: dict[str, dict[str, Any]]

    def status(self, name: str) -> dict[str, Any]:
        """The status that a resource had when it counted as ready."""
        found: dict[str, Any] = self.recorded[name]["outputs"]["status"]
        return found


@pytest.fixture(scope="module")
def healthy(pods: Make) -> Iterator[Healthy]:
    stack = pods()
    stack.write(HEALTHY).up()
    ready = "jsonpath={.items[*].endpoints[*].conditions.ready}"
    endpoints = stack.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name", "-o", ready)
    yield Healthy(stack, endpoints, stack.resources())
    stack.run("destroy", "--yes", "--skip-preview", "--remove")


def test_up_waits_until_pods_are_available_and_services_have_endpoints(healthy: Healthy) -> None:
    assert healthy.status("web")["availableReplicas"] == 2
    assert healthy.endpoints == "true true"


def test_stateful_sets_and_daemon_sets_are_waited_for(healthy: Healthy) -> None:
    assert healthy.status("state")["readyReplicas"] == 2
    agent = healthy.status("agent")
    assert agent["numberAvailable"] == agent["desiredNumberScheduled"] > 0


def test_a_claim_that_waits_for_its_first_consumer_is_not_waited_for(healthy: Healthy) -> None:
    assert healthy.status("claim")["phase"] == "Pending"


def test_the_wait_for_annotation_replaces_the_built_in_wait(healthy: Healthy) -> None:
    assert healthy.status("pod")["phase"] == "Running"
    assert {row["type"]: row["status"] for row in healthy.status("pod")["conditions"]}["Ready"] == "False"


def test_what_became_ready_has_nothing_to_update_and_nothing_to_refresh(healthy: Healthy) -> None:
    healthy.stack.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert healthy.stack.steps() == {}


def test_a_roll_out_ends_when_only_new_pods_are_left(healthy: Healthy) -> None:
    healthy.stack.write(HEALTHY.replace("600", "601")).up("--target", "**::web")
    found = json.loads(healthy.stack.kubectl("get", "pods", "-l", "app=web", "-o", "json"))["items"]
    staying = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
    assert ["601" in pod["spec"]["containers"][0]["command"][-1] for pod in staying] == [True, True]


# ── what does not ────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Broken:
    """What became of a stack in which nothing gets ready, before it was mended and after."""

    preview: str
    first: dict[str, dict[str, Any]]
    """Its resources after the first `up`."""
    steps: dict[str, str]
    said: dict[str, str]
    """What the second `up` said of each resource, when the cluster knew the reasons."""
    mended: dict[str, dict[str, Any]]

    def name(self, resources: dict[str, dict[str, Any]], name: str) -> str:
        return str(resources[name]["outputs"]["metadata"]["name"])


@pytest.fixture(scope="module")
def broken(pods: Make) -> Broken:
    stack = pods()
    troubles = "".join(deployment(name, trouble.container, 5) for name, trouble in TROUBLES.items())
    failing = JOB.format(script="echo table is locked; exit 1")
    stack.write(troubles + ROOT_POD + failing + POD.format(phase="Gone", seconds=5))
    preview = stack.run("preview")
    told = diagnostics(stack.up(ok=False))
    first = stack.resources()
    wait_for_symptoms(stack)
    steps = stack.steps()
    told["again"] = told.pop("job")
    said = told | diagnostics(stack.up(ok=False))
    mended = "".join(deployment(name, SERVE, PATIENCE) for name in TROUBLES)
    stack.write(mended + JOB.format(script="echo done")).up()
    return Broken(preview, first, steps, said, stack.resources())


def diagnostics(output: str) -> dict[str, str]:
    """What an output's last part says of each resource."""
    found = re.split(r"(?m)^  \S+ \((\S+)\):\n", output.partition("Diagnostics:")[2])
    return dict(zip(found[1::2], found[2::2], strict=True))


def wait_for_symptoms(stack: KubernetesStack) -> None:
    """Wait until the cluster shows what is wrong with each pod."""
    wanted = {name: trouble.symptom for name, trouble in TROUBLES.items()}
    wanted |= {"root": "violates PodSecurity", "pod": '"phase": "Running"'}
    end = time.monotonic() + PATIENCE
    while wanted:
        assert time.monotonic() < end, f"never seen: {wanted}"
        time.sleep(0.5)
        for item in json.loads(stack.kubectl("get", "pods,events", "-o", "json"))["items"]:
            about = item.get("involvedObject") or item["metadata"]
            shown = json.dumps(item)
            gone = [name for name in wanted if about["name"].startswith(name) and re.search(wanted[name], shown)]
            for name in gone:
                del wanted[name]


@pytest.mark.parametrize("name", TROUBLES)
def test_a_pod_that_does_not_start_says_why_and_the_next_up_goes_on(broken: Broken, name: str) -> None:
    for word in TROUBLES[name].words:
        assert word in broken.said[name]
    assert broken.first[name]["initErrors"]
    assert broken.name(broken.first, name) == broken.name(broken.mended, name)
    assert "initErrors" not in broken.mended[name]
    assert broken.mended[name]["outputs"]["status"]["availableReplicas"] == 1


def test_what_pod_security_refuses_is_warned_of_at_preview_and_named_at_up(broken: Broken) -> None:
    assert "would violate PodSecurity" in broken.preview
    assert "violates PodSecurity" in broken.said["root"]


def test_a_job_is_waited_for_and_a_failed_one_shows_its_log_and_is_made_again(broken: Broken) -> None:
    for said in (broken.said["again"], broken.said["job"]):
        assert "the job failed: BackoffLimitExceeded" in said
        assert "table is locked" in said
    assert "replace" in broken.steps["job"]
    assert broken.name(broken.first, "job") != broken.name(broken.mended, "job")
    assert broken.mended["job"]["outputs"]["status"]["succeeded"] == 1


def test_what_the_wait_for_annotation_asks_for_in_vain_is_said(broken: Broken) -> None:
    assert ".status.phase is Running, not Gone" in broken.said["pod"]


def test_an_interrupt_ends_the_wait_and_keeps_the_object(pods: Make) -> None:
    stack = pods()
    stack.write(deployment("web", '"sleep", "600", readiness_probe={"exec": {"command": ["false"]}}', PATIENCE))
    command = stack.command("up", "--yes", "--skip-preview")
    with subprocess.Popen(command, cwd=stack.folder, env=stack.environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert any("0 of 1 pods" in line for line in child.stdout), "the wait was never shown"
        child.send_signal(signal.SIGINT)
        output, _ = child.communicate()
    assert "cancelled while waiting" in output
    assert stack.resources()["web"]["initErrors"]
