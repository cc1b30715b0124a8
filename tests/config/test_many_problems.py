"""A stack file with hundreds of services: all of it is judged, and its refusal stays readable."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import ConfigError, ServiceFacts, Surroundings, SystemFacts, parse
from config.report import MOST_LINES
from tests.config.stack_files import GIB, given, read, with_base

MANY = 300
NAMES = [f"service-{number:03}" for number in range(MANY)]


def services(line: str) -> str:
    """A system with hundreds of services, each with the same line."""
    head = "ai-platform:systems:\n  - name: {name}\n    services:\n"
    return head + "".join(f"      {name}: {line}\n" for name in NAMES)


def test_hundreds_of_problems_are_counted_and_the_first_are_told(tmp_path: Path) -> None:
    text = with_base(services("{replicas: 3}").replace("{name}", "ai-review-engine"))
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    said = str(caught.value).splitlines()
    assert len(caught.value.problems) == MANY
    assert said[0] == "Pulumi.dev.yaml has 300 problems:"
    assert said[1] == (
        "  line 7   systems[0].services.service-000: is not a service of this system. Use one of: api, worker, beat."
    )
    assert said[-1] == "  … and 270 more: the next run names them once these are mended."
    assert len(said) == MOST_LINES + 2


def test_thirty_problems_are_all_told(tmp_path: Path) -> None:
    text = with_base(services("{replicas: 3}").replace("{name}", "ai-review-engine"))
    text = "\n".join(line for line in text.splitlines() if not any(name in line for name in NAMES[MOST_LINES:])) + "\n"
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert len(str(caught.value).splitlines()) == MOST_LINES + 1
    assert "more" not in str(caught.value)


def test_a_system_with_hundreds_of_services_is_good_and_complete(tmp_path: Path) -> None:
    facts = ServiceFacts(min_replicas=1, max_replicas=9, default_replicas=2, cpu=0.5, memory=GIB)
    catalogue = {"synthetic": SystemFacts(services=dict.fromkeys(NAMES, facts))}
    text = with_base(services("{replicas: 3, memory: 512Mi, env: {LOG_LEVEL: info}}").replace("{name}", "synthetic"))
    (tmp_path / "Pulumi.dev.yaml").write_text(text, encoding="utf-8")
    stack = parse(given(text), Surroundings(stack="dev", root=tmp_path, catalogue=catalogue))
    assert {name: one.replicas for name, one in stack.systems[0].services.items()} == dict.fromkeys(NAMES, 3)


def test_hundreds_of_systems_that_nobody_knows_are_refused_the_same_way(tmp_path: Path) -> None:
    entries = "".join(f"  - name: system-{number}\n" for number in range(MANY))
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, with_base(f"ai-platform:systems:\n{entries}"))
    assert {problem.problem for problem in caught.value.problems} == {"is not a known system"}
    assert len(str(caught.value).splitlines()) == MOST_LINES + 2
