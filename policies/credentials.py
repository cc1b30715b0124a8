"""Tells credentials from other text: by name, by form, by randomness.

Nothing here returns or logs a value: callers learn what a text looks like, never what it is.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, Literal

Strength = Literal["strong", "weak"]

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_STRONG_ENDINGS: Final = ("password", "passwd", "passphrase", "requirepass", "masterauth", "apikey", "privatekey")
_STRONG_LAST: Final = frozenset({"pass", "pwd", "token", "secret", "secrets", "credential", "credentials", "key"})
_ALONE_TOO: Final = frozenset({"token", "secret", "secrets", "credential", "credentials"})
"""Words of `_STRONG_LAST` that say credential without a word before them; PWD and KEY alone do not."""
_HARMLESS_KEYS: Final = frozenset({"public", "primary", "foreign", "partition", "sort", "routing", "cache", "pub"})
_REFERENCES: Final = frozenset(
    {"file", "files", "path", "dir", "directory", "name", "names", "arn", "ref", "url", "uri", "ttl", "expiry"}
    | {"expires", "seconds", "minutes", "hours", "days", "length", "algorithm", "header", "prefix", "suffix"}
    | {"enabled", "type", "count", "rotation", "version", "policy"}
)
"""Last words of names that say where a credential is, or something about it."""
_WEAK: Final = frozenset({"auth", "bearer", "authorization", "signature", "salt", "login"})

_HARMLESS_VALUES: Final = frozenset({"true", "false", "yes", "no", "on", "off", "none", "null", ""})
_PLACEHOLDER: Final = re.compile(
    r"\$\{?[A-Za-z_]\w*\}?|\$\(.*\)|\{+[^{}]*\}+|<[^<>]*>|%\(\w+\)s|%s|\*+", flags=re.DOTALL
)
_KNOWN_PATH: Final = re.compile(r"/(?:app|etc|home|mnt|opt|proc|run|srv|tmp|usr|var)(?:/[\w.@-]+)+")
_URL_PASSWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s/:@'\"]*:([^\s@/'\"]+)@")
_FORMS: Final = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")),
    ("an AWS access key id", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("an access token", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_\w{40,}\b|\bglpat-[\w-]{20,}")),
    ("an access token", re.compile(r"\bxox[abeprs]-[\w-]{10,}|\bsk-(?:ant-|proj-)?[\w-]{24,}|\bAIza[\w-]{35}\b")),
    ("a signed token", re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")),
)
_ASSIGNMENT: Final = re.compile(r"(?<![\w.$])-{0,2}([A-Za-z_][\w.\-]*)=[\"']?([^\s\"';&|]*)")
_SETTING: Final = re.compile(r"^[\s\-]*[\"']?([A-Za-z_][\w.\-]*)[\"']?\s*[:=][ \t]*[\"']?([^\s\"',#]+)", re.MULTILINE)
_DIRECTIVE: Final = re.compile(r"^\s*(requirepass|masterauth)[ \t]+[\"']?([^\s\"']+)", re.MULTILINE)
_SQL_PASSWORD: Final = re.compile(r"\bPASSWORD\s+'([^']+)'", re.IGNORECASE)
_TOOL_FLAGS: Final = {"redis-cli": ("-a", "--pass"), "sshpass": ("-p",), "curl": ("-u", "--user"), "wget": ()}
"""Options that take a password without saying so in their name."""

_RANDOM_LENGTH: Final = 16
_RANDOM_TEXT: Final = re.compile(r"[A-Za-z0-9+/=_\-.~]+")
_HEX_TEXT: Final = re.compile(r"[0-9a-fA-F]+")
_BITS: Final = 3.5
_HEX_BITS: Final = 3.0
"""Shannon entropy per character from which a text counts as random; hexadecimal text has at most 4."""


def words(name: str) -> list[str]:
    """`REDIS_PASSWORD`, `redisPassword` and `redis.password` are all `["redis", "password"]`."""
    return [word.lower() for word in _WORDS.findall(name)]


def name_strength(name: str) -> Strength | None:
    """How surely a name says that its value is a credential.

    `strong`: any real value under it is one (`DB_PASSWORD`). `weak`: a random-looking value under it is
    (`AUTH_SALT`, `TOKEN_SEED`). None: it says where the credential is (`DB_PASSWORD_FILE`), or nothing.
    """
    parts = words(name)
    if not parts or parts[-1] in _REFERENCES:
        return None
    last, before = parts[-1], parts[-2] if len(parts) > 1 else ""
    if any(last.endswith(ending) for ending in _STRONG_ENDINGS):
        return "strong"
    if last in _STRONG_LAST:
        if not before and last not in _ALONE_TOO:
            return None
        return None if last == "key" and before in _HARMLESS_KEYS else "strong"
    if any("secret" in part for part in parts):
        return "strong"
    credential = _WEAK | _STRONG_LAST | set(_STRONG_ENDINGS)
    return "weak" if any(part in credential for part in parts) else None


def is_harmless(value: str) -> bool:
    """Cannot be a credential: empty, a switch, a placeholder, or the path of a file."""
    text = value.strip()
    return (
        text.lower() in _HARMLESS_VALUES
        or _PLACEHOLDER.fullmatch(text) is not None
        or _KNOWN_PATH.fullmatch(text) is not None
    )


def looks_random(value: str) -> bool:
    """Long enough, without spaces, and with the entropy of a generated token."""
    text = value.strip()
    if len(text) < _RANDOM_LENGTH or not _RANDOM_TEXT.fullmatch(text):
        return False
    length = len(text)
    bits = -sum(n / length * math.log2(n / length) for n in Counter(text).values())
    has_digit, has_letter = any(c.isdigit() for c in text), any(c.isalpha() for c in text)
    return has_digit and has_letter and bits >= (_HEX_BITS if _HEX_TEXT.fullmatch(text) else _BITS)


def form(text: str) -> str | None:
    """What a text holds by its form alone: `a URL with a password`, `a private key`, …; None for nothing known."""
    if any(not is_harmless(match.group(1)) for match in _URL_PASSWORD.finditer(text)):
        return "a URL with a password"
    return next((what for what, pattern in _FORMS if pattern.search(text)), None)


def named_value(name: str, value: str) -> str | None:
    """What a value holds, its name taken into account; None when it may be seen by anybody."""
    known = form(value)
    if known is not None:
        return known
    strength = name_strength(name)
    if strength is None or is_harmless(value):
        return None
    if strength == "strong":
        return "a credential, by its name"
    return "a credential, by its name and its randomness" if looks_random(value) else None


def in_arguments(arguments: Sequence[str]) -> Iterator[str]:
    """What a command line gives away: by form, by assignment (`PGPASSWORD=…`), by option (`--requirepass …`)."""
    for argument in arguments:
        known = form(argument)
        if known is not None:
            yield known
        if any(not is_harmless(match.group(1)) for match in _SQL_PASSWORD.finditer(argument)):
            yield "a password in SQL"
        for match in _ASSIGNMENT.finditer(argument):
            if name_strength(match.group(1)) == "strong" and _is_literal(match.group(2)):
                yield f"a value for {match.group(1)}"
    yield from _in_options([token for argument in arguments for token in argument.split()])


def _in_options(tokens: Sequence[str]) -> Iterator[str]:
    flags: tuple[str, ...] = ()
    for token, following in pairwise(tokens):
        tool = token.strip("\"'()").rsplit("/", 1)[-1]
        flags = _TOOL_FLAGS.get(tool, flags)
        named = token.startswith("-") and "=" not in token and name_strength(token.lstrip("-")) == "strong"
        if (named or token in flags) and not following.startswith("-") and _is_literal(following):
            yield f"a value for {token}"


def _is_literal(text: str) -> bool:
    """A value itself, not something that the shell replaces by one."""
    bare = text.strip("\"'")
    return not is_harmless(bare) and not bare.startswith(("$", "`"))


def in_file(text: str) -> str | None:
    """What a file's text holds: by form, or a password setting with a literal value; None for nothing known."""
    known = form(text)
    if known is not None:
        return known
    for pattern in (_SETTING, _DIRECTIVE):
        for match in pattern.finditer(text):
            ends = words(match.group(1))[-1:]
            if any(word.endswith(_STRONG_ENDINGS) for word in ends) and _is_literal(match.group(2)):
                return f"a value for {match.group(1)}"
    return None
