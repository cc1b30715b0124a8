"""Which image runs, and that it stays the same one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from policies.rule import Rule
from policies.settings import Settings
from policies.subject import CONTAINER, REMOTE_IMAGE, Resource

_ID: Final = re.compile(r"(sha256:)?[0-9a-f]{64}|[0-9a-f]{12}")
_BITNAMI: Final = re.compile(r"(?:(?:index\.|registry-1\.)?docker\.io/)?bitnami")


def reference(resource: Resource) -> str | None:
    """The image reference of a container or a pulled image; None when it is an image id, not set, or not known yet."""
    value = resource.known("image" if resource.type == CONTAINER else "name")
    return value if isinstance(value, str) and value and not _ID.fullmatch(value) else None


def check_tag(resource: Resource, settings: Settings) -> Iterator[str]:
    """A tag other than `latest`, or a digest, which wins over any tag."""
    del settings
    image = reference(resource)
    if image is None or "@sha256:" in image:
        return
    _, colon, tag = image.rsplit("/", 1)[-1].partition(":")
    if not colon or not tag:
        yield f"uses the image {image} without a tag, which means latest; add the version's tag, or its digest"
    elif tag == "latest":
        yield f"uses the image {image}, which is another one tomorrow; name a version's tag, or a digest"


def check_bitnami(resource: Resource, settings: Settings) -> Iterator[str]:
    """No image of docker.io/bitnami*: frozen since August 2025, so without security fixes."""
    del settings
    image = reference(resource)
    if image is not None and _BITNAMI.match(image):
        yield f"uses {image}; docker.io/bitnami* gets no security fixes any more: use the project's official image"


RULES: Final = (
    Rule(
        name="images-reference-forbid-latest",
        description="An image is named by id, digest or version tag.",
        types=(CONTAINER, REMOTE_IMAGE),
        check=check_tag,
        scanners="LSPKCT",
    ),
    Rule(
        name="images-reference-forbid-bitnami",
        description="No image comes from the frozen docker.io/bitnami* repositories.",
        types=(CONTAINER, REMOTE_IMAGE),
        check=check_bitnami,
    ),
)
