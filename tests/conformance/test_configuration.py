"""Facts about what a stack file may ask for, checked with the real catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from config import ConfigError, Given, StackConfig, Surroundings, parse
from systems import CATALOGUE
from tests.support import programs

SYSTEM = "ai-review-engine"


def parsed(root: Path, *, services: Mapping[str, Any] | None = None, **keys: Any) -> StackConfig:
    """A dev stack with these services and top-level keys; None leaves a key out."""
    values = {
        "environment": "development",
        "platform": {"kind": "docker"},
        "systems": [{"name": SYSTEM, "services": dict(services or {})}],
        **keys,
    }
    texts = {
        f"ai-platform:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
        if value is not None
    }
    return parse(Given(values=texts), Surroundings(stack="dev", root=root, catalogue=CATALOGUE))


def refusal(root: Path, **keys: Any) -> str:
    """The text of the refusal."""
    with pytest.raises(ConfigError) as refused:
        parsed(root, **keys)
    return str(refused.value)


@pytest.mark.fact("ARE-012", stack="D")
@pytest.mark.parametrize("replicas", [2, 10])
def test_the_api_scales_from_2_to_10(tmp_path: Path, replicas: int) -> None:
    config = parsed(tmp_path, services={"api": {"replicas": replicas}})
    assert config.systems[0].services["api"].replicas == replicas


@pytest.mark.fact("ARE-012", "ARE-014", stack="D")
@pytest.mark.parametrize("replicas", [1, 11])
def test_an_api_outside_of_2_to_10_is_refused(tmp_path: Path, replicas: int) -> None:
    text = refusal(tmp_path, services={"api": {"replicas": replicas}})
    assert "systems[0].services.api.replicas" in text
    assert "2" in text
    assert "10" in text


@pytest.mark.fact("ARE-032", stack="D")
@pytest.mark.parametrize("replicas", [3, 15])
def test_the_workers_scale_from_3_to_15(tmp_path: Path, replicas: int) -> None:
    config = parsed(tmp_path, services={"worker": {"replicas": replicas}})
    assert config.systems[0].services["worker"].replicas == replicas


@pytest.mark.fact("ARE-014", "ARE-032", stack="D")
@pytest.mark.parametrize("replicas", [2, 16])
def test_workers_outside_of_3_to_15_are_refused(tmp_path: Path, replicas: int) -> None:
    text = refusal(tmp_path, services={"worker": {"replicas": replicas}})
    assert "systems[0].services.worker.replicas" in text
    assert "3" in text
    assert "15" in text


@pytest.mark.fact("ARE-034", stack="D")
def test_a_second_beat_is_refused(tmp_path: Path) -> None:
    assert "systems[0].services.beat.replicas" in refusal(tmp_path, services={"beat": {"replicas": 2}})


@pytest.mark.fact("ARE-103", stack="D")
def test_a_scale_request_changes_the_number_of_containers(tmp_path: Path) -> None:
    systems = [{"name": SYSTEM, "services": {"api": {"replicas": 5}, "worker": {"replicas": 4}}}]
    graph = programs.run({**programs.dev_config(), "systems": systems}, tmp_path)
    names = [one.name for one in graph.of_type(":Container")]
    assert sum(name.startswith(f"{SYSTEM}-api-") for name in names) == 5 + 1  # and its trial
    assert sum(name.startswith(f"{SYSTEM}-jobs-worker-") for name in names) == 4


@pytest.mark.fact("ARE-104", stack="D")
@pytest.mark.parametrize("environment", ["development", "staging"])
def test_the_environment_is_taken_as_it_stands(tmp_path: Path, environment: str) -> None:
    assert parsed(tmp_path, environment=environment).environment == environment


@pytest.mark.fact("ARE-104", stack="D")
def test_production_is_known_and_asks_for_more(tmp_path: Path) -> None:
    text = refusal(tmp_path, environment="production")
    assert "environment: is not" not in text
    assert "systems[0].services.api.image" in text


@pytest.mark.fact("ARE-104", stack="D")
@pytest.mark.parametrize("environment", ["test", "Development", None])
def test_another_environment_is_refused_and_so_is_none(tmp_path: Path, environment: str | None) -> None:
    assert "environment" in refusal(tmp_path, environment=environment)


@pytest.mark.fact("ARE-106", stack="D")
def test_everything_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    text = refusal(tmp_path, services={"api": {"replcias": 2, "memory": 512}}, databse={})
    for key in ("systems[0].services.api.replcias", "systems[0].services.api.memory", "databse"):
        assert key in text
    assert "3 problems" in text
