"""Where credentials may stand, and that Pulumi knows that they are secret. None of these rules can be bypassed.

Docker shows labels, commands and health checks to whoever may run `docker inspect` or `ps`, so a secret there is
refused even as a Pulumi secret. Elsewhere a credential must be a Pulumi secret, so that it is encrypted in the state
and hidden in plans. No message ever holds a value, nor a part of one.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from policies import credentials
from policies.rule import Rule
from policies.settings import Settings
from policies.subject import CONTAINER, STACK, Resource
from policies.values import Leaf, Sensitive, leaves

SECRET_FOLDER: Final = "/run/secrets/"  # noqa: S105 - a path
PUBLIC_MARK: Final = "-----BEGIN CERTIFICATE-----"
COMMAND_KEYS: Final = ("command", "entrypoints")
CONTAINER_KEYS: Final = frozenset({"envs", "labels", "uploads", "healthcheck", *COMMAND_KEYS})
"""Inputs of a container that have a rule of their own."""
AS_SECRET: Final = "hand it over as a Pulumi secret (Output.secret, or a secret in config)"  # noqa: S105 - advice


def check_environment(resource: Resource, settings: Settings) -> Iterator[str]:
    """A credential in an environment variable is a Pulumi secret, or better a file that `*_FILE` names."""
    del settings
    for leaf in leaves(resource.marked.get("envs")):
        if leaf.sensitive or not isinstance(leaf.value, str):
            continue
        name, _, value = leaf.value.partition("=")
        what = credentials.named_value(name, value)
        if what is not None:
            yield (
                f"environment variable {name} holds {what}, in plain text; {AS_SECRET}, "
                f"or mount a file and set {name}_FILE"
            )


def check_labels(resource: Resource, settings: Settings) -> Iterator[str]:
    """No credential in a label: `docker inspect` shows it, secret or not."""
    del settings
    marked = resource.marked.get("labels")
    if isinstance(marked, Sensitive):
        yield f"`labels` hold a secret, which docker inspect shows to everybody; {_elsewhere()}"
        return
    for entry in marked if isinstance(marked, list) else []:
        block = entry.value if isinstance(entry, Sensitive) else entry
        if not isinstance(block, Mapping):
            continue
        pieces = list(leaves(entry))
        label = str(block.get("label")) if isinstance(block.get("label"), str) else "?"
        what = "a secret" if any(leaf.sensitive for leaf in pieces) else None
        texts = [leaf.value for leaf in pieces if leaf.path == ("value",) and isinstance(leaf.value, str)]
        what = what or next(filter(None, (credentials.named_value(label, text) for text in texts)), None)
        if what is not None:
            yield f"label {label} holds {what}, which docker inspect shows to everybody; {_elsewhere()}"


def check_commands(resource: Resource, settings: Settings) -> Iterator[str]:
    """No credential in a command, entry point or health check: `ps` and `docker inspect` show it, secret or not."""
    del settings
    healthcheck = resource.marked.get("healthcheck")
    inner = healthcheck.value if isinstance(healthcheck, Sensitive) else healthcheck
    places: dict[str, Any] = {key: resource.marked.get(key) for key in COMMAND_KEYS}
    tests = inner.get("tests") if isinstance(inner, Mapping) else None
    places["healthcheck.tests"] = Sensitive(tests) if isinstance(healthcheck, Sensitive) else tests
    for place, value in places.items():
        pieces = list(leaves(value))
        if any(leaf.sensitive for leaf in pieces):
            yield f"`{place}` holds a secret, which ps and docker inspect show to everybody; {_elsewhere()}"
            continue
        for what in credentials.in_arguments([leaf.value for leaf in pieces if isinstance(leaf.value, str)]):
            yield f"`{place}` holds {what}, which ps and docker inspect show to everybody; {_elsewhere()}"


def check_uploads(resource: Resource, settings: Settings) -> Iterator[str]:
    """A file that holds a credential, or that is meant to (`/run/secrets/…`), has secret content."""
    del settings
    marked = resource.marked.get("uploads")
    if isinstance(marked, Sensitive):
        return
    for entry in marked if isinstance(marked, list) else []:
        if isinstance(entry, Sensitive) or not isinstance(entry, Mapping):
            continue
        path = str(entry.get("file"))
        for key in ("content", "contentBase64"):
            for leaf in leaves(entry.get(key)):
                what = None if leaf.sensitive else _content(path, key, leaf.value)
                if what is not None:
                    yield f"upload {path} holds {what}, in plain text; {AS_SECRET}"


def check_inputs(resource: Resource, settings: Settings) -> Iterator[str]:
    """Every other input of every resource: what its name or its form calls a credential is a Pulumi secret."""
    del settings
    own = CONTAINER_KEYS if resource.type == CONTAINER else frozenset[str]()
    for place, what in _plain_credentials({key: value for key, value in resource.marked.items() if key not in own}):
        yield f"input {place} holds {what}, in plain text; {AS_SECRET}"


def check_config(resource: Resource, settings: Settings) -> Iterator[str]:
    """No credential stands in the stack file in plain text; asked once, of the stack itself.

    This also finds what the engine hides from the rule about environment variables: where a provider does not pass
    secrets through, one secret entry makes the whole list secret, and a plain password beside it looks like one.
    """
    del resource
    for place, what in _plain_credentials(settings.plain_config):
        yield (
            f"key {place} of the stack file holds {what}, in plain text; take it out and store it encrypted, with "
            "`pulumi config set --secret`"
        )


def _plain_credentials(properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for leaf in leaves(properties):
        for inner in _decoded(leaf):
            if inner.sensitive or not isinstance(inner.value, str):
                continue
            what = credentials.named_value(_field(inner.path), inner.value)
            if what is not None and not _is_setting(inner):
                yield ".".join(inner.path), what


def _content(path: str, key: str, value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    text = value
    if key == "contentBase64":
        try:
            text = base64.b64decode(value, validate=True).decode("utf-8", errors="replace")
        except (binascii.Error, ValueError):
            return None
    what = credentials.in_file(text)
    if what is None and path.startswith(SECRET_FOLDER) and PUBLIC_MARK not in text:
        return f"what {SECRET_FOLDER} is for"
    return what


def _decoded(leaf: Leaf) -> Iterator[Leaf]:
    """The scalars of a JSON text, in which the engine hands over the structured inputs of providers; else itself."""
    text = leaf.value
    if isinstance(text, str) and text[:1] in ("{", "["):
        try:
            yield from leaves(json.loads(text), leaf.path, sensitive=leaf.sensitive)
        except json.JSONDecodeError:
            yield leaf
    else:
        yield leaf


def _field(path: tuple[str, ...]) -> str:
    """The last name in a path, list positions left out."""
    return next((part for part in reversed(path) if not part.isdigit()), "")


def _is_setting(leaf: Leaf) -> bool:
    """Keys of maps and attributes are often called `key` or `…Key` and name something: only random ones count."""
    parts = credentials.words(_field(leaf.path))
    plain_key = bool(parts) and parts[-1] == "key" and not {"private", "secret", "access", "api"} & set(parts)
    return plain_key and credentials.form(leaf.value) is None and not credentials.looks_random(leaf.value)


def _elsewhere() -> str:
    return f"mount a file below {SECRET_FOLDER} or pass a secret environment variable, and read it there"


RULES: Final = (
    Rule(
        name="secrets-environment-require-secret",
        description="Credentials in environment variables are Pulumi secrets.",
        types=(CONTAINER,),
        check=check_environment,
        locked=True,
        scanners="LP",
    ),
    Rule(
        name="secrets-label-forbid",
        description="No label holds a credential.",
        types=(CONTAINER,),
        check=check_labels,
        locked=True,
    ),
    Rule(
        name="secrets-command-forbid",
        description="No command, entry point or health check holds a credential.",
        types=(CONTAINER,),
        check=check_commands,
        locked=True,
    ),
    Rule(
        name="secrets-upload-require-secret",
        description="Uploaded files that hold credentials are Pulumi secrets.",
        types=(CONTAINER,),
        check=check_uploads,
        locked=True,
        scanners="PT",
    ),
    Rule(
        name="secrets-config-require-secret",
        description="No credential stands in the stack file in plain text.",
        types=(STACK,),
        check=check_config,
        locked=True,
    ),
    Rule(
        name="secrets-input-require-secret",
        description="Password inputs of every resource are Pulumi secrets.",
        check=check_inputs,
        locked=True,
    ),
)
