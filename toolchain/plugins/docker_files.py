"""Files that the `docker` stand-in uploads into containers, and the credentials that it keeps out of messages."""

from __future__ import annotations

import base64
import io
import re
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from toolchain.plugins.schema import Values

CREDENTIAL = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|URL|DSN", re.IGNORECASE)
SHORTEST_SECRET = 8
"""Shorter values are not blotted out: they would make messages unreadable."""


def check(inputs: Values) -> Iterator[tuple[str, str]]:
    """Yield (property, reason) for every upload without exactly one source of content."""
    for index, upload in enumerate(inputs.get("uploads", [])):
        if isinstance(upload, dict) and sum(name in upload for name in ("content", "contentBase64", "source")) != 1:
            yield f"uploads[{index}]", "needs exactly one of content, contentBase64, source"


def archives(inputs: Values) -> Iterator[tuple[str, bytes]]:
    """Yield (folder, tar) for every upload. The folder is the volume that the file is in, if any.

    With a read-only root, Docker takes an archive only at a path inside a volume.
    """
    volumes = [mount["target"] for mount in inputs.get("mounts", []) if mount["type"] == "volume"]
    volumes += [volume["containerPath"] for volume in inputs.get("volumes", [])]
    for upload in inputs.get("uploads", []):
        inside = [path for path in volumes if PurePosixPath(upload["file"]).is_relative_to(path)]
        folder = max(inside, key=len, default="/")
        yield folder, pack(upload, str(PurePosixPath(upload["file"]).relative_to(folder)))


def pack(upload: Values, name: str) -> bytes:
    """A tar of one uploaded file."""
    if "source" in upload:
        content = Path(upload["source"]).read_bytes()
    elif "contentBase64" in upload:
        content = base64.b64decode(upload["contentBase64"])
    else:
        content = upload["content"].encode()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = len(content), int(time.time())
    entry.mode = int(upload.get("permissions") or ("0744" if upload["executable"] else "0644"), 8)
    entry.uid, entry.gid = int(upload.get("owner", 0)), int(upload.get("group", 0))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def hide(output: str, inputs: Values) -> str:
    """The text without the credentials that the container was given: they must not reach the terminal or the state."""
    credentials = [upload.get("content", "").strip() for upload in inputs.get("uploads", [])]
    for name, _, value in (env.partition("=") for env in inputs.get("envs", [])):
        if CREDENTIAL.search(name):
            credentials += [value, (urlsplit(value).password or "") if "://" in value else ""]
    for credential in sorted(credentials, key=len, reverse=True):
        if len(credential) >= SHORTEST_SECRET:
            output = output.replace(credential, "[secret]")
    return output
