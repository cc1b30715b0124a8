"""Gets each image of the catalogue: the one the engine has, else pulled, else built."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import APIError, DockerException, ImageNotFound
from docker.utils.build import exclude_paths
from requests.exceptions import RequestException

from toolchain.console import ToolchainError, say, step
from toolchain.images import base
from toolchain.images.catalog import CATALOG, Image
from toolchain.images.wheels import download
from toolchain.paths import LOGS, ROOT

FOLDER = Path(__file__).parent
REFUSALS = frozenset({400, 401, 403, 404, 429})
"""Answers of a registry that is there but does not give this image."""

BUILT = "ai-platform"
"""Repository prefix of built images."""

Entry = dict[str, str | None]
"""One image of the inventory: image (id), reference, source, version and, where it is missing, reason."""


class Workshop:
    """Gets images for one engine; safe to use from several threads."""

    def __init__(self, client: DockerClient, registry: DockerClient, *, ask: bool) -> None:
        """With `ask` the registry is asked before images are taken that the engine has.

        `registry` is a client of the same engine with a short time-out, for the question whether a registry answers.
        """
        self._client = client
        self._registry = registry
        self._ask = ask
        self._images = {image.name: image for image in CATALOG}
        self._locks = {image.name: threading.Lock() for image in CATALOG}
        self._entries: dict[str, Entry] = {}
        self._registry_lock = threading.Lock()
        self._unreachable: str | None = None

    def get(self, name: str) -> Entry:
        """The inventory's entry for an image.

        Raises ToolchainError when it should have been built and was not.
        """
        with self._locks[name]:
            if name not in self._entries:
                self._entries[name] = self._get(self._images[name])
            return self._entries[name]

    def _get(self, image: Image) -> Entry:
        found = (None if self._ask else self._local(image)) or self._pull(image)
        if found:
            return found
        if image.build:
            return self._build(image)
        reason = f"{self._unreachable or 'the registry refused it'}; Debian has no package to build it from"
        return {"image": None, "reference": image.upstream, "source": "missing", "reason": reason}

    # ── what the engine has ──────────────────────────────────────────────────────────────────────────────────────────
    def _id(self, reference: str) -> str | None:
        try:
            return str(self._client.images.get(reference).id)
        except ImageNotFound:
            return None

    def _local(self, image: Image) -> Entry | None:
        if image.reference and (found := self._id(image.reference)):
            return self._pulled(image, found)
        # The key of a build needs its parents: asked for only where something was built before.
        if not (image.build and self._client.images.list(name=f"{BUILT}/{image.name}")):
            return None
        tag = self._tag(image)
        return self._built(image, tag, found) if (found := self._id(tag)) else None

    def _pulled(self, image: Image, image_id: str) -> Entry:
        return {"image": image_id, "reference": image.reference, "source": "pulled", "version": image.version}

    # ── the registry ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _pull(self, image: Image) -> Entry | None:
        reference = image.reference
        if reference is None or not self._served(reference):
            return None
        with step(f"pull {reference}", optional=True):
            try:
                self._client.api.pull(reference)
            except (DockerException, RequestException) as error:
                say(f"{reference} cannot be pulled: {_brief(error)}")
                return None
        found = self._id(reference)
        return self._pulled(image, found) if found else None

    def _served(self, reference: str) -> bool:
        with self._registry_lock:
            if self._unreachable:
                return False
            try:
                self._registry.api.inspect_distribution(reference)
            except (DockerException, RequestException) as error:
                if not (isinstance(error, APIError) and error.status_code in REFUSALS):
                    self._unreachable = "no image registry answers"
                say(f"{self._unreachable or reference}: {_brief(error)}")
                return False
            return True

    # ── building ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _build(self, image: Image) -> Entry:
        tag = self._tag(image)
        found = self._id(tag)
        if found is None:
            with step(f"build image {image.name}"):
                found = base.build_base(self._client, tag) if image.name == "base" else self._docker_build(image, tag)
        return self._built(image, tag, found)

    def _built(self, image: Image, tag: str, image_id: str) -> Entry:
        return {"image": image_id, "reference": tag, "source": "built", "version": self._version(image, image_id)}

    def _parent(self, image: Image) -> Entry:
        return self.get(image.parent)

    def _tag(self, image: Image) -> str:
        """The name of a build; its tag changes whenever what the image is built from changes."""
        digest = hashlib.sha256()
        if image.name == "base":
            digest.update(f"{base.SUITE} {base.INCLUDE} {base.RECIPE}".encode())
        else:
            digest.update(str(self._parent(image)["image"]).encode())
            for path, content in _context(image):
                digest.update(path.encode() + b"\0" + hashlib.sha256(content).digest())
        return f"{BUILT}/{image.name}:{image.tag_prefix}{digest.hexdigest()[:12]}"

    def _docker_build(self, image: Image, tag: str) -> str:
        files = list(_context(image))
        if image.requirements:
            wheels = download(ROOT / image.requirements, _machine(self._client))
            files += [(f"wheels/{wheel.name}", wheel.read_bytes()) for wheel in wheels]
        log = LOGS / f"image-{image.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        # The classic builder: it needs no BuildKit plugin, and the host's network is the one that reaches Debian.
        stream = self._client.api.build(
            fileobj=_tar(files),
            custom_context=True,
            tag=tag,
            rm=True,
            forcerm=True,
            decode=True,
            network_mode="host",
            buildargs={"BASE": str(self._parent(image)["reference"])},
        )
        _follow(stream, log, image.name)
        return str(self._client.images.get(tag).id)

    def _version(self, image: Image, image_id: str) -> str | None:
        """Upstream's part of the Debian version that the build noted in the image."""
        if image.package is None:
            return image.version
        container = self._client.containers.create(image_id, command=["true"], network_disabled=True)
        try:
            chunks, _ = container.get_archive("/etc/image-version")
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                member = archive.extractfile("image-version")
                text = member.read().decode().strip() if member else ""
        finally:
            container.remove(force=True)
        return re.sub(r"^\d+:|[-+].*$", "", text)


def _context(image: Image) -> Iterable[tuple[str, bytes]]:
    folder = ROOT / image.context if image.context else FOLDER / image.name
    ignore = folder / ".dockerignore"
    patterns = ignore.read_text().splitlines() if ignore.is_file() else []
    patterns = [line.strip() for line in patterns if line.strip() and not line.startswith("#")]
    for name in sorted(exclude_paths(str(folder), [*patterns, "**/__pycache__", "wheels"])):
        path = folder / name
        if path.is_file():
            yield name, path.read_bytes()


def _tar(files: Iterable[tuple[str, bytes]]) -> io.BytesIO:
    """Nothing but names and contents, so that the engine's own cache sees equal contexts as equal."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755 if content.startswith(b"#!") else 0o644
            archive.addfile(entry, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def _machine(client: DockerClient) -> str:
    return str(client.info()["Architecture"])


def _follow(stream: Iterable[dict[str, Any]], log: Path, name: str) -> None:
    with log.open("w") as sink:
        for part in stream:
            sink.write(str(part.get("stream", "")))
            if "error" in part:
                sink.write(str(part["error"]))
                sink.flush()
                tail = "\n".join(log.read_text().splitlines()[-15:])
                raise ToolchainError(f"image {name} could not be built; log: {log}\n{tail}")


def _brief(error: Exception) -> str:
    text = getattr(error, "explanation", None) or str(error)
    return " ".join(str(text).split())[:160]
