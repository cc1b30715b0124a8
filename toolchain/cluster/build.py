"""The cluster's programs, built from their pinned Go modules in `modules/`; what was built is not built again."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from toolchain import pulumi_cli
from toolchain.cluster.settings import BIN, LOGS, VERSION
from toolchain.console import run, step

MODULES = Path(__file__).parent / "modules"
VERSION_PACKAGE = "k8s.io/component-base/version"
PACKAGES = {
    "kubernetes": ".",
    "coredns": "github.com/coredns/coredns",
    "kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "local-path-provisioner": "github.com/rancher/local-path-provisioner",
    "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
    "pause": ".",
}
"""The package that is built in each module."""
SYMBOLS = {
    "kubernetes": (
        f"{VERSION_PACKAGE}.gitVersion=v{VERSION}",
        f"{VERSION_PACKAGE}.gitMajor=1",
        f"{VERSION_PACKAGE}.gitMinor={VERSION.split('.')[1]}",
    ),
}
"""What the linker writes into a program: without it Kubernetes takes itself for v0.0.0."""


def program(
    name: str,
    package: str | None = None,
    *,
    module: Path | None = None,
    symbols: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Path:
    """The binary of a module, built where it is missing; its name holds the hash of what it is built from.

    `package` is the package to build and `module` the module's folder, for programs that are not in the tables above;
    `symbols` are what the linker writes into it (`package.variable=value`), `options` are further ones of `go build`.

    Raises ToolchainError when Go cannot be had or the build fails.
    """
    folder = module or MODULES / name
    package = package or PACKAGES[name]
    flags = " ".join(["-s -w", *(f"-X {symbol}" for symbol in (*SYMBOLS.get(name, ()), *symbols))])
    target = BIN / f"{name}-{_key(folder, package, ' '.join([flags, *options]))}"
    BIN.mkdir(parents=True, exist_ok=True)
    with (BIN / f".{name}.lock").open("w") as lock:
        # Two commands may want the same program: the second waits for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_file():
            _build(name, folder, [*options, "-ldflags", flags, package], target)
    return target


def _key(folder: Path, package: str, flags: str) -> str:
    digest = hashlib.sha256(f"{package} {flags}".encode())
    for file in sorted(folder.iterdir()):
        if file.name in {"go.mod", "go.sum"} or file.suffix == ".go":
            digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _build(name: str, folder: Path, arguments: Sequence[str], target: Path) -> None:
    go = pulumi_cli.go(folder)
    env = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    made = target.with_name(f"{target.name}.made")
    with step(f"build {name} from its Go module (once; minutes on two cores)"):
        command: list[str | Path] = [go, "build", "-o", made, *arguments]
        run(command, log=LOGS / f"build-{name}.log", env=env, cwd=folder)
    for old in BIN.glob(f"{name}-????????????"):
        old.unlink()
    made.rename(target)
