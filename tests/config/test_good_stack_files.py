"""What a good stack file becomes: Python types, with everything filled in that it leaves out."""

from __future__ import annotations

import json
from datetime import date
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from pydantic import ValidationError

from config import (
    AwsPlatform,
    CertificateFiles,
    ConfigError,
    DockerPlatform,
    Given,
    KubernetesPlatform,
    LocalCa,
    Scale,
    StackConfig,
    Surroundings,
    parse,
)
from config.model import StackFile
from config.stackfile import StackText
from config.strict import Model
from systems import CATALOGUE
from tests.config.stack_files import GIB, SERVICES, given, read, surroundings, with_base

ROOT = Path(__file__).resolve().parents[2]
STACKS = ("dev", "staging", "prod")
MOST_LINES = 40


def committed(stack: str) -> StackConfig:
    """A stack file of the repository, against the real systems."""
    text = (ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
    return parse(given(text), Surroundings(stack=stack, root=ROOT, catalogue=CATALOGUE))


@pytest.mark.parametrize("stack", STACKS)
def test_the_committed_stack_files_are_good_and_short(stack: str) -> None:
    committed(stack)
    text = (ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert text.startswith("# yaml-language-server: $schema=docs/schema/stack.schema.json\n")


def test_dev_runs_on_docker_staging_on_kubernetes_and_prod_on_aws() -> None:
    dev, staging, prod = (committed(stack) for stack in STACKS)
    assert isinstance(dev.platform, DockerPlatform) and isinstance(dev.tls, LocalCa)
    assert isinstance(staging.platform, KubernetesPlatform) and isinstance(prod.platform, AwsPlatform)
    assert [stack.environment for stack in (dev, staging, prod)] == ["development", "staging", "production"]
    assert dev.domain == dev.systems[0].host == "localhost"
    assert dev.registries == () and not dev.secrets.registries and not dev.secrets.systems


def test_the_shortest_stack_file_is_complete(tmp_path: Path) -> None:
    stack = read(tmp_path, with_base(""))
    assert (stack.domain, stack.tls, stack.root) == ("localhost", LocalCa(mode="local-ca"), tmp_path)
    assert isinstance(stack.platform, DockerPlatform)
    assert stack.platform.network_pool == IPv4Network("10.213.0.0/16")
    assert (stack.platform.http_port, stack.platform.https_port) == (80, 443)
    (system,) = stack.systems
    assert (system.host, system.source, dict(system.secrets)) == ("localhost", None, {})
    assert {name: (one.replicas, one.cpu, one.memory, one.image) for name, one in system.services.items()} == {
        name: (facts.default_replicas, facts.cpu, facts.memory, None) for name, facts in SERVICES.items()
    }


def test_amounts_become_bytes_and_seconds(tmp_path: Path) -> None:
    stack = read(
        tmp_path,
        with_base("""
ai-platform:data: {postgres: {memory: 512Mi, storage: 2Ti}, redis: {memory: 1Gi}}
ai-platform:observability: {scrapeInterval: 1m, retention: 2w}
ai-platform:systems: [{name: ai-review-engine, services: {api: {memory: 2Gi, cpu: 2, replicas: 4}}}]
"""),
    )
    assert (stack.data.postgres.memory, stack.data.postgres.storage) == (GIB // 2, 2048 * GIB)
    assert (stack.data.redis.memory, stack.data.redis.storage) == (GIB, 5 * GIB)
    assert (stack.observability.scrape_interval, stack.observability.retention) == (60, 14 * 86_400)
    api = stack.systems[0].services["api"]
    assert (api.memory, api.cpu, api.replicas) == (2 * GIB, 2.0, 4)


def test_several_systems_get_a_host_name_each(tmp_path: Path) -> None:
    stack = read(
        tmp_path,
        with_base("ai-platform:domain: example.org\nai-platform:systems: [{name: ai-review-engine}, {name: pliers}]"),
    )
    assert [system.host for system in stack.systems] == ["ai-review-engine.example.org", "pliers.example.org"]


def test_the_inner_loop_runs_one_of_each_from_an_absolute_path(tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    systems = "ai-platform:systems: [{name: ai-review-engine, profile: inner-loop, source: checkout}]"
    (system,) = read(tmp_path, with_base(systems)).systems
    assert system.source == str((tmp_path / "checkout").resolve())
    assert {service.replicas for service in system.services.values()} == {1}


def test_secrets_are_handed_on_and_do_not_show(tmp_path: Path) -> None:
    stack = read(
        tmp_path,
        with_base("""
ai-platform:registries: [{address: "ghcr.io:443", username: deploy}]
ai-platform:secrets:
  registries: {"ghcr.io:443": {secure: hunter2}}
  systems: {ai-review-engine: {OPENAI_API_KEY: {secure: hunter3}}}
"""),
    )
    assert stack.secrets.registries["ghcr.io:443"].get_secret_value() == "hunter2"
    assert stack.secrets_of("ai-review-engine")["OPENAI_API_KEY"].get_secret_value() == "hunter3"
    assert stack.systems[0].secrets == stack.secrets_of("ai-review-engine")
    assert "hunter" not in repr(stack) + str(stack)


@pytest.mark.parametrize(
    "schedule", ["0 2 * * *", '"*/15 * * * *"', '"30 1,13 * * MON-FRI"', "0 2 29 2 *", "0 2 * * 7", "off", '"off"']
)
def test_schedules_of_every_form_are_taken(schedule: str, tmp_path: Path) -> None:
    stack = read(tmp_path, with_base(f"ai-platform:backups: {{schedule: {schedule}}}"))
    assert stack.backups.schedule == schedule.strip('"')


def test_backups_are_taken_daily_and_kept_for_two_weeks_unless_the_stack_file_says_otherwise(tmp_path: Path) -> None:
    backups = read(tmp_path, with_base("")).backups
    assert (backups.volume, backups.schedule, backups.keep_days) == (True, "0 2 * * *", 14)
    assert not read(tmp_path, with_base("ai-platform:backups: {volume: false, schedule: off}")).backups.volume


def test_a_day_may_stand_with_or_without_quotes(tmp_path: Path) -> None:
    entry = "policy: images-reference-forbid-latest, resource: web-*, reason: Vendor image until March, owner: team"
    text = (
        f"ai-platform:policies:\n  exemptions: [{{{entry}, expires: 2027-03-31}}, {{{entry}, expires: '2027-03-31'}}]"
    )
    days = [exemption.expires for exemption in read(tmp_path, with_base(text)).policies.exemptions]
    assert days == [date(2027, 3, 31)] * 2


def test_an_expired_exemption_is_left_to_the_policy_pack(tmp_path: Path) -> None:
    entry = "policy: images-reference-forbid-latest, resource: web-*, reason: Vendor image until March, owner: team"
    text = f"ai-platform:policies: {{exemptions: [{{{entry}, expires: 2020-01-01}}]}}"
    assert read(tmp_path, with_base(text)).policies.exemptions[0].expires == date(2020, 1, 1)


def test_certificate_files_are_looked_up_from_the_projects_folder(tmp_path: Path) -> None:
    for name in ("chain.pem", "key.pem"):
        (tmp_path / name).write_text("PEM", encoding="utf-8")
    stack = read(tmp_path, with_base("ai-platform:tls: {mode: files, certificate: chain.pem, key: key.pem}"))
    assert stack.tls == CertificateFiles(mode="files", certificate="chain.pem", key="key.pem")


@pytest.mark.parametrize(
    "image",
    [
        "postgres:15.14",
        "ghcr.io/acme/api:1.4.2",
        "localhost:5000/team/api:v1",
        "acme/api@sha256:" + "0" * 64,
        "acme/api:latest@sha256:" + "0" * 64,
        "sha256:" + "0" * 64,
        "ghcr.io/acme/bitnami-like:1.0",
    ],
)
def test_image_references_of_every_form_are_taken(image: str, tmp_path: Path) -> None:
    text = f'ai-platform:systems: [{{name: ai-review-engine, services: {{api: {{image: "{image}"}}}}}}]'
    assert read(tmp_path, with_base(text)).systems[0].services["api"].image == image


@pytest.mark.parametrize("host", ["unix:///run/docker.sock", "tcp://10.0.0.1:2376", "ssh://deploy@host:22"])
def test_docker_hosts_of_every_form_are_taken(host: str, tmp_path: Path) -> None:
    stack = read(tmp_path, with_base(f'ai-platform:platform: {{kind: docker, host: "{host}"}}'))
    assert isinstance(stack.platform, DockerPlatform) and stack.platform.host == host


@pytest.mark.parametrize(
    ("name", "value"),
    [("MAX_TOKENS", "4096"), ("DB_PASSWORD_FILE", "/run/secrets/db"), ("URL", "https://example.org/a")],
)
def test_plain_variables_that_only_look_alike_are_taken(name: str, value: str, tmp_path: Path) -> None:
    text = f'ai-platform:systems: [{{name: ai-review-engine, services: {{api: {{env: {{{name}: "{value}"}}}}}}}}]'
    assert read(tmp_path, with_base(text)).systems[0].services["api"].env == {name: value}


def test_anchors_and_merge_keys_are_followed(tmp_path: Path) -> None:
    text = """
ai-platform:systems:
  - name: ai-review-engine
    services:
      api: &usual
        memory: 2Gi
      worker:
        <<: *usual
        cpu: 2
"""
    services = read(tmp_path, with_base(text)).systems[0].services
    assert (services["worker"].memory, services["worker"].cpu) == (2 * GIB, 2.0)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, with_base(text.replace("2Gi", "2GB")))
    assert {problem.line for problem in caught.value.problems} == {8}


def test_keys_of_other_programs_are_left_alone(tmp_path: Path) -> None:
    read(tmp_path, with_base("aws:region: eu-central-1\npulumi:disable-default-providers: ['*']"))


def test_the_configuration_is_frozen(tmp_path: Path) -> None:
    stack = read(tmp_path, with_base(""))
    for part, name in ((stack, "domain"), (stack.platform, "kind"), (stack.systems[0].services["api"], "replicas")):
        with pytest.raises(ValidationError):
            setattr(part, name, "changed")


def test_every_field_is_documented_and_has_an_example() -> None:
    bare = [
        f"{model.__name__}.{name}"
        for model in models()
        for name, info in model.model_fields.items()
        if not info.description or not info.examples
    ]
    assert bare == []


def test_every_example_in_the_documentation_is_valid() -> None:
    for model in models():
        for name, info in model.model_fields.items():
            for example in info.examples or []:
                assert info.alias not in _refused(model, {info.alias: example}), f"{model.__name__}.{name}"


def models() -> list[type[Model]]:
    """Every model of the stack file."""
    found: list[type[Model]] = []
    waiting: list[type[Model]] = [Model]
    while waiting:
        below = [one for one in waiting.pop().__subclasses__() if one.__module__ == StackFile.__module__]
        found += below
        waiting += below
    return found


def _refused(model: type[Model], values: dict[str | None, object]) -> set[str | int]:
    try:
        model.model_validate_json(json.dumps(values))
    except ValidationError as failure:
        return {entry["loc"][0] for entry in failure.errors(include_input=False)}
    return set()


def test_values_that_came_from_elsewhere_get_no_line(tmp_path: Path) -> None:
    """As with `--config-file`, whose name no program is told."""
    (tmp_path / "Pulumi.dev.yaml").write_text(with_base("ai-platform:domain: other"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        parse(given(with_base("ai-platform:domain: no_host")), surroundings(tmp_path))
    assert str(caught.value).startswith("The configuration in place of Pulumi.dev.yaml has 1 problem:\n  domain: ")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"- [", b"a: [" * 2000, b"config: 3\n"])
def test_a_stack_file_that_cannot_be_read_again_only_costs_the_lines(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_bytes(content)
    assert parse(given(with_base("")), surroundings(tmp_path)).domain == "localhost"
    with pytest.raises(ConfigError) as caught:
        parse(given(with_base("ai-platform:environment: prod")), surroundings(tmp_path))
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [(None, "environment")]


def test_plain_secrets_are_found_without_the_stack_file_too(tmp_path: Path) -> None:
    text = with_base("ai-platform:secrets: {systems: {ai-review-engine: {KEY: {secure: hunter2}}}}")
    encrypted = given(text)
    assert parse(encrypted, surroundings(tmp_path)).secrets_of("ai-review-engine")
    with pytest.raises(ConfigError, match="secrets: is stored in plain text"):
        parse(Given(values=encrypted.values), surroundings(tmp_path))


def test_the_look_for_plain_secrets_follows_merge_keys_and_stops_at_loops(tmp_path: Path) -> None:
    text = with_base("""
ai-platform:registries: [{address: ghcr, username: deploy}]
ai-platform:secrets:
  registries: &same {ghcr: hunter2}
  systems: {ai-review-engine: {<<: *same}}
""")
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (7, "secrets.registries.ghcr"),
        (7, "secrets.systems.ai-review-engine.ghcr"),
    ]
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  ai-platform:secrets: &a {systems: *a}\n", encoding="utf-8")
    found = list(StackText.read(tmp_path, "dev").leaves("secrets"))
    assert found == []


def test_a_scale_starts_with_its_minimum(tmp_path: Path) -> None:
    text = """
ai-platform:platform: {kind: kubernetes, context: staging}
ai-platform:domain: staging.example.org
ai-platform:tls: {mode: issuer, clusterIssuer: letsencrypt}
ai-platform:systems: [{name: ai-review-engine, services: {api: {scale: {min: 4, max: 8}}}}]
"""
    api = read(tmp_path, with_base(text)).systems[0].services["api"]
    assert (api.replicas, api.scale) == (4, Scale(min=4, max=8))


def test_folders_of_another_host_are_not_looked_for(tmp_path: Path) -> None:
    text = """
ai-platform:platform: {kind: docker, host: "ssh://dev@host"}
ai-platform:systems: [{name: ai-review-engine, profile: inner-loop, source: /home/dev/checkout}]
"""
    assert read(tmp_path, with_base(text)).systems[0].source == "/home/dev/checkout"
