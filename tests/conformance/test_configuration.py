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


def staged(root: Path, **services: Any) -> StackConfig:
    """The tracked staging stack with these services."""
    keys = {key: value for key, value in programs.tracked("staging").items() if key != "systems"}
    return parsed(root, services=services, **keys)


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


@pytest.mark.fact("ARE-012", "ARE-103", stack="S")
@pytest.mark.parametrize("bounds", [(2, 10), (3, 3)])
def test_the_api_may_scale_by_load_between_2_and_10(tmp_path: Path, bounds: tuple[int, int]) -> None:
    scale = staged(tmp_path, api={"scale": {"min": bounds[0], "max": bounds[1]}}).systems[0].services["api"].scale
    assert scale is not None
    assert (scale.min, scale.max) == bounds


@pytest.mark.fact("ARE-032", "ARE-103", stack="S")
@pytest.mark.parametrize("bounds", [(3, 15), (4, 6)])
def test_the_workers_may_scale_by_load_between_3_and_15(tmp_path: Path, bounds: tuple[int, int]) -> None:
    scale = staged(tmp_path, worker={"scale": {"min": bounds[0], "max": bounds[1]}}).systems[0].services["worker"].scale
    assert scale is not None
    assert (scale.min, scale.max) == bounds


@pytest.mark.fact("ARE-012", "ARE-014", stack="S")
@pytest.mark.parametrize("bounds", [(1, 10), (2, 11), (5, 4)])
def test_the_api_scales_by_load_in_no_other_range(tmp_path: Path, bounds: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"systems\[0\]\.services\.api\.scale"):
        staged(tmp_path, api={"scale": {"min": bounds[0], "max": bounds[1]}})


@pytest.mark.fact("ARE-014", "ARE-032", stack="S")
@pytest.mark.parametrize("bounds", [(2, 15), (3, 16), (7, 6)])
def test_the_workers_scale_by_load_in_no_other_range(tmp_path: Path, bounds: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"systems\[0\]\.services\.worker\.scale"):
        staged(tmp_path, worker={"scale": {"min": bounds[0], "max": bounds[1]}})


@pytest.mark.fact("ARE-103", stack="S")
def test_a_fixed_number_takes_the_autoscaler_away(tmp_path: Path) -> None:
    systems = [{"name": SYSTEM, "services": {"api": {"replicas": 5}, "worker": {"scale": {"min": 4, "max": 6}}}}]
    graph = programs.run(programs.tracked("staging") | {"systems": systems}, tmp_path, stack="staging")
    assert graph.of_type(":HorizontalPodAutoscaler") == []
    scaled = {one.name: one.inputs["spec"] for one in graph.of_type(":ScaledObject")}
    assert set(scaled) == {f"{SYSTEM}-jobs-worker-scale"}
    workers = scaled[f"{SYSTEM}-jobs-worker-scale"]
    assert (workers["minReplicaCount"], workers["maxReplicaCount"]) == (4, 6)
    (api,) = [one for one in graph.of_type(":Deployment") if one.name == f"{SYSTEM}-api"]
    assert api.inputs["spec"]["replicas"] == 5
    (worker,) = [one for one in graph.of_type(":Deployment") if one.name == f"{SYSTEM}-jobs-worker"]
    assert "replicas" not in worker.inputs["spec"], "two would fight over the number"


@pytest.mark.fact("ARE-034", stack="D S")
@pytest.mark.parametrize("keys", [{}, programs.tracked("staging")], ids=["dev", "staging"])
def test_a_second_beat_is_refused(tmp_path: Path, keys: Mapping[str, Any]) -> None:
    rest = {key: value for key, value in keys.items() if key != "systems"}
    assert "systems[0].services.beat.replicas" in refusal(tmp_path, services={"beat": {"replicas": 2}}, **rest)


@pytest.mark.fact("ARE-034", stack="S")
def test_beat_does_not_scale_by_load(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"systems\[0\]\.services\.beat\.scale"):
        staged(tmp_path, beat={"scale": {"min": 1, "max": 2}})


@pytest.mark.fact("ARE-103", stack="D")
def test_a_scale_request_changes_the_number_of_containers(tmp_path: Path) -> None:
    systems = [{"name": SYSTEM, "services": {"api": {"replicas": 5}, "worker": {"replicas": 4}}}]
    graph = programs.run({**programs.dev_config(), "systems": systems}, tmp_path)
    names = [one.name for one in graph.of_type(":Container")]
    assert sum(name.startswith(f"{SYSTEM}-api-") for name in names) == 5 + 1  # and its trial
    assert sum(name.startswith(f"{SYSTEM}-jobs-worker-") for name in names) == 4


@pytest.mark.fact("ARE-104", stack="D S")
@pytest.mark.parametrize("environment", ["development", "staging"])
def test_the_environment_is_taken_as_it_stands(tmp_path: Path, environment: str) -> None:
    assert parsed(tmp_path, environment=environment).environment == environment


@pytest.mark.fact("ARE-104", stack="D S")
def test_production_is_known_and_asks_for_more(tmp_path: Path) -> None:
    text = refusal(tmp_path, environment="production")
    assert "environment: is not" not in text
    assert "systems[0].services.api.image" in text


@pytest.mark.fact("ARE-104", stack="D S")
@pytest.mark.parametrize("environment", ["test", "Development", None])
def test_another_environment_is_refused_and_so_is_none(tmp_path: Path, environment: str | None) -> None:
    assert "environment" in refusal(tmp_path, environment=environment)


@pytest.mark.fact("ARE-106", stack="D S")
def test_everything_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    text = refusal(tmp_path, services={"api": {"replcias": 2, "memory": 512}}, databse={})
    for key in ("systems[0].services.api.replcias", "systems[0].services.api.memory", "databse"):
        assert key in text
    assert "3 problems" in text
