"""The report that reviewers read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from report import markdown
from report.events import Change, Finding, Preview
from report.preview import Result, Stack
from tests.report.plans import RECORDINGS, recorded

NAMES = ("create", "same", "change", "broken", "refused")
SHOWN = {"docker:index/container:Container", "docker:index/network:Network", "docker:index/volume:Volume"}


def result(preview: Preview, name: str = "dev", kind: str = "docker") -> Result:
    return Result(stack=Stack(name=name, kind=kind, has_secrets=False), preview=preview)


def render(*previews: Preview, revision: str | None = None) -> str:
    return markdown.render([result(preview) for preview in previews], revision=revision)


def test_the_first_line_is_the_marker_that_the_comment_is_found_by() -> None:
    assert render(recorded("create")).splitlines()[0] == "<!-- ai-platform:pr-report -->"


def test_the_overview_has_a_line_for_each_stack() -> None:
    text = markdown.render(
        [
            result(recorded("change")),
            result(recorded("refused"), "staging", "kubernetes"),
            result(recorded("same"), "prod"),
        ]
    )
    assert (
        "| **dev** | docker | 1 to create, 1 to update, 2 to replace, 1 to delete | ❌ 1 violation |\n"
        "| **staging** | kubernetes | ⛔ cannot be deployed by this version | not judged |\n"
        "| **prod** | docker | no changes | ✅ passed |"
    ) in text


def test_changes_are_listed_with_the_names_of_their_properties() -> None:
    text = render(recorded("change"))
    assert "| update | `edge-0` | `docker:Container` | `memory`, `memorySwap` |" in text
    assert "| replace | `shop-api-0` | `docker:Container` | `cpus` (forces it) |" in text
    assert "| delete | `shop-old-0` | `docker:Container` |  |" in text
    assert "Against the stack's present state; 8 resources unchanged." in text


def test_new_resources_are_folded_away() -> None:
    text = render(recorded("create"))
    assert "<details><summary>12 new resources</summary>" in text
    assert "Against an empty state." in text


def test_findings_say_their_level_and_what_to_change() -> None:
    text = render(recorded("change"))
    assert "| ❌ mandatory | `lifecycle-container-require-healthcheck` | container shop-api-2: " in text
    assert "| ⚠️ advisory | `lifecycle-container-require-restart` | container shop-api-2: " in text
    assert "`lifecycle-container-require-restart` advisory" in text


def test_exemptions_are_shown_with_their_reason() -> None:
    assert "is exempted until 2040-01-01 because leaves next week (team-shop)" in render(recorded("create"))


def test_capacity_is_the_sum_of_the_limits_and_its_difference() -> None:
    text = render(recorded("change"))
    assert (
        "The limits of its 5 running containers add up to 2.75 CPUs and 0.34 GiB of memory (+1 CPUs, +0.03 GiB)" in text
    )


def test_a_stack_without_containers_gets_no_capacity_line() -> None:
    assert "Capacity" not in render(Preview(succeeded=True))


def test_the_picture_is_a_mermaid_chart_of_the_plan() -> None:
    text = render(recorded("create"))
    assert "```mermaid\nflowchart LR\n" in text
    assert "n_shop_api --> n_shop_postgres" in text


def test_a_failed_preview_never_looks_like_a_plan_that_passed() -> None:
    text = render(recorded("broken"))
    assert "| **dev** | docker | ❌ the preview failed | ❌ 1 violation |" in text
    assert "**The preview failed**, so the plan below is not complete:" in text
    assert "✅" not in text


def test_a_platform_that_is_still_to_come_is_refused_in_the_programs_words() -> None:
    one = result(recorded("refused"), "staging", "kubernetes")
    text = markdown.render([one])
    assert one.refused
    assert not one.failed
    assert "platform.kind: kubernetes stacks are described, but this version cannot deploy them." in text
    assert "✅" not in text


def test_any_other_mistake_of_such_a_stack_is_a_failure() -> None:
    one = result(
        Preview(succeeded=False, errors=("Pulumi.staging.yaml has 1 problem:\n  domain: is missing",)), "staging"
    )
    assert one.failed
    assert not one.refused


def test_passwords_in_errors_are_masked() -> None:
    text = render(recorded("broken"))
    assert "hunter2" not in text
    assert "cannot reach postgresql://shop:***@postgres/shop" in text


def test_lines_that_look_like_a_credential_are_left_out() -> None:
    token = "ghp_" + "a1B2" * 9
    text = render(Preview(succeeded=False, errors=(f"first line\nrefused {token}\nlast line",), warnings=(token,)))
    assert token not in text
    assert "first line\n(a line that looks like it holds a credential is left out)\nlast line" in text


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for child in value.values():
            yield from leaves(child)
    elif isinstance(value, list):
        for child in value:
            yield from leaves(child)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", NAMES)
def test_no_value_of_a_property_is_in_the_report(name: str) -> None:
    text = render(recorded(name))
    hidden = set()
    for line in (RECORDINGS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        step = json.loads(line).get("resourcePreEvent", {}).get("metadata", {})
        for side in ("old", "new"):
            inputs = (step.get(side) or {}).get("inputs") or {}
            # Labels say what a container is; everything else is a value.
            for key in inputs.keys() - {"labels", "__defaults", "networksAdvanced"}:
                hidden |= {leaf for leaf in leaves(inputs[key]) if len(leaf) > 5}
    words = set(re.findall(r"[^\s`|]+", text))
    assert hidden & words == set()
    assert "LOG_LEVEL" not in text
    assert "10.231.77" not in text


def test_text_of_others_cannot_break_out_of_its_place() -> None:
    finding = Finding(policy="a`b|c", level="mandatory", message="x | y <img src=z> @team `code` [a](b)\n## head")
    change = Change(operation="delete", type="docker:index/x:X", name="n`|\nm", properties=("p|q",), forcing=())
    error = "````\n<!-- -->\n## no heading"
    text = render(Preview(succeeded=False, changes=(change,), findings=(finding,), errors=(error,), pack="p", rules=1))
    assert "<img" not in text
    assert "@team" not in text
    assert "\n`````text\n````\n<!-- -->\n## no heading\n`````\n" in text
    rows = [line for line in text.splitlines() if line.startswith("| ❌ mandatory") or line.startswith("| delete")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [5, 4]


def test_a_long_report_is_cut_to_what_a_comment_may_hold() -> None:
    many = tuple(
        Change(
            operation="delete",
            type="docker:index/container:Container",
            name=f"service-{number}" + "x" * 80,
            properties=(),
            forcing=(),
        )
        for number in range(2000)
    )
    text = render(replace(recorded("change"), changes=many))
    assert len(text) < 65_536
    assert "… and 1900 more." in text
    assert "2000 to delete" in text


def test_even_endless_errors_fit() -> None:
    text = render(Preview(succeeded=False, errors=tuple(f"error {number} " + "y" * 300 for number in range(1000))))
    assert len(text) < 65_536
    assert text.startswith(markdown.MARKER)


def test_the_revision_is_named() -> None:
    assert "At `0123abc`." in render(recorded("same"), revision="0123abc")


def test_the_same_previews_give_the_same_report() -> None:
    assert render(*map(recorded, NAMES)) == render(*map(recorded, NAMES))
