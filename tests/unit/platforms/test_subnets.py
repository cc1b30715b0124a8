from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platforms.docker.subnets import PREFIX, PoolFull, Subnets

POOL = IPv4Network("10.213.0.0/16")
NAMES = st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=300, unique=True)


@given(NAMES)
def test_subnets_are_inside_the_pool_and_never_overlap(names: list[str]) -> None:
    subnets = Subnets(POOL)
    handed_out = [subnets.of(name) for name in names]
    assert all(subnet.subnet_of(POOL) and subnet.prefixlen == PREFIX for subnet in handed_out)
    assert len(set(handed_out)) == len(names)


@given(NAMES)
def test_the_same_names_get_the_same_subnets_again(names: list[str]) -> None:
    first, second = Subnets(POOL), Subnets(POOL)
    assert [first.of(name) for name in names] == [second.of(name) for name in names]


@given(NAMES, st.text(min_size=31, max_size=40))
def test_a_name_that_is_added_last_moves_no_other(names: list[str], added: str) -> None:
    before, after = Subnets(POOL), Subnets(POOL)
    assert [before.of(name) for name in names] == [after.of(name) for name in [*names, added]][:-1]


def test_a_full_pool_is_refused_with_its_size() -> None:
    subnets = Subnets(IPv4Network("10.0.0.0/25"))
    assert {subnets.of("a"), subnets.of("b")} == set(IPv4Network("10.0.0.0/25").subnets(new_prefix=PREFIX))
    with pytest.raises(PoolFull, match=r"^platform\.networkPool: 10\.0\.0\.0/25 holds 2 networks, .* /24 holds 4"):
        subnets.of("c")


def test_a_pool_that_holds_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="smaller than one /26"):
        Subnets(IPv4Network("10.0.0.0/27"))


def test_a_name_gets_one_subnet_only() -> None:
    subnets = Subnets(POOL)
    subnets.of("api")
    with pytest.raises(ValueError, match="has a subnet already"):
        subnets.of("api")
