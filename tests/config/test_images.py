"""Images of supporting engines: the stack file first, then the machine's inventory; what cannot be had says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config import ConfigError, EngineImages, ImageInventory, StackConfig
from tests.config.stack_files import read, with_base

ID = "sha256:" + "1" * 64
REASON = "no image registry answers"
ENTRIES = {
    "redis": {"image": ID, "reference": "redis:7", "source": "built", "version": "7.0.15", "built": "a later field"},
    "grafana": {"image": None, "reference": "grafana/grafana:11.6.0", "source": "missing", "reason": REASON},
}


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
