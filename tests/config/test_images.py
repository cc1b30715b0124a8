"""Images of supporting engines: the stack file first, then the machine's inventory; what cannot be had says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config import ConfigError, EngineImages, ImageInventory, StackConfig
from config.images import OPTIONAL, UPSTREAM
from tests.config.stack_files import read, with_base

ID = "sha256:" + "1" * 64
REASON = "no image registry answers"
ENTRIES = {
    "redis": {"image": ID, "reference": "redis:7", "source": "built", "version": "7.0.15", "built": "a later field"},
    "grafana": {"image": None, "reference": "grafana/grafana:11.6.0", "source": "missing", "reason": REASON},
}


LOCAL, ELSEWHERE = "ai-platform-local", "staging"
CLUSTER = """
ai-platform:environment: staging
ai-platform:platform: {kind: kubernetes, context: %s, addons: existing}
ai-platform:domain: staging.localhost
ai-platform:tls: {mode: local-ca}
"""
"""A stack on the cluster of a context."""


def images(folder: Path, text: str = "", entries: object = ENTRIES) -> EngineImages:
    """Images of a stack whose machine has these."""
    if entries is not None:
        (folder / ".toolchain").mkdir()
        (folder / ".toolchain" / "images.json").write_text(json.dumps(entries), encoding="utf-8")
    stack: StackConfig = read(folder, with_base(text))
    return EngineImages(stack)


def test_an_image_of_the_inventory_is_named_by_its_id(tmp_path: Path) -> None:
    assert images(tmp_path).resolve("redis") == ID


def test_the_stack_file_overrides_the_inventory_which_is_not_read_then(tmp_path: Path) -> None:
    chosen = images(tmp_path, "ai-platform:images: {engines: {redis: 'redis:7.2.4'}}", entries=None)
    assert chosen.resolve("redis") == "redis:7.2.4"
    assert chosen.available("redis")


def test_a_missing_inventory_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.toolchain/images\.json .*\n.*is missing. Run `make images`\."):
        images(tmp_path, entries=None).resolve("redis")


def test_a_damaged_inventory_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is damaged. Run `make images`"):
        images(tmp_path, entries={"redis": 3}).resolve("redis")


def test_an_image_that_cannot_be_had_says_why_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"grafana/grafana:11.6.0 cannot be had .*{REASON}.*images.engines.grafana"):
        images(tmp_path).resolve("grafana")


def test_an_image_that_the_inventory_does_not_know_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="postgres: is not in the inventory"):
        images(tmp_path).resolve("postgres")


def test_another_inventory_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(ENTRIES), encoding="utf-8")
    chosen = images(tmp_path, "ai-platform:images: {inventory: mine.json}", entries=None)
    assert chosen.resolve("redis") == ID
    assert isinstance(chosen.inventory, ImageInventory)


@pytest.mark.parametrize(
    ("observability", "runs"),
    [("{}", False), ("{grafana: 'off'}", False), ("{enabled: false, grafana: required}", False)],
)
def test_grafana_is_left_out_where_it_may_be(observability: str, runs: bool, tmp_path: Path) -> None:
    assert images(tmp_path, f"ai-platform:observability: {observability}").with_grafana is runs


def test_grafana_runs_where_its_image_can_be_had(tmp_path: Path) -> None:
    found = {**ENTRIES, "grafana": {"image": ID, "reference": "grafana/grafana:11.6.0", "source": "pulled"}}
    assert images(tmp_path, entries=found).with_grafana


def test_grafana_that_is_required_and_cannot_be_had_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=REASON):
        _ = images(tmp_path, "ai-platform:observability: {grafana: required}").with_grafana


def test_the_local_cluster_runs_this_machine_s_images_by_their_names(tmp_path: Path) -> None:
    assert images(tmp_path, CLUSTER % LOCAL).resolve("redis") == "redis:7"


def test_what_this_machine_lacks_is_missing_on_its_cluster_too(tmp_path: Path) -> None:
    chosen = images(tmp_path, CLUSTER % LOCAL)
    assert not chosen.available("grafana")
    with pytest.raises(ConfigError, match=rf"grafana/grafana:11.6.0 cannot be had .*{REASON}"):
        chosen.resolve("grafana")


def test_another_cluster_pulls_the_public_images_and_needs_no_inventory(tmp_path: Path) -> None:
    chosen = images(tmp_path, CLUSTER % ELSEWHERE, entries=None)
    assert chosen.resolve("redis") == UPSTREAM["redis"]
    assert chosen.resolve("postgres-cnpg") == UPSTREAM["postgres-cnpg"]
    assert chosen.available("grafana")
    assert chosen.with_grafana


@pytest.mark.parametrize("context", [LOCAL, ELSEWHERE])
def test_the_stack_file_s_reference_wins_on_every_cluster(context: str, tmp_path: Path) -> None:
    text = CLUSTER % context + "ai-platform:images: {engines: {redis: 'registry.example/redis:7.4.1'}}"
    assert images(tmp_path, text, entries=None).resolve("redis") == "registry.example/redis:7.4.1"


@pytest.mark.parametrize("name", ["app", "backup"])
def test_what_only_this_project_builds_must_be_named_for_another_cluster(name: str, tmp_path: Path) -> None:
    chosen = images(tmp_path, CLUSTER % ELSEWHERE)
    assert not chosen.available(name)
    with pytest.raises(
        ConfigError, match=rf"images\.engines\.{name}.*has no public image.*Push the image to a registry"
    ):
        chosen.resolve(name)


def test_every_public_image_has_a_version_and_none_is_the_newest() -> None:
    references = [reference for reference in UPSTREAM.values() if reference is not None]
    assert len(references) >= 9
    assert all(":" in reference and not reference.endswith(":latest") for reference in references)


@pytest.mark.parametrize("context", [LOCAL, ELSEWHERE])
def test_an_operator_brings_its_own_image_unless_the_stack_file_names_one(context: str, tmp_path: Path) -> None:
    assert images(tmp_path, CLUSTER % context).named("prometheus") == {}


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("prom/prometheus:v2.53.5", "v2.53.5"),
        ("registry.example:5000/prometheus:2.53.5-debian", "2.53.5"),
        ("prom/prometheus:v2.53.5@sha256:" + "0" * 64, "v2.53.5"),
    ],
)
def test_the_operator_is_told_the_version_that_the_tag_tells(reference: str, version: str, tmp_path: Path) -> None:
    chosen = images(tmp_path, CLUSTER % ELSEWHERE + f"ai-platform:images: {{engines: {{prometheus: '{reference}'}}}}")
    assert chosen.named("prometheus") == {"image": reference, "version": version}


def test_a_tag_that_tells_no_version_is_refused(tmp_path: Path) -> None:
    text = CLUSTER % ELSEWHERE + "ai-platform:images: {engines: {prometheus: 'prom/prometheus:stable'}}"
    with pytest.raises(ConfigError, match=r"images\.engines\.prometheus.*does not tell the version.*name:v2\.53\.5"):
        images(tmp_path, text).named("prometheus")


def test_what_is_optional_is_not_looked_for_among_this_machine_s_images(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"images\.engines\.pgbouncer.*is not among the images of this machine"):
        images(tmp_path, CLUSTER % LOCAL).resolve("pgbouncer")
    text = CLUSTER % ELSEWHERE
    (tmp_path / "there").mkdir()
    assert images(tmp_path / "there", text).resolve("pgbouncer") == OPTIONAL["pgbouncer"]
