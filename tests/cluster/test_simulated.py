"""Simulated nodes beside the real one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from tests.cluster.conftest import create, read, restricted
from toolchain.cluster import build, kubectl, simulated
from toolchain.cluster.__main__ import count
from toolchain.cluster.settings import NODE


@pytest.fixture(scope="module")
def crowd(cluster: None) -> Iterator[list[str]]:
    """Three more simulated nodes than there were."""
    before = simulated.nodes()
    simulated.ensure(len(before) + 3)
    yield [name for name in simulated.nodes() if name not in before]
    simulated.ensure(len(before))


@pytest.mark.parametrize("text", ["0", "200", "1000"])
def test_a_number_of_nodes_is_taken(text: str) -> None:
    assert count(text) == int(text)


@pytest.mark.parametrize("text", ["", "-1", "1001", "many", "1.5"])
def test_what_is_no_number_of_nodes_is_refused_with_the_bounds(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="0 to 1000"):
        count(text)


def test_names_are_in_the_order_of_their_numbers() -> None:
    names = [simulated.name_of(number) for number in range(simulated.MOST)]
    assert sorted(names) == names


def test_kwok_s_module_is_pinned() -> None:
    assert "sigs.k8s.io/kwok v0.8.0" in (build.MODULES / "kwok" / "go.mod").read_text()


def test_simulated_nodes_become_ready_and_a_second_run_adds_none(crowd: list[str]) -> None:
    assert len(crowd) == 3
    for name in crowd:
        conditions = {one["type"]: one["status"] for one in read("node", name)["status"]["conditions"]}
        assert conditions["Ready"] == "True"
    everyone = simulated.nodes()
    simulated.ensure(None)
    assert simulated.nodes() == everyone


def test_a_pod_runs_on_a_simulated_node_only_where_it_tolerates_one(
    crowd: list[str], namespace: str, shell: str
) -> None:
    plain = restricted("stays", shell, "exec sleep 3600")
    crowded = restricted("crowded", "nowhere.invalid/none:1", "true")
    crowded["spec"] |= {
        "tolerations": [{"key": simulated.LABEL, "operator": "Exists"}],
        "nodeSelector": {simulated.LABEL: "true"},
    }
    create(namespace, plain, crowded)
    assert read("pod", "stays", f"--namespace={namespace}")["spec"]["nodeName"] == NODE
    assert read("pod", "crowded", f"--namespace={namespace}")["spec"]["nodeName"] in simulated.nodes()
    kubectl("delete", f"--namespace={namespace}", "pod/crowded", "--now")
