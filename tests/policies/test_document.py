"""The page about the policies says what the rules do."""

from __future__ import annotations

import json
import re

import yaml

from policies import document
from policies.rules import RULES
from policies.settings import KEY, from_config


def test_the_page_is_up_to_date() -> None:
    assert document.PAGE.read_text(encoding="utf-8") == document.render(), "run `python -m policies.document`"


def test_every_rule_has_its_row() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|", document.render(), flags=re.MULTILINE)
    assert sorted(rows) == sorted(rule.name for rule in RULES)


def test_every_mark_is_a_scanner() -> None:
    assert {mark for rule in RULES for mark in rule.scanners} <= set(document.SCANNERS)


def test_the_example_of_the_page_is_valid() -> None:
    block = document.render().split("```yaml\n")[1].split("```")[0]
    value = yaml.safe_load(block)["config"][KEY]
    settings = from_config({KEY: json.dumps(value, default=str)})
    names = {rule.name for rule in RULES if not rule.locked}
    assert set(settings.levels) <= names
    assert {exemption.policy for exemption in settings.exemptions} <= names
