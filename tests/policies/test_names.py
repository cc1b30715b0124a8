"""What others import from the pack."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import policies
from policies.names import LOCKED_POLICIES, POLICY_NAMES
from policies.rules import RULES

FAMILIES = ("resources", "replicas", "secrets", "lifecycle", "images", "network", "security", "labels")


def test_names_follow_the_scheme_family_resource_verb() -> None:
    for name in POLICY_NAMES:
        assert re.fullmatch(rf"({'|'.join(FAMILIES)})-[a-z]+-[a-z]+(-[a-z]+)?", name)


def test_names_are_unique_and_locked_ones_are_among_them() -> None:
    assert len(set(POLICY_NAMES)) == len(POLICY_NAMES)
    assert set(POLICY_NAMES) > LOCKED_POLICIES


def test_a_rule_checks_either_a_resource_or_a_container_or_a_stack() -> None:
    for rule in RULES:
        assert sum(check is not None for check in (rule.check, rule.check_container, rule.check_stack)) == 1
        assert rule.description.endswith(".")


def test_importing_the_names_imports_no_library_and_starts_nothing() -> None:
    heavy = ("pulumi", "pulumi_policy", "grpc", "pydantic")
    code = f"import sys, policies.names; print([m for m in sys.modules if m.split('.')[0] in {heavy}])"
    root = Path(policies.__file__).parents[1]
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "[]"
