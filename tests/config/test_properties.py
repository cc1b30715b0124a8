"""What holds for every stack file: junk is refused by a report and nothing else, no secret shows, good values stay."""

from __future__ import annotations

import copy
import json
import tempfile
import traceback
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from config import ConfigError, Given, parse
from config.schema import stack_schema
from tests.config.stack_files import CATALOGUE, SERVICES, read, surroundings

PLANTED = "hunter2-Zq9-planted"
SETTINGS = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCHEMA = Draft202012Validator(stack_schema(CATALOGUE))
FULL: dict[str, Any] = {
    "ai-platform:environment": "development",
    "ai-platform:platform": {"kind": "docker", "host": "unix:///run/docker.sock", "networkPool": "10.0.0.0/16",
                             "bindAddress": "127.0.0.1", "httpPort": 8080, "httpsPort": 8443},
    "ai-platform:domain": "localhost",
    "ai-platform:tls": {"mode": "local-ca", "rotation": 2},
    "ai-platform:systems": [
        {"name": "ai-review-engine", "profile": "standard", "host": "a.localhost",
         "services": {"api": {"image": "ghcr.io/acme/api:1", "replicas": 3, "cpu": 0.5, "memory": "1Gi",
                              "env": {"A": "b"}}}},
        {"name": "pliers"},
    ],
    "ai-platform:images": {"inventory": "images.json", "engines": {"redis": "redis:7"}},
    "ai-platform:registries": [{"address": "ghcr.io", "username": "deploy"}],
    "ai-platform:observability": {"enabled": True, "scrapeInterval": "15s", "retention": "15d", "grafana": "off",
                                  "logs": {"maxSize": "10m", "maxFiles": 3}},
    "ai-platform:data": {"retainOnDestroy": False, "postgres": {"memory": "1Gi", "storage": "2Gi"},
                         "redis": {"memory": "1Gi", "storage": "2Gi"}},
    "ai-platform:backups": {"volume": True, "schedule": "0 2 * * *", "keepDays": 14},
    "ai-platform:policies": {
        "minReplicas": 2,
        "levels": {"replicas-app-require-minimum": "advisory"},
        "exemptions": [{"policy": "images-reference-forbid-latest", "resource": "a*", "container": "b",
                        "reason": "a good reason", "owner": "me", "expires": "2027-01-01"}],
    },
    "ai-platform:secrets": {"registries": {"ghcr.io": {"secure": PLANTED}},
                            "systems": {"ai-review-engine": {"KEY": {"secure": PLANTED}}}},
}  # fmt: skip

