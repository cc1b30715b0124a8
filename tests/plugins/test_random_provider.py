"""The `random` stand-in, called as the engine calls it."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable
from typing import Any

import pytest

PASSWORD = "random:index/randomPassword:RandomPassword"  # noqa: S105 - a type token
BYTES = "random:index/randomBytes:RandomBytes"


def test_a_password_has_the_length_and_the_least_counts_asked_for(call: Callable[[str], Any]) -> None:
    password = call(PASSWORD)
    inputs = password.check({"length": 20, "minNumeric": 7, "minSpecial": 6, "overrideSpecial": "_", "upper": False})
    identity, state = password.create(inputs)
    result = state["result"]
    assert len(result) == 20
    assert sum(character in string.digits for character in result) >= 7
    assert result.count("_") >= 6
    assert not any(character in string.ascii_uppercase for character in result)
    assert identity == "none"


def test_two_passwords_differ(call: Callable[[str], Any]) -> None:
    password = call(PASSWORD)
    inputs = password.check({"length": 32})
    assert password.create(inputs)[1]["result"] != password.create(inputs)[1]["result"]


def test_a_password_of_one_class_has_no_other_character(call: Callable[[str], Any]) -> None:
    password = call(PASSWORD)
    inputs = password.check({"length": 64, "special": False, "upper": False, "numeric": False})
    assert set(password.create(inputs)[1]["result"]) <= set(string.ascii_lowercase)


def test_bytes_are_the_same_in_both_notations_and_not_in_the_id(call: Callable[[str], Any]) -> None:
    data = call(BYTES)
    identity, state = data.create(data.check({"length": 24}))
    assert bytes.fromhex(state["hex"]) == base64.b64decode(state["base64"])
    assert len(bytes.fromhex(state["hex"])) == 24
    assert identity == "none"


@pytest.mark.parametrize("change", [{"length": 21}, {"special": False}, {"minUpper": 1}, {"keepers": {"a": "b"}}])
def test_every_change_replaces(call: Callable[[str], Any], change: dict[str, Any]) -> None:
    password = call(PASSWORD)
    old = password.check({"length": 20})
    assert list(password.diff(old, password.check({"length": 20, **change})).replaces) == list(change)


def test_writing_out_a_default_is_no_change(call: Callable[[str], Any]) -> None:
    password = call(PASSWORD)
    assert not password.diff(password.check({"length": 20}), password.check({"length": 20, "special": True})).diffs


def test_a_refresh_keeps_the_result(call: Callable[[str], Any]) -> None:
    password = call(PASSWORD)
    inputs = password.check({"length": 20})
    identity, state = password.create(inputs)
    assert password.read(identity, inputs, state).properties["result"] == state["result"]


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({}, "length: is required"),
        ({"length": 0}, "length: must be at least 1"),
        ({"length": 3, "minLower": 4}, "length: is less than the sum of the minimum counts"),
        ({"length": 9, "bcryptHash": "x"}, "bcryptHash: not an input"),
    ],
)
def test_wrong_inputs_are_refused(call: Callable[[str], Any], refused: Any, inputs: Any, reason: str) -> None:
    with pytest.raises(refused, match=reason):
        call(PASSWORD).check(inputs)


def test_other_types_are_refused_with_the_list_of_those_there_are(call: Callable[[str], Any], refused: Any) -> None:
    with pytest.raises(refused, match=r"randomPet:RandomPet is not supported .*/randomBytes:RandomBytes"):
        call("random:index/randomPet:RandomPet").check({})


def test_a_preview_makes_nothing_and_leaves_the_result_open(call: Callable[[str], Any]) -> None:
    password = call(PASSWORD)
    identity, state = password.create(password.check({"length": 20}), preview=True)
    assert identity == ""
    assert state["result"] == "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
