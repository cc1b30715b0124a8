"""Where credentials may stand, and that Pulumi knows that they are secret. None of these rules can be bypassed.

Docker shows labels, commands and health checks to whoever may run `docker inspect` or `ps`, and Kubernetes all of a pod
to whoever may look at its namespace, so a secret there is refused even as a Pulumi secret. Elsewhere a credential must
be a Pulumi secret, so that it is encrypted in the state and hidden in plans. No message ever holds a value, nor a part
of one.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from policies import credentials
from policies.container import AS_SECRET, Container
from policies.docker import CONTAINER, NETWORK, VOLUME
from policies.objects import CONFIG_MAP, SECRET
from policies.rule import Rule
from policies.settings import Settings
from policies.subject import RUNNING, SIZED, STACK, Resource
from policies.values import UNKNOWN, Leaf, Sensitive, leaves

SECRET_FOLDER: Final = "/run/secrets/"  # noqa: S105 - a path
PUBLIC_MARK: Final = "-----BEGIN CERTIFICATE-----"
CONTAINER_KEYS: Final = frozenset({"envs", "labels", "uploads", "healthcheck", "command", "entrypoints"})
"""Inputs of a container that have a rule of their own."""
LABELLED: Final = (CONTAINER, NETWORK, VOLUME)
KUBERNETES_KEYS: Final = {CONFIG_MAP: frozenset({"data", "binaryData"}), SECRET: frozenset({"data", "stringData"})}
"""Inputs of Kubernetes' objects that have a rule of their own, by type."""
_OBJECT_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_HASH: Final = re.compile(r"[0-9a-f]{8,64}")


def check_environment(container: Container) -> Iterator[str]:
    """A credential in an environment variable is a Pulumi secret, or better a file that `*_FILE` names.

    On Kubernetes it is neither: whoever may see the pod sees its variables, so they are read from a Secret.
    """
    for variable in container.variables:
        what, how = None, "in plain text"
        if variable.sensitive:
            what, how = (
                None if container.variables_hidden else "a secret",
                f"which {container.words.inspect} to everybody",
            )
        elif isinstance(variable.value, str):
            what = credentials.named_value(variable.name, variable.value)
        if what is not None:
            which = f"environment variable {variable.name} holds" if variable.name else "`env` holds"
            yield f"{which} {what}, {how}; {container.words.into_variable.format(name=variable.name)}"


def check_labels(resource: Resource, settings: Settings) -> Iterator[str]:
    """No credential in a label or an annotation: `docker inspect` and `kubectl describe` show it, secret or not."""
    del settings
    if not resource.on_kubernetes and resource.type not in LABELLED:
        return
    words = resource.adapter.WORDS
    for tag in resource.tags:
        if tag.name is None:
            yield f"`{tag.place}` hold a secret, which {words.inspect} to everybody; {words.elsewhere}"
            continue
        what = "a secret" if tag.sensitive else None
        if what is None and isinstance(tag.value, str) and not _is_checksum(tag.name, tag.value):
            what = credentials.named_value(tag.name, tag.value)
        if what is not None:
            kind = tag.place.removesuffix("s")
            yield f"{kind} {tag.name} holds {what}, which {words.inspect} to everybody; {words.elsewhere}"


def check_commands(container: Container) -> Iterator[str]:
    """No credential in a command, entry point or health check: `ps` and `docker inspect` show it, secret or not."""
    words = container.words
    for place, value in container.commands.items():
        pieces = list(leaves(value))
        if any(leaf.sensitive for leaf in pieces):
            yield f"`{place}` holds a secret, which {words.inspect} to everybody; {words.elsewhere}"
            continue
        for what in credentials.in_arguments([leaf.value for leaf in pieces if isinstance(leaf.value, str)]):
            yield f"`{place}` holds {what}, which {words.inspect} to everybody; {words.elsewhere}"


def check_config_map(resource: Resource, settings: Settings) -> Iterator[str]:
    """No credential in a ConfigMap, secret or not: it is shown to whoever may look at the namespace."""
    del settings
    for place in ("data", "binaryData"):
        found = resource.marked.get(place)
        if isinstance(found, Sensitive):
            yield f"`{place}` holds a secret, which is shown to everybody; put it into a Secret"
            continue
        for key, value in found.items() if isinstance(found, Mapping) else ():
            for leaf in leaves(value):
                what = "a secret" if leaf.sensitive else _entry(key, leaf.value, encoded=place == "binaryData")
                if what is not None:
                    yield f"entry {key} holds {what}, which is shown to everybody; put it into a Secret"


