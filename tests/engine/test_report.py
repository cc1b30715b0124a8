"""The report and the picture from the real CLI, plugins and policy pack, over this project's own stacks.

The checkout is a copy with placeholders for the images, so that neither the machine's images nor its state matter.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from config.model import Engine
from report import __main__ as command
from report import diagram
from report.composition import Key, Link

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ("components", "config", "platforms", "policies", "systems", "toolchain")
SYSTEM = "ai-review-engine"
VALUE = "a-greeting-that-nobody-reads-in-a-comment"


@dataclass
class Checkout:
    """A copy of the program, and the environment to preview it in."""

    root: Path
    env: Mapping[str, str]

    def change(self, **keys: Any) -> None:
        """Set keys of the development stack's file, as it is in the repository otherwise."""
        for stack, changes in {"dev": keys, "staging": {}}.items():
            content = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
            inventory = {"ai-platform:images": {"inventory": str(self.root / "images.json")}}
            content["config"] |= inventory | {f"ai-platform:{key}": value for key, value in changes.items()}
            content.pop("encryptionsalt", None)
            (self.root / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    def report(self, *arguments: str) -> tuple[int, str]:
        """Exit status and text of `python -m report`."""
        output = self.root / "pr-report.md"
        status = command.main(["--output", str(output), *arguments], root=self.root, env=self.env)
        return status, output.read_text(encoding="utf-8")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    env = {"PULUMI_HOME": str(ROOT / ".toolchain" / "pulumi-home"), **os.environ}
    env["PATH"] = os.pathsep.join([str(ROOT / ".toolchain" / "bin"), env.get("PATH", "")])
    env |= {"PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}", "PULUMI_SKIP_UPDATE_CHECK": "true"}
    (tmp_path / "state").mkdir()
    if shutil.which("pulumi", path=env["PATH"]) is None:
        reason = "no Pulumi CLI; run `make env`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    root = tmp_path / "checkout"
    root.mkdir()
    for name in PROGRAM:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("__main__.py", "Pulumi.yaml", "Pulumi.staging.yaml", "Pulumi.prod.yaml"):
        shutil.copy(ROOT / file, root)
    # The program and the pack name their interpreter relative to themselves.
    (root / ".venv").symlink_to(sys.prefix)
    placeholder = {"image": f"sha256:{'0' * 64}", "reference": "placeholder:1", "source": "built"}
    (root / "images.json").write_text(json.dumps(dict.fromkeys(get_args(Engine), placeholder)), encoding="utf-8")
    made = Checkout(root, env)
    made.change()
    return made


def stack_files(root: Path) -> dict[str, str]:
    return {file.name: file.read_text(encoding="utf-8") for file in root.glob("Pulumi*.yaml")}


def test_every_stack_is_reported_and_what_cannot_be_deployed_yet_is_said(checkout: Checkout) -> None:
    before = stack_files(checkout.root)
    status, text = checkout.report()
    assert status == 0, text
    assert "| **dev** | docker |" in text
    assert "to create | ✅ passed |" in text
    assert re.search(r"\| \*\*staging\*\* \| kubernetes \| 1\d\d to create \| ⚠️ passed with advice \|", text), text
    assert "| **prod** | aws | ⛔ cannot be deployed by this version | not judged |" in text
    assert "n_ai_review_engine_api --> n_ai_review_engine_postgres" in text
    assert stack_files(checkout.root) == before


def test_a_violation_fails_the_report_and_an_exemption_is_shown(checkout: Checkout) -> None:
    exemption = {
        "policy": "replicas-app-require",
        "resource": f"{SYSTEM}-web-*",
        "reason": "quiet season",
        "owner": "team-web",
        "expires": "2999-12-31",
    }
    checkout.change(policies={"minReplicas": 3, "exemptions": [exemption]})
    status, text = checkout.report("--stack", "dev")
    assert status == 1
    assert "| ❌ mandatory | `replicas-app-require` | service ai-review-engine/api: has 2 replicas and needs 3" in text
    assert "service ai-review-engine/web: has 2 replicas" in text.split("Exempted, with the reason")[1]
    assert "because quiet season (team-web)" in text


def test_a_mistake_in_a_stack_file_fails_the_report_without_a_stack_trace(checkout: Checkout) -> None:
    checkout.change(domian=VALUE)
    status, text = checkout.report("--stack", "dev")
    assert status == 1
    assert "| **dev** | docker | ❌ the preview failed | not judged |" in text
    assert "domian" in text
    assert "Traceback" not in text
    assert VALUE not in text


def test_values_of_the_stack_file_stay_out_of_the_report(checkout: Checkout) -> None:
    checkout.change(systems=[{"name": SYSTEM, "services": {"api": {"env": {"GREETING": VALUE}}}}])
    status, text = checkout.report("--stack", "dev")
    assert status == 0, text
    assert VALUE not in text
    assert "GREETING" not in text


def test_the_picture_in_the_documentation_is_up_to_date(checkout: Checkout) -> None:
    target = checkout.root / diagram.TARGET
    target.parent.mkdir()
    shutil.copy(ROOT / diagram.TARGET, target)
    assert diagram.main(["--check"], root=checkout.root, env=checkout.env) == 0


def test_the_picture_knows_who_reaches_the_data(checkout: Checkout) -> None:
    composition = diagram.composition(checkout.root, checkout.env)
    assert composition.complete
    reaching = {link.source.service for link in composition.links if link.target == Key(SYSTEM, "postgres")}
    clients = {"api", "api-trial", "worker", "beat", "schema"}
    assert reaching == clients | {"postgres-exporter", "postgres-backup"}
    assert Link(Key("foundation", "edge"), Key(SYSTEM, "redis")) not in composition.links
