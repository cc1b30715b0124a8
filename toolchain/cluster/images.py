"""Images of the node: made from single programs without an engine, or copied from the Docker Engine."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from toolchain import engine
from toolchain.cluster.node import ctr
from toolchain.cluster.settings import IMAGES, LOGS
from toolchain.console import ToolchainError, run, step

REGISTRY = "docker.io"
"""What a node puts before a name without a registry."""
USER = "65532:65532"


def in_node(reference: str) -> str:
    """The node's name of an image that the engine calls `reference`."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return reference
    return f"{REGISTRY}/{reference}" if slash else f"{REGISTRY}/library/{reference}"


def present() -> set[str]:
    """Names of the images that the node has.

    Raises ToolchainError when containerd does not answer.
    """
    done = subprocess.run(ctr("images", "list", "--quiet"), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolchainError(f"the node's containerd does not answer: {done.stderr.strip()}; again: make cluster")
    return set(done.stdout.split())


def load(references: Iterable[str]) -> None:
    """Copy images of the Docker Engine that the node lacks; those named by a digest the node pulls itself.

    Raises ToolchainError when the engine has not got one of them, or the node refuses it.
    """
    there = present()
    wanted = sorted({name for name in references if "@" not in name and in_node(name) not in there})
    if not wanted:
        return
    with step(f"copy {len(wanted)} image{'s' * (len(wanted) > 1)} into the node: {', '.join(wanted)}"):
        _copy(wanted)


def _copy(wanted: Sequence[str]) -> None:
    if shutil.which("docker") is None:
        raise ToolchainError(f"{', '.join(wanted)} cannot be copied: there is no `docker` command on this machine")
    # All at once: what they share is sent once.
    save = subprocess.Popen(
        ["docker", "save", *wanted],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"DOCKER_HOST": engine.host()},
    )
    taken = subprocess.run(ctr("images", "import", "-"), stdin=save.stdout, capture_output=True, text=True, check=False)
    complaint = save.communicate()[1].decode(errors="replace").strip()
    if save.returncode != 0:
        raise ToolchainError(f"the Docker Engine did not give {', '.join(wanted)}: {complaint}")
    if taken.returncode != 0:
        raise ToolchainError(f"the node took no images: {taken.stderr.strip()}")


def reference(
    name: str,
    files: Mapping[str, Path],
    *,
    entrypoint: Sequence[str],
    user: str = USER,
    links: Mapping[str, str] | None = None,
) -> str:
    """The name of the image that `scratch` makes."""
    digest = hashlib.sha256(json.dumps([list(entrypoint), user, dict(links or {})]).encode())
    for path, source in sorted(files.items()):
        digest.update(path.encode() + b"\0" + hashlib.sha256(source.read_bytes()).digest())
    return f"{REGISTRY}/ai-platform/{name}:{digest.hexdigest()[:12]}"


def scratch(
    name: str,
    files: Mapping[str, Path],
    *,
    entrypoint: Sequence[str],
    user: str = USER,
    links: Mapping[str, str] | None = None,
) -> str:
    """An image with nothing in it but `files` (path in the image → file here) and symbolic `links`, in the node.

    Returns its reference, whose tag changes with its content.
    """
    name_in_node = reference(name, files, entrypoint=entrypoint, user=user, links=links)
    if name_in_node not in present():
        archive = IMAGES / f"{name}.tar"
        IMAGES.mkdir(parents=True, exist_ok=True)
        _write(archive, name_in_node, _layer(files, links or {}), entrypoint, user)
        try:
            run(ctr("images", "import", str(archive)), log=LOGS / f"import-{name}.log")
        finally:
            archive.unlink()
    return name_in_node


def _layer(files: Mapping[str, Path], links: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        layer.addfile(folder)
        for path, source in sorted(files.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = source.stat().st_size, 0o755
            with source.open("rb") as content:
                layer.addfile(entry, content)
        for path, target in sorted(links.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            layer.addfile(entry)
    return buffer.getvalue()


def _write(archive: Path, reference: str, layer: bytes, entrypoint: Sequence[str], user: str) -> None:
    machine = os.uname().machine
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
        "os": "linux",
        "config": {"Entrypoint": list(entrypoint), "User": user, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    with tarfile.open(archive, "w") as tar:
        for name, content in (
            ("manifest.json", json.dumps(manifest).encode()),
            ("config.json", json.dumps(config).encode()),
            ("layer.tar", layer),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def busybox() -> str:
    """A shell and the usual small programs, from Debian's static busybox; returns the image's reference.

    Raises ToolchainError when the package cannot be had.
    """
    program = IMAGES / "busybox"
    if not program.is_file():
        _unpack("busybox-static", "bin/busybox", program)
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout
    links = {f"/bin/{name}": "busybox" for name in listed.split() if name != "busybox"}
    return scratch("busybox", {"/bin/busybox": program}, entrypoint=["/bin/sh"], links=links)


def _unpack(package: str, name: str, target: Path) -> None:
    """Take one file out of a Debian package that is not installed: it would push out what the machine has."""
    log = LOGS / f"{target.name}.log"
    with tempfile.TemporaryDirectory() as scratch_folder:
        folder = Path(scratch_folder)
        download = ["apt-get", "-o", "APT::Sandbox::User=root", "download", package]
        try:
            run(download, log=log, cwd=folder)
        except ToolchainError:
            # Package lists that are missing or old are the usual reason.
            run(["apt-get", "update"], log=LOGS / "apt-update.log")
            run(download, log=log, cwd=folder)
        run(["dpkg-deb", "--extract", next(folder.glob("*.deb")), folder], log=log)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Another file system may lie between: the copy gets its name when it is whole.
        fresh = target.with_name(f".{target.name}")
        shutil.copy2(folder / name, fresh)
        fresh.rename(target)
