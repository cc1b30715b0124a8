"""Which image runs, and that it stays the same one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from policies.container import Container
from policies.docker import REMOTE_IMAGE
from policies.kubernetes import OPERATED, PODS
from policies.rule import Rule
from policies.subject import SIZED
from policies.values import UNKNOWN

_ID: Final = re.compile(r"(sha256:)?[0-9a-f]{64}|[0-9a-f]{12}")
_BITNAMI: Final = re.compile(r"(?:(?:index\.|registry-1\.)?docker\.io/)?bitnami")
_CONTENT_TAG: Final = re.compile(r"(?:[\w.-]*-)?[0-9a-f]{12,64}")
PULL_POLICIES: Final = ("IfNotPresent", "Always")


def reference(image: object) -> str | None:
    """An image reference; None when it is an image id, not set, or not known yet."""
    return image if isinstance(image, str) and image and not _ID.fullmatch(image) else None


def tag(image: str) -> str:
    """The tag of a reference; empty when it has none."""
    return image.partition("@")[0].rsplit("/", 1)[-1].partition(":")[2]


def check_tag(container: Container) -> Iterator[str]:
    """A tag other than `latest`, or a digest, which wins over any tag."""
    image = reference(container.image)
    if image is None or "@sha256:" in image:
        return
    if not tag(image):
        yield f"uses the image {image} without a tag, which means latest; add the version's tag, or its digest"
    elif tag(image) == "latest":
        yield f"uses the image {image}, which is another one tomorrow; name a version's tag, or a digest"


def check_bitnami(container: Container) -> Iterator[str]:
    """No image of docker.io/bitnami*: frozen since August 2025, so without security fixes."""
    image = reference(container.image)
    if image is not None and _BITNAMI.match(image):
        yield f"uses {image}; docker.io/bitnami* gets no security fixes any more: use the project's official image"


def suggest_digest(container: Container) -> Iterator[str]:
    """A digest, or a tag that is made from the content: any other tag can be moved to another image."""
    image = reference(container.image)
    if image is not None and "@sha256:" not in image and not _CONTENT_TAG.fullmatch(tag(image)):
        yield f"uses the image {image}, whose tag can be moved; add its digest, @sha256:…"


def check_pull(container: Container) -> Iterator[str]:
    """`imagePullPolicy` says which image runs where the node has one of that name already."""
    policy = container.raw.get("imagePullPolicy")
    if policy is not UNKNOWN and policy not in PULL_POLICIES:
        yield (
            f"has {f'the pull policy {policy}' if policy else 'no pull policy'}; set `imagePullPolicy` to IfNotPresent "
            "(the tag names one image) or Always"
        )


RULES: Final = (
    Rule(
        name="images-reference-forbid-latest",
        description="An image is named by id, digest or version tag.",
        types=(REMOTE_IMAGE, *SIZED),
        check_container=check_tag,
        scanners="LSPKCT",
    ),
    Rule(
        name="images-reference-forbid-bitnami",
        description="No image comes from the frozen docker.io/bitnami* repositories.",
        types=(REMOTE_IMAGE, *SIZED),
        check_container=check_bitnami,
    ),
    Rule(
        name="images-reference-suggest-digest",
        description="On Kubernetes, an image is named by digest or by a tag that is made from its content.",
        types=(*PODS, *OPERATED),
        check_container=suggest_digest,
        level="advisory",
        scanners="KC",
    ),
    Rule(
        name="images-container-set-pull",
        description="On Kubernetes, a container says when its image is pulled.",
        types=PODS,
        check_container=check_pull,
        scanners="SPKC",
    ),
)
