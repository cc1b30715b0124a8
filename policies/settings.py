"""What the stack file says about policies: levels, exemptions, the minimum of replicas.

The typed configuration of the program checks the same key with better messages; this reader exists because the engine
runs the pack in a process of its own, and because a pack must not trust that its stack file was checked. It refuses
what it does not understand, so that a typing error never switches a rule off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Any, Final

KEY: Final = "ai-platform:policies"
LEVELS: Final = ("mandatory", "advisory", "disabled")
_DAY: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?: 00:00:00 \+0000 UTC|T00:00:00Z)?")
"""A day; the engine hands over an unquoted YAML date as the time at which it begins."""
DEFAULT_MIN_REPLICAS: Final = 2
"""Replicas of an app service, so that one can be replaced while the other answers (ARE-008 … ARE-010)."""


class SettingsError(ValueError):
    """The stack file's `ai-platform:policies` cannot be understood. Names the key, never a value."""


@dataclass(frozen=True, kw_only=True)
class Exemption:
    """Permission for some resources to break a rule for some time."""

    policy: str
    resource: str
    """Glob over logical names."""
    container: str | None = None
    """Glob over service names, of containers in a pod over theirs, where the one over logical names is too wide."""
    reason: str
    owner: str
    expires: date
    """Last day on which it counts."""

    def covers(self, policy: str, names: tuple[str, ...], container: str | None) -> bool:
        """It is about this rule and one of these resources; whether it has expired is another question.

        `container` is the name of the container in its pod, for all other resources that of the service.
        """
        return (
            policy == self.policy
            and any(fnmatchcase(name, self.resource) for name in names)
            and (self.container is None or (container is not None and fnmatchcase(container, self.container)))
        )


def today() -> date:
    """The day by which exemptions expire: UTC, so that it is the same on every machine."""
    return datetime.now(tz=UTC).date()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The stack's policy settings."""

    min_replicas: int = DEFAULT_MIN_REPLICAS
    levels: Mapping[str, str] = field(default_factory=dict)
    exemptions: tuple[Exemption, ...] = ()
    plain_config: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The stack's configuration without the keys that hold secrets; objects are JSON texts."""
    today: date = field(default_factory=today)

    def expired(self, exemption: Exemption) -> bool:
        """The last day of the exemption is over."""
        return exemption.expires < self.today


def from_config(config: Mapping[str, str], secret_keys: Collection[str] = ()) -> Settings:
    """Settings from the engine's configuration map, whose objects are JSON texts, and the names of its secret keys.

    Raises SettingsError.
    """
    plain = {key: value for key, value in sorted(config.items()) if key not in secret_keys}
    text = config.get(KEY)
    if not text:  # A key with nothing below it arrives as an empty text.
        return Settings(plain_config=plain)
    try:
        raw = json.loads(text)
    except json.JSONDecodeError:
        raise SettingsError(f"{KEY} must be an object of minReplicas, levels, exemptions") from None
    return replace(parse(raw), plain_config=plain)


def parse(raw: Any) -> Settings:
    """Settings from the decoded value of the key. Raises SettingsError."""
    fields = _object(raw, KEY, {"minReplicas", "levels", "exemptions"})
    replicas = fields.get("minReplicas", DEFAULT_MIN_REPLICAS)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 1:
        raise SettingsError(f"{KEY}.minReplicas must be a whole number from 1 on")
    levels = _object(fields.get("levels") or {}, f"{KEY}.levels", None)
    for policy, level in levels.items():
        if level not in LEVELS:
            raise SettingsError(f"{KEY}.levels.{policy} must be one of {', '.join(LEVELS)}")
    exemptions = fields.get("exemptions") or []
    if not isinstance(exemptions, list):
        raise SettingsError(f"{KEY}.exemptions must be a list")
    return Settings(
        min_replicas=replicas,
        levels=levels,
        exemptions=tuple(_exemption(entry, f"{KEY}.exemptions[{index}]") for index, entry in enumerate(exemptions)),
    )


def _exemption(raw: Any, where: str) -> Exemption:
    fields = _object(raw, where, {"policy", "resource", "container", "reason", "owner", "expires"})
    texts: dict[str, str] = {}
    for key in ("policy", "resource", "reason", "owner", "expires"):
        value = fields.get(key)
        if not isinstance(value, str) or not value.strip():
            raise SettingsError(
                f"{where}.{key} is missing; an exemption has policy, resource, reason, owner and expires"
            )
        texts[key] = value
    container = fields.get("container")
    if container is not None and not isinstance(container, str):
        raise SettingsError(f"{where}.container must be a glob over services or containers")
    try:
        day = _DAY.fullmatch(texts.pop("expires"))
        expires = date.fromisoformat(day[1] if day else "")
    except ValueError:
        raise SettingsError(f"{where}.expires must be a date, YYYY-MM-DD") from None
    return Exemption(**texts, container=container, expires=expires)


def _object(raw: Any, where: str, keys: set[str] | None) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise SettingsError(f"{where} must be an object")
    unknown = sorted(set(raw) - keys) if keys is not None else []
    if unknown:
        raise SettingsError(f"{where}.{unknown[0]} is not a setting; known are {', '.join(sorted(keys or ()))}")
    return raw
