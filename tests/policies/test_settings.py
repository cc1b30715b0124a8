"""The pack's own reader of the stack file: it refuses what it does not understand."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from policies.settings import KEY, Settings, SettingsError, from_config, parse

FULL: dict[str, Any] = {
    "policy": "images-reference-forbid-latest",
    "resource": "image-*",
    "container": "api",
    "reason": "the vendor tags nothing else",
    "owner": "team-a",
    "expires": "2026-12-31",
}


def test_a_stack_file_without_the_key_gets_the_defaults() -> None:
    assert from_config({}) == Settings()
    assert from_config({KEY: ""}).exemptions == ()
    assert Settings().min_replicas == 2  # noqa: PLR2004 - the documented default


@pytest.mark.parametrize("text", ["2026-12-31", "2026-12-31 00:00:00 +0000 UTC", "2026-12-31T00:00:00Z"])
def test_a_day_is_read_with_and_without_quotes_in_the_stack_file(text: str) -> None:
    assert parse({"exemptions": [FULL | {"expires": text}]}).exemptions[0].expires == date(2026, 12, 31)


def test_only_plain_keys_are_kept() -> None:
    settings = from_config({"a:plain": "1", "a:secret": "hunter2"}, {"a:secret"})
    assert settings.plain_config == {"a:plain": "1"}


def test_everything_is_read() -> None:
    raw = {"minReplicas": 3, "levels": {"resources-container-limit-cpu": "advisory"}, "exemptions": [FULL]}
    settings = from_config({KEY: json.dumps(raw)})
    assert settings.min_replicas == 3  # noqa: PLR2004 - the value above
    assert settings.levels == {"resources-container-limit-cpu": "advisory"}
    assert settings.exemptions[0].expires == date(2026, 12, 31)
    assert settings.exemptions[0].container == "api"


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ([], KEY),
        ({"level": {}}, "level is not a setting"),
        ({"minReplicas": 0}, "minReplicas"),
        ({"minReplicas": True}, "minReplicas"),
        ({"minReplicas": "2"}, "minReplicas"),
        ({"levels": {"x": "off"}}, "levels.x"),
        ({"levels": ["x"]}, "levels must be an object"),
        ({"exemptions": {"x": 1}}, "exemptions must be a list"),
        ({"exemptions": [FULL | {"until": "2027-01-01"}]}, "exemptions[0].until"),
        ({"exemptions": [FULL | {"expires": "31.12.2026"}]}, "exemptions[0].expires"),
        ({"exemptions": [FULL | {"reason": " "}]}, "exemptions[0].reason"),
        ({"exemptions": [FULL, {k: v for k, v in FULL.items() if k != "owner"}]}, "exemptions[1].owner"),
        ({"exemptions": [FULL | {"container": 1}]}, "exemptions[0].container"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(raw: Any, where: str) -> None:
    with pytest.raises(SettingsError, match=r".") as caught:
        parse(raw)
    assert where in str(caught.value)


def test_a_text_instead_of_an_object_is_refused_without_being_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        from_config({KEY: "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert KEY in str(caught.value)