def check_secret(resource: Resource, settings: Settings) -> Iterator[str]:
    """What a Secret holds is a Pulumi secret, or the state and the plan show it."""
    del settings
    for place in ("data", "stringData"):
        for leaf in leaves(resource.marked.get(place)):
            if not leaf.sensitive and leaf.value is not UNKNOWN and not _public(leaf.value):
                yield f"entry {'.'.join(leaf.path) or place} is in plain text; {AS_SECRET}"


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
    own = CONTAINER_KEYS if resource.type == CONTAINER else KUBERNETES_KEYS.get(resource.type, frozenset[str]())
    for place, what in _plain_credentials(
        {key: value for key, value in resource.marked.items() if key not in own}, objects=resource.on_kubernetes
    ):
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


def _plain_credentials(properties: Mapping[str, Any], *, objects: bool = False) -> Iterator[tuple[str, str]]:
    """Where credentials stand in plain text, and what they are; `objects`: in an object of Kubernetes."""
    for leaf in leaves(properties):
        if objects and _has_own_rule(leaf.path):
            continue
        for inner in _decoded(leaf):
            if inner.sensitive or not isinstance(inner.value, str):
                continue
            what = credentials.named_value(_field(inner.path), inner.value)
            if what is not None and not _is_setting(inner) and not (objects and _names_object(inner)):
                yield ".".join(inner.path), what


def _has_own_rule(path: tuple[str, ...]) -> bool:
    """Variables, commands, labels and annotations of an object are looked at by the rules about them."""
    words = set(path)
    return bool(words & {"env", "command", "args"}) or ("metadata" in words and bool(words & {"labels", "annotations"}))


def _names_object(leaf: Leaf) -> bool:
    """Fields of objects that end in `Secret` name a Secret: `serverTLSSecret`, a middleware's `secret`."""
    named = credentials.words(_field(leaf.path))[-1:] in (["secret"], ["secrets"])
    return named and _OBJECT_NAME.fullmatch(leaf.value) is not None and not credentials.looks_random(leaf.value)


def _is_checksum(name: str, value: str) -> bool:
    """An annotation that rolls the pods when what they read has changed."""
    return "checksum" in credentials.words(name) and _HASH.fullmatch(value) is not None


def _entry(key: str, value: object, *, encoded: bool) -> str | None:
    if not isinstance(value, str):
        return None
    text = _base64(value) if encoded else value
    if text is None:
        return None
    return credentials.in_file(text) or (None if "\n" in text else credentials.named_value(key, text))


def _public(value: object) -> bool:
    """A certificate, in plain text or as a Secret's `data` writes it; nothing that is empty needs hiding either."""
    texts = (value, _base64(value) or "") if isinstance(value, str) else ()
    return not value or any(PUBLIC_MARK in text for text in texts)


def _content(path: str, key: str, value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    text = _base64(value) if key == "contentBase64" else value
    if text is None:
        return None
    what = credentials.in_file(text)
    if what is None and path.startswith(SECRET_FOLDER) and PUBLIC_MARK not in text:
        return f"what {SECRET_FOLDER} is for"
    return what


def _base64(value: str) -> str | None:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", errors="replace")
    except (binascii.Error, ValueError):
        return None


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


RULES: Final = (
    Rule(
        name="secrets-environment-require-secret",
        description="Credentials in environment variables are Pulumi secrets, on Kubernetes references to a Secret.",
        types=SIZED,
        check_container=check_environment,
        locked=True,
        scanners="LP",
    ),
    Rule(
        name="secrets-label-forbid",
        description="No label and no annotation holds a credential.",
        check=check_labels,
        locked=True,
    ),
    Rule(
        name="secrets-command-forbid",
        description="No command, entry point or health check holds a credential.",
        types=RUNNING,
        check_container=check_commands,
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
        name="secrets-configmap-forbid",
        description="No ConfigMap holds a credential.",
        types=(CONFIG_MAP,),
        check=check_config_map,
        locked=True,
        scanners="PT",
    ),
    Rule(
        name="secrets-secret-require-secret",
        description="What a Secret of Kubernetes holds is a Pulumi secret.",
        types=(SECRET,),
        check=check_secret,
        locked=True,
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