leaves = st.one_of(
    st.just(PLANTED),
    st.builds(lambda: {"secure": PLANTED}),
    st.sampled_from([f"https://me:{PLANTED}@host/", f"registry/{PLANTED}:latest", f"{PLANTED}:", f"/{PLANTED}"]),
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20),
    st.dates(),
)
names = st.sampled_from(
    ["kind", "mode", "name", "host", "min", "[key]", "<<", "secure", "a.b", 'q"', "", "docker", "api"]
)
junk = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a tree but its root."""
    below: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        below = list(value.items())
    if isinstance(value, list):
        below = list(enumerate(value))
    return [one for key, child in below for one in ((*path, key), *places(child, (*path, key)))]


def put(tree: Any, path: tuple[Any, ...], value: Any) -> None:
    """Replace what stands at a path by a copy: a later change must not reach into another place."""
    for step in path[:-1]:
        tree = tree[step]
    tree[path[-1]] = copy.deepcopy(value)


def attempt(config: dict[str, Any]) -> str | None:
    """Load it as a stack file; the whole report with its traceback, or None when it is good."""
    text = yaml.safe_dump({"config": config}, allow_unicode=True, sort_keys=False)
    with tempfile.TemporaryDirectory() as folder:
        try:
            read(Path(folder), text)
        except ConfigError as refusal:
            assert refusal.problems
            return "".join(traceback.format_exception(refusal))
    return None


def test_the_full_example_is_good() -> None:
    assert attempt(FULL) is None


@SETTINGS
@given(data=st.data())
def test_any_key_with_any_value_is_taken_or_refused_without_showing_a_secret(data: st.DataObject) -> None:
    config = copy.deepcopy(FULL)
    for path in data.draw(st.lists(st.sampled_from(places(FULL)), min_size=1, max_size=3)):
        try:
            put(config, path, data.draw(junk))
        except (LookupError, TypeError):
            continue  # An earlier change took the place away.
    report = attempt(config)
    assert report is None or PLANTED not in report
    if report is None:  # An editor must not mark what the program takes.
        assert list(SCHEMA.iter_errors(json.loads(json.dumps({"config": config}, default=str)))) == []


@SETTINGS
@given(
    config=st.dictionaries(
        st.sampled_from([*FULL, "ai-platform:unknown", "ai-platfrom:tls", "other:key"]), junk, max_size=6
    )
)
def test_a_stack_file_of_junk_is_refused_by_a_report_and_nothing_else(config: dict[str, Any]) -> None:
    report = attempt(config)
    assert report is not None and PLANTED not in report


@SETTINGS
@given(text=st.dictionaries(st.sampled_from([*FULL]), st.text(max_size=30) | st.just("[" * 500), max_size=4))
def test_any_text_from_the_engine_is_refused_by_a_report_and_nothing_else(text: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            parse(Given(values=text), surroundings(Path(folder)))
        except ConfigError as refusal:
            assert refusal.problems
        else:
            raise AssertionError("a required key is missing, or is junk")


@st.composite
def services(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """Good changes to some services."""
    chosen = draw(st.sets(st.sampled_from(sorted(SERVICES))))
    return {
        name: draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "replicas": st.integers(SERVICES[name].min_replicas, SERVICES[name].max_replicas),
                    "cpu": st.floats(0.01, 64).map(lambda cores: round(cores, 2)),
                    "memory": st.integers(16, 4096).map(lambda mib: f"{mib}Mi"),
                    "env": st.dictionaries(
                        st.sampled_from(["LEVEL", "REGION", "LANG"]), st.text("abc äö:#{[%&*", max_size=9)
                    ),
                },
            )
        )
        for name in chosen
    }


@SETTINGS
@given(
    changes=services(),
    ports=st.lists(st.integers(1, 65535), min_size=2, max_size=2, unique=True),
    pool=st.integers(8, 20),
    seconds=st.integers(1, 300),
    retain=st.booleans(),
)
def test_good_values_arrive_as_they_were_written(
    changes: dict[str, dict[str, Any]], ports: list[int], pool: int, seconds: int, retain: bool
) -> None:
    config = {
        "ai-platform:environment": "staging",
        "ai-platform:platform": {
            "kind": "docker", "httpPort": ports[0], "httpsPort": ports[1], "networkPool": f"10.0.0.0/{pool}",
        },
        "ai-platform:systems": [{"name": "ai-review-engine", "services": changes}],
        "ai-platform:observability": {"scrapeInterval": f"{seconds}s"},
        "ai-platform:data": {"retainOnDestroy": retain},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        stack = read(Path(folder), yaml.safe_dump({"config": config}, allow_unicode=True))
    assert (
        stack.platform.model_dump(by_alias=True, mode="json", exclude={"host", "bind_address"})
        == config["ai-platform:platform"]
    )
    assert (stack.observability.scrape_interval, stack.data.retain_on_destroy) == (seconds, retain)
    for name, service in stack.systems[0].services.items():
        change, facts = changes.get(name, {}), SERVICES[name]
        memory = int(change["memory"].removesuffix("Mi")) * 1024**2 if "memory" in change else facts.memory
        assert (service.replicas, service.cpu, service.memory, service.env) == (
            change.get("replicas", facts.default_replicas),
            change.get("cpu", facts.cpu),
            memory,
            change.get("env", {}),
        )
