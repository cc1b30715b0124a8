"""The results as Markdown, and their places in the page."""

from __future__ import annotations

import pytest

from benchmarks import proxy, tables
from benchmarks.__main__ import NAMES, PAGE, arguments
from benchmarks.measure import MeasurementError, Sample
from benchmarks.preview import CHECKED, OURS, PLAIN, Measured, policy_report, preview_report
from benchmarks.up import AGAIN, COMPOSE, FIRST
from benchmarks.up import OURS as UP_OURS
from benchmarks.up import PLAIN as UP_FLAT
from benchmarks.up import report as up_report

TEXT = "head\n<!-- begin: up -->\nold\n<!-- end: up -->\nmiddle\n<!-- begin: proxy -->\n<!-- end: proxy -->\ntail\n"
WRK = """\
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.52ms    0.92ms  21.34ms   88.12%
     50%    1.31ms
     99%    4.60ms
Requests/sec:  10843.27
"""


def runs(*times: float) -> list[Sample]:
    """Samples that took that long."""
    return [Sample(seconds=time, cpu=time, memory={"program": 2**20}) for time in times]


def size(services: int, ours: list[Sample], flat: list[Sample], checked: list[Sample]) -> Measured:
    """The runs of one number of services; three resources each."""
    samples = {OURS: ours, PLAIN: flat, CHECKED: checked}
    resources = dict.fromkeys(samples, 3 * services)
    return Measured(what=f"{services} services", services=services, resources=resources, samples=samples)


def test_a_section_is_replaced_between_its_markers_and_nothing_else_changes() -> None:
    fresh = tables.between(TEXT, "up", "\nnew\n")
    assert fresh == TEXT.replace("old", "new")
    assert tables.between(fresh, "up", "new") == fresh


@pytest.mark.parametrize("name", ["down", "pro", ""])
def test_a_page_without_the_place_is_refused(name: str) -> None:
    with pytest.raises(tables.MarkerError, match=f"no place for {name}"):
        tables.between(TEXT, name, "new")


def test_the_page_has_a_place_for_every_section() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in (*NAMES, "policies"):
        assert "new figures" in tables.between(text, name, "new figures")


def test_an_aim_is_missed_only_above_its_limit() -> None:
    assert tables.aim("a ÷ b", 1.05, 1.05) == "- a ÷ b: 1.05, aim ≤ 1.05: met"
    assert tables.aim("a ÷ b", 1.06, 1.05) == "- a ÷ b: 1.06, aim ≤ 1.05: **missed**"


def test_figures_are_written_with_their_units() -> None:
    assert tables.count(1000) == "1 000"
    assert tables.duration(1.234) == "1.23 s"
    assert tables.duration(12.34) == "12.3 s"
    assert tables.size(3 * 2**20) == "3 MiB"


def test_the_cost_of_a_resource_is_compared_between_100_and_1000_services() -> None:
    sizes = [
        size(100, runs(3, 9, 3), runs(3, 3, 3), runs(3.3, 3.3, 3.3)),
        size(1000, runs(36, 36, 36), runs(30, 36, 40), runs(36, 36, 36)),
    ]
    text = preview_report(sizes)
    assert "- a resource at 1 000 services ÷ one at 100: 1.20, aim ≤ 1.10: **missed**" in text
    assert "- 1000 services, ours ÷ flat: 1.00, aim ≤ 1.05: met" in text
    assert "| 100 services, ours | 300 | 3.00 s | 3.00 s | 10.0 ms | 1 MiB | 0 MiB |" in text
    assert "- 100 services, with ÷ without: 1.10, aim ≤ 1.10: met" in policy_report(sizes)


def test_a_deployment_is_compared_with_each_variant_that_was_measured() -> None:
    samples = {(UP_OURS, FIRST): runs(60), (UP_OURS, AGAIN): runs(6), (UP_FLAT, FIRST): runs(50)}
    samples |= {(UP_FLAT, AGAIN): runs(6), (COMPOSE, FIRST): runs(50), (COMPOSE, AGAIN): runs(1)}
    text = up_report(samples)
    assert "- first, ai-platform ÷ flat program: 1.20, aim ≤ 1.05: **missed**" in text
    assert "- first, ai-platform ÷ Docker Compose: 1.20, aim ≤ 1.50: met" in text
    assert "- no change, ai-platform ÷ Docker Compose: 6.00, no aim" in text
    alone = up_report({key: value for key, value in samples.items() if key[0] != COMPOSE})
    assert COMPOSE not in alone


def test_the_load_generator_s_report_is_read() -> None:
    assert proxy.parse(WRK) == proxy.Load(10843.27, "4.60ms")


@pytest.mark.parametrize("end", ["Non-2xx or 3xx responses: 7", "Socket errors: connect 0, read 3"])
def test_a_load_with_failed_requests_measures_nothing(end: str) -> None:
    with pytest.raises(MeasurementError, match="did not run through"):
        proxy.parse(WRK + end)


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert arguments(["--only", "up,proxy"]).only == ["up", "proxy"]
    with pytest.raises(SystemExit):
        arguments(["--only", "down"])
    assert "there is no benchmark down" in capsys.readouterr().err
