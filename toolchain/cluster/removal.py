"""`down`: end what the cluster runs and take away all that it made, however much of it there is."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from toolchain.cluster import firewall, machine, processes
from toolchain.cluster.settings import (
    CONTAINERD,
    ETCD,
    KUBECONFIG,
    KUBELET,
    LOGS,
    PKI,
    RUN,
    SETTINGS,
    SIMULATED,
    VOLUMES,
)
from toolchain.console import ToolchainError, say, step
from toolchain.paths import CLUSTER, ROOT

ORDER = ("kube-router", "kube-proxy", "kube-scheduler", "kube-controller-manager", "kube-apiserver")
"""The order in which these end: after the containers and all other programs, and before containerd and etcd."""
STATE = (ETCD, CONTAINERD, KUBELET, VOLUMES, PKI, SETTINGS, LOGS / "pods")
CNI_RESULTS = Path("/var/lib/cni/results")
NAMESPACES = Path("/run/netns")
CONTAINER_LOGS = Path("/var/log/containers")
CGROUPS = Path("/sys/fs/cgroup")
PODS = "kubepods"
"""The kubelet's cgroup, below which all containers of pods are."""
GRACE = 3.0
"""Seconds that a program has to end by itself: what it would still write is removed."""
PATIENCE = 30.0
"""Seconds that killed processes have to go."""


def down() -> None:
    """End the cluster of this clone and remove its state; programs that were built stay. Twice is fine.

    Raises ToolchainError when the machine's cluster is another clone's, or something cannot be removed.
    """
    with machine.turn():
        if other := machine.other_owner():
            raise ToolchainError(f"this machine's local cluster is that of {other}: make -C {other} cluster-down")
        # After a reboot nothing may be left but the state.
        mine = machine.owner() is not None or any(folder.exists() for folder in STATE)
        if mine:
            with step("end the local cluster"):
                end()
        for folder in STATE:
            shutil.rmtree(folder, ignore_errors=True)
        KUBECONFIG.unlink(missing_ok=True)
        if left := [str(path) for path in (*STATE, RUN) if path.exists()]:
            raise ToolchainError(f"could not be removed: {', '.join(left)}; again: make cluster-down")
        if not mine:
            say("no local cluster runs here")


def end() -> None:
    """End whatever runs of the machine's cluster and undo what it made outside its folder; its state stays.

    Raises ToolchainError when something does not end, or cannot be unmounted.
    """
    names = processes.recorded()
    last = [name for name in ("containerd", "etcd") if name in names]
    between = [name for name in names if name not in ORDER and name not in last]
    # The containers before the API server, which waits for those who watch it; and the kubelet before them.
    processes.stop("kubelet")
    if not SIMULATED:
        _kill_containers()
    for name in [*between, *(name for name in ORDER if name in names), *last]:
        processes.stop(name, GRACE)
    if not SIMULATED:
        _undo()
    shutil.rmtree(RUN, ignore_errors=True)


def _undo() -> None:
    """What a real node has made outside the cluster's folder."""
    unmount((CLUSTER, RUN, *([Path(owner) / CLUSTER.relative_to(ROOT)] if (owner := machine.owner()) else [])))
    _network_namespaces()
    firewall.remove()
    _links()
    _remove_cgroups()


def _kill_containers() -> None:
    """End the shims first: they would start nothing anew, but report to a containerd that is about to end."""
    end = time.monotonic() + PATIENCE
    while found := [*processes.shims(), *contained()]:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > end:
            raise ToolchainError(f"processes of containers do not end: {', '.join(map(str, found))}")
        time.sleep(0.1)


def contained() -> Iterator[int]:
    """Processes in the cgroups of pods."""
    seen: set[int] = set()
    for folder in _cgroups():
        with contextlib.suppress(OSError):
            seen.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
    yield from sorted(seen)


def _cgroups() -> list[Path]:
    """The cgroups of pods in every hierarchy, the deepest first."""
    tops = [path for path in (CGROUPS / PODS, *CGROUPS.glob(f"*/{PODS}")) if not path.parent.is_symlink()]
    # They go while they are looked at: os.walk takes that as it comes.
    return [Path(folder) for top in tops for folder, _, _ in os.walk(top, topdown=False)]


def mounts(text: str, folders: Iterable[Path]) -> list[str]:
    """Mount points below folders, the deepest first, of what /proc/self/mountinfo says."""
    starts = tuple(f"{folder}/" for folder in folders)
    # Blanks and the like are written in octal.
    points = [line.split()[4].encode().decode("unicode_escape") for line in text.splitlines() if line.strip()]
    return sorted((point for point in points if f"{point}/".startswith(starts)), key=len, reverse=True)


def unmount(folders: Iterable[Path]) -> None:
    """Unmount everything below folders, so that removing them cannot reach what was mounted there.

    Raises ToolchainError when something stays mounted.
    """
    kept = list(folders)
    for point in mounts(Path("/proc/self/mountinfo").read_text(), kept):
        if subprocess.run(["umount", point], capture_output=True, check=False).returncode != 0:
            subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)
    if left := mounts(Path("/proc/self/mountinfo").read_text(), kept):
        raise ToolchainError(f"still mounted: {', '.join(left)}; again: make cluster-down")


def _network_namespaces() -> None:
    """Those that the network plugin noted for pods of this cluster; their interfaces go with them."""
    for note in CNI_RESULTS.glob("ai-platform-*"):
        pod, paths = noted(note.read_text(errors="replace"))
        for path in paths:
            subprocess.run(["umount", path], capture_output=True, check=False)
            path.unlink(missing_ok=True)
        # Each pod has a second note, of its loopback interface.
        for one in [note, *CNI_RESULTS.glob(f"*-{pod}-*")]:
            one.unlink(missing_ok=True)
    if NAMESPACES.is_dir() and not any(NAMESPACES.iterdir()):
        # containerd mounts the folder upon itself; where nothing did, this fails.
        subprocess.run(["umount", NAMESPACES], capture_output=True, check=False)


def noted(note: str) -> tuple[str, list[Path]]:
    """A pod's id and its network namespaces, as the network plugin's note says; one that was cut short names none."""
    try:
        content = json.loads(note)
    except ValueError:
        return "none", []
    interfaces = (content.get("result") or {}).get("interfaces") or []
    names = {Path(one["sandbox"]).name for one in interfaces if one.get("sandbox")}
    return str(content["containerId"]), [NAMESPACES / name for name in sorted(names) if name.startswith("cni-")]


def _links() -> None:
    """Links to logs of containers that are gone."""
    if CONTAINER_LOGS.is_dir():
        for link in CONTAINER_LOGS.iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(CLUSTER):
                link.unlink()


def _remove_cgroups() -> None:
    for folder in _cgroups():
        # One that is empty can go; its files are the kernel's.
        with contextlib.suppress(OSError):
            folder.rmdir()
