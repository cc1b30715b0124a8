"""The root filesystem under every built image: Debian 12, by debootstrap."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from docker import DockerClient

from toolchain import apt
from toolchain.console import ToolchainError, run
from toolchain.paths import LOGS

SUITE = "bookworm"
# busybox: `wget` for health checks, as the official images of Prometheus and its exporters have it.
INCLUDE = "ca-certificates,busybox"
RECIPE = 1
"""Raised by hand when the steps below change what the image contains."""
STRIPPED = (
    "etc/resolv.conf",
    "etc/hostname",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
)


def mirrors(sources: str) -> tuple[str | None, str | None]:
    """The archive and the security archive that the machine's own apt sources name; None for what they do not.

    Only a Debian machine's sources can hold Debian; the URIs are those of one-line and of deb822 sources.
    """
    uris = [uri.rstrip("/") for uri in re.findall(r"https?://[^\s\]]+", re.sub(r"(?m)^\s*#.*$", "", sources))]
    archive = next((uri for uri in uris if uri.endswith("/debian")), None)
    security = next((uri for uri in uris if uri.endswith(("/debian-security", "/security"))), None)
    return archive, security


def _machine_sources() -> str:
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    return "\n".join(file.read_text(errors="replace") for file in files if file.is_file())


def build_base(client: DockerClient, tag: str) -> str:
    """Make and import the base image; returns its id.

    Raises ToolchainError where debootstrap cannot run.
    """
    if os.geteuid() != 0:
        raise ToolchainError("images are built with debootstrap, which needs root: run `sudo make images` once")
    if shutil.which("debootstrap") is None:
        if shutil.which("apt-get") is None:
            raise ToolchainError("images are built with debootstrap: install it, then run `make images` again")
        apt.install("debootstrap")
    archive, security = mirrors(_machine_sources())
    with tempfile.TemporaryDirectory(prefix="ai-platform-base-") as scratch:
        root = Path(scratch) / "root"
        run(
            # Without an archive it takes its own default, and notes it in the sources of the new system.
            ["debootstrap", "--variant=minbase", f"--include={INCLUDE}", SUITE, root, *([archive] if archive else [])],
            log=LOGS / "debootstrap.log",
        )
        _finish(root, archive, security)
        return _import(client, root, tag)


def _finish(root: Path, archive: str | None, security: str | None) -> None:
    sources = root / "etc/apt/sources.list"
    if archive is None:
        archive = sources.read_text().split()[1]
        security = f"{archive}-security"
    lines = [f"deb {archive} {SUITE} main", f"deb {archive} {SUITE}-updates main"]
    if security is not None:
        lines.append(f"deb {security} {SUITE}-security main")
    sources.write_text("\n".join([*lines, ""]))
    # The rest of the security updates; what an image adds is new already.
    upgrade = "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends upgrade"
    run(["chroot", root, "sh", "-ec", upgrade], log=LOGS / "base-upgrade.log")
    for name in STRIPPED:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
            path.mkdir()
        else:
            path.unlink(missing_ok=True)
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    (root / "var/lib/apt/lists/partial").mkdir(parents=True)
    (root / "usr/bin/wget").symlink_to("busybox")


def _import(client: DockerClient, root: Path, tag: str) -> str:
    repository, _, version = tag.rpartition(":")
    tar = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
    if tar.stdout is None:
        raise ToolchainError("tar gave no output")
    client.api.import_image_from_stream(
        tar.stdout, repository=repository, tag=version, changes=['CMD ["bash"]', "ENV LANG=C.UTF-8"]
    )
    if tar.wait() != 0:
        raise ToolchainError(f"tar failed with status {tar.returncode}")
    return str(client.images.get(tag).id)
