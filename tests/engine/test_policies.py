"""The policy pack in the real engine: what it refuses is not deployed, and what it says gives nothing away.

The Docker API is a recorder: it answers the questions that a provider asks while it starts, and writes down the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.engine.pack import FAR, PAST, VALUE, Project, exempt

MEMORY = "resources-container-limit-memory"
ENVIRONMENT = "secrets-environment-require-secret"
READY = ("/_ping", "/version", "/info")
"""What a provider may ask while it starts."""
PRELUDE = """
import pulumi
import pulumi_docker as docker

SECRET = pulumi.Config().get_secret("password")


def labels(role, service, **more):
    pairs = {"stack": "dev", "system": "shop", "service": service, "role": role} | more
    return [docker.ContainerLabelArgs(label=f"ai-platform.{key}", value=value) for key, value in pairs.items()]


def container(name, role="telemetry", service=None, **changes):
    inputs = dict(
        image="sha256:" + "0a" * 32,
        command=["serve"],
        labels=labels(role, service or name),
        memory=64,
        memory_swap=64,
        cpus="0.5",
        ulimits=[docker.ContainerUlimitArgs(name="nproc", soft=64, hard=64)],
        log_driver="json-file",
        log_opts={"max-size": "10m", "max-file": "3"},
        restart="unless-stopped",
        healthcheck=docker.ContainerHealthcheckArgs(tests=["CMD", "check"]),
        network_mode="none",
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges:true"],
        user="10001:10001",
        read_only=True,
    )
    return docker.Container(name, **(inputs | changes))


"""


@dataclass
class Api:
    """The recorded Docker API."""

    url: str
    requests: list[str]

    @property
    def touched(self) -> list[str]:
        """Requests beyond those of a starting provider."""
        return [line for line in self.requests if not line.split("?")[0].endswith(READY)]


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    recorded: list[str] = []

    class Recorder(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            recorded.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b'{"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24", "Os": "linux"}'
            self.send_response(200 if self.path.split("?")[0].endswith(READY) else 500)
            self.send_header("Api-Version", "1.41")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Api(f"tcp://127.0.0.1:{server.server_port}", recorded)
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, api: Api) -> Project:
    return Project.make(tmp_path_factory.mktemp("policies"), PRELUDE, DOCKER_HOST=api.url)


@pytest.fixture(autouse=True)
def nothing_recorded(api: Api) -> None:
    api.requests.clear()


def test_a_stack_that_keeps_the_rules_is_planned(project: Project) -> None:
    ran = project.preview("""
        container("api-0", "app", "api")
        container("api-1", "app", "api", envs=[pulumi.Output.concat("DB_PASSWORD=", SECRET)])
    """)
    assert ran.code == 0, ran.output
    assert "ai-platform@v1.0.0" in ran.output
    assert "[mandatory]" not in ran.output
    assert VALUE not in ran.output


def test_a_stack_that_breaks_a_rule_is_not_deployed(project: Project, api: Api) -> None:
    project.write("container('bad-0', memory=None, memory_swap=None)")
    ran = project.pulumi("up", "--yes", "--policy-pack", "policies")
    assert ran.code != 0
    assert MEMORY in ran.output
    assert "container bad-0: has no memory limit" in ran.output
    assert "set `memory` (MB)" in ran.output
    assert api.touched == []


def test_skipping_the_preview_does_not_get_a_container_past_the_rules(project: Project, api: Api) -> None:
    project.write("container('bad-0', privileged=True)")
    ran = project.pulumi("up", "--yes", "--skip-preview", "--policy-pack", "policies")
    assert ran.code != 0
    assert "container bad-0: is privileged" in ran.output
    assert api.touched == []


def test_a_password_in_plain_text_is_refused_and_never_shown(project: Project) -> None:
    ran = project.preview(f"container('bad-0', envs=['DB_PASSWORD={VALUE}'])")
    assert ran.code != 0
    assert ENVIRONMENT in ran.output
    assert "environment variable DB_PASSWORD" in ran.output
    assert VALUE not in ran.output


def test_the_same_password_as_a_pulumi_secret_passes(project: Project) -> None:
    ran = project.preview("container('good-0', envs=['A=1', pulumi.Output.concat('DB_PASSWORD=', SECRET)])")
    assert ran.code == 0, ran.output
    assert VALUE not in ran.output


def test_a_plain_password_of_the_stack_file_is_found_even_beside_a_secret_one(project: Project) -> None:
    body = """
        TOKEN = pulumi.Config().require_object("service")["env"]["B_TOKEN"]
        container("bad-0", envs=["B_TOKEN=" + TOKEN, pulumi.Output.concat("A_PASSWORD=", SECRET)])
    """
    ran = project.preview(body, more={"ai-platform:service": {"env": {"B_TOKEN": VALUE}}})
    assert ran.code != 0
    assert "key ai-platform:service.env.B_TOKEN of the stack file" in ran.output
    assert "A_PASSWORD" not in ran.output
    assert VALUE not in ran.output


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("command=['serve', SECRET]", "`command` holds a secret"),
        ("entrypoints=['sh', '-c', pulumi.Output.concat('run ', SECRET)]", "`entrypoints` holds a secret"),
        ("healthcheck=docker.ContainerHealthcheckArgs(tests=['CMD', SECRET])", "`healthcheck.tests` holds a secret"),
        ("labels=[docker.ContainerLabelArgs(label='note', value=SECRET)]", "`labels` hold a secret"),
    ],
)
def test_a_secret_that_docker_inspect_shows_is_refused_even_as_a_pulumi_secret(
    project: Project, change: str, place: str
) -> None:
    ran = project.preview(f"container('bad-0', {change})")
    assert ran.code != 0
    assert place in ran.output
    assert VALUE not in ran.output


def test_an_unknown_value_does_not_hide_a_fault_beside_it(project: Project) -> None:
    ran = project.preview("""
        from pulumi_docker import Network, NetworkLabelArgs

        net = Network("net", internal=True, labels=[
            NetworkLabelArgs(label=f"ai-platform.{key}", value="app" if key == "role" else "shop")
            for key in ("stack", "system", "service", "role")
        ])
        container("bad-0", user="0", network_mode="bridge",
                  networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=net.id)],
                  hostname=net.id)
    """)
    assert ran.code != 0
    assert "container bad-0: runs as root" in ran.output
    assert "can't run policy" not in ran.output


def test_a_service_with_too_few_replicas_is_refused(project: Project) -> None:
    body = "container('api-0', 'app', 'api')"
    refused = project.preview(body)
    assert refused.code != 0
    assert "service shop/api: has 1 replica and needs 2" in refused.output
    allowed = project.preview(body, {"minReplicas": 1})
    assert allowed.code == 0, allowed.output


def test_the_inner_loop_gets_by_with_one_replica(project: Project) -> None:
    ran = project.preview("container('api-0', labels=labels('app', 'api', profile='inner-loop'))")
    assert ran.code == 0, ran.output


def test_the_stack_file_lowers_a_rule_to_a_warning(project: Project) -> None:
    body = "container('bad-0', memory=None, memory_swap=None)"
    ran = project.preview(body, {"levels": {MEMORY: "advisory"}})
    assert ran.code == 0, ran.output
    assert f"[advisory] [severity: high]  {MEMORY}" in ran.output
    silent = project.preview(body, {"levels": {MEMORY: "disabled"}})
    assert silent.code == 0, silent.output
    assert MEMORY not in silent.output


def test_an_exemption_lets_a_resource_through_and_is_seen(project: Project) -> None:
    body = "container('bad-0', memory=None, memory_swap=None)"
    ran = project.preview(body, exempt(MEMORY))
    assert ran.code == 0, ran.output
    assert f"{MEMORY} is exempted until {FAR} because load test 7 (team-a): container bad-0" in ran.output


def test_an_expired_exemption_counts_no_more_and_says_so(project: Project) -> None:
    ran = project.preview("container('bad-0', memory=None, memory_swap=None)", exempt(MEMORY, expires=PAST))
    assert ran.code != 0
    assert f"(the exemption of team-a expired on {PAST})" in ran.output


def test_a_date_without_quotes_is_understood(project: Project) -> None:
    project.write("container('bad-0', memory=None, memory_swap=None)", exempt(MEMORY))
    file = project.folder / "Pulumi.dev.yaml"
    quoted = file.read_text(encoding="utf-8")
    assert f"'{FAR}'" in quoted
    file.write_text(quoted.replace(f"'{FAR}'", FAR), encoding="utf-8")
    ran = project.pulumi("preview", "--policy-pack", "policies")
    assert ran.code == 0, ran.output
    assert f"exempted until {FAR}" in ran.output


def test_nothing_gets_past_a_locked_rule(project: Project) -> None:
    levels = project.folder / "levels.json"
    levels.write_text(f'{{"all": "disabled", "{ENVIRONMENT}": "disabled"}}', encoding="utf-8")
    policies = exempt(ENVIRONMENT) | {"levels": {ENVIRONMENT: "disabled"}}
    body = f"container('bad-0', envs=['DB_PASSWORD={VALUE}'])"
    ran = project.preview(body, policies, "--policy-pack-config", str(levels))
    assert ran.code != 0
    assert f"[mandatory] [severity: critical]  {ENVIRONMENT}" in ran.output
    assert "this rule cannot be bypassed" in ran.output


def test_settings_that_are_not_understood_end_the_command(project: Project, api: Api) -> None:
    project.write("container('bad-0')", {"levels": {MEMORY: "off"}})
    ran = project.pulumi("up", "--yes", "--policy-pack", "policies")
    assert ran.code != 0
    assert f"ai-platform:policies.levels.{MEMORY} must be one of mandatory, advisory, disabled" in ran.output
    assert api.touched == []
