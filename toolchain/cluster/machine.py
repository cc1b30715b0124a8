"""What the cluster needs of the machine, and whose cluster runs on it: asked before anything is touched."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from toolchain import apt
from toolchain.cluster import probes, processes
from toolchain.cluster.settings import (
    API_PORT,
    CLUSTER,
    ETCD_PEER_PORT,
    ETCD_PORT,
    KUBELET_PORT,
    KWOK_PORT,
    MANAGER_PORT,
    OTHER_RUN,
    RUN,
    SCHEDULER_PORT,
    SIMULATED,
)
from toolchain.console import ToolchainError, say
from toolchain.paths import ROOT

OWNER = RUN / "owner"
BOOT = RUN / "boot"
"""Between which start of the machine and its end the cluster runs."""
LOCK = RUN.with_suffix(".lock")
PATIENCE = 900.0
"""Seconds that another `up` or `down` of this machine has to end."""
CONTROL = {"etcd": "etcd-server"}
NODE = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "ipset": "ipset",
    "ip": "iproute2",
}
PACKAGES = CONTROL if SIMULATED else CONTROL | NODE
"""Programs that the cluster runs, and the Debian package of each."""
SYSTEM = ("/usr/sbin", "/sbin")
"""Where programs for root lie that an ordinary PATH does not name."""
INSTEAD = (
    "Pods need a Debian or Ubuntu machine as root: their containers, their network, their volumes. Everywhere else, "
    "deploy to a cluster of your own: KUBECONFIG=<its kubeconfig> make up STACK=staging"
)
LONGEST = 71
"""Characters of the cluster's folder: below it the kubelet opens sockets, whose paths end after 107."""


def missing() -> list[str]:
    """Debian packages that the machine lacks."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM])
    return [package for name, package in PACKAGES.items() if shutil.which(name, path=path) is None]


def refusal(*, root: bool, packages: list[str], debian: bool, owner: str | None, folder: Path = CLUSTER) -> str | None:
    """Why no cluster can be started here; None where nothing speaks against it.

    `packages` are those that the machine lacks, `owner` the folder of another clone whose cluster it runs.
    """
    if packages and not root:
        return f"this machine lacks {', '.join(packages)}, which root can install; nothing was changed"
    if packages and not debian:
        return f"this machine has no apt-get, and lacks {', '.join(packages)}. {INSTEAD}"
    if owner is not None:
        return (
            f"this machine runs the local cluster of {owner}, and one is all that it can run. "
            f"Use that one, or end it: make -C {owner} cluster-down; nothing was changed"
        )
    if not SIMULATED and len(str(folder)) > LONGEST:
        return (
            f"{folder} has {len(str(folder))} characters, and {LONGEST} is the most that the kubelet's sockets leave: "
            f"move this folder to a shorter path; nothing was changed"
        )
    return None


def check() -> None:
    """Raises ToolchainError with the reason, and with what works instead, where no cluster can be started here."""
    reason = refusal(root=os.geteuid() == 0, packages=missing(), debian=_debian(), owner=other_owner())
    if reason is None and owner() is None:
        reason = other_kind() or taken_ports()
    if reason:
        raise ToolchainError(reason)


def check_pods() -> None:
    """Raises ToolchainError where pods would only be simulated: nothing that is deployed would answer."""
    if SIMULATED:
        raise ToolchainError(f"the nodes of this cluster would be simulated: no pod runs. {INSTEAD}")


def other_kind() -> str | None:
    """A message about this clone's cluster of the other kind, whose state is in the same folder; None without one."""
    note = OTHER_RUN / OWNER.name
    if not note.is_file() or note.read_text().strip() != str(ROOT):
        return None
    kind, end = ("with pods", "") if SIMULATED else ("of simulated nodes", " SIMULATED=1")
    return f"this folder has a cluster {kind} already; to end it: make cluster-down{end}; nothing was changed"


def _debian() -> bool:
    return shutil.which("apt-get") is not None


def taken_ports() -> str | None:
    """A message about ports of the cluster that another program holds; None where all are free."""
    ports = [ETCD_PORT, ETCD_PEER_PORT, API_PORT, MANAGER_PORT, SCHEDULER_PORT]
    ports += [KWOK_PORT] if SIMULATED else [KUBELET_PORT, 10248, 10256]
    taken = [port for port in ports if not probes.is_free("127.0.0.1", port)]
    if not taken:
        return None
    return (
        f"taken by another program: {', '.join(f'port {port}' for port in taken)} of 127.0.0.1 "
        f"(`ss -ltnp 'sport = :{taken[0]}'` shows which, often another Kubernetes): end it; nothing was changed"
    )


def install() -> None:
    """Install the packages that are missing.

    Raises ToolchainError when apt fails.
    """
    if packages := missing():
        apt.install(*packages)


def owner() -> str | None:
    """The folder whose cluster this machine runs, or has half started or ended."""
    return OWNER.read_text().strip() if OWNER.is_file() else None


def other_owner() -> str | None:
    """The folder of another clone whose cluster runs here; one that is abandoned does not count."""
    found = owner()
    return None if found in {None, str(ROOT)} or abandoned() else found


def abandoned() -> bool:
    """Whether another clone left traces of its cluster here: nothing of it runs any more, or its folder is gone."""
    found = owner()
    if found in {None, str(ROOT)}:
        return False
    runs = any(processes.pid(name) for name in processes.recorded()) or any(processes.shims())
    return not (runs and Path(str(found)).is_dir())


def rebooted() -> bool:
    """Whether the machine was started anew since the cluster was; some keep /run even then, and all in it is void."""
    return owner() is not None and (not BOOT.is_file() or BOOT.read_text() != processes.BOOT.read_text())


def claim() -> None:
    """Note that the machine's cluster is this clone's."""
    RUN.mkdir(parents=True, exist_ok=True, mode=0o711)
    BOOT.write_text(processes.BOOT.read_text())
    OWNER.write_text(f"{ROOT}\n")


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """One `up` or `down` of this machine at a time.

    Raises ToolchainError when the machine can have no cluster at all, and when another does not end in time.
    """
    if reason := refusal(root=os.geteuid() == 0, packages=missing(), debian=_debian(), owner=None):
        raise ToolchainError(reason)
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        end = time.monotonic() + PATIENCE
        told = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pass
            if not told:
                say("another command works on the local cluster: waiting for it to end")
                told = True
            if time.monotonic() > end:
                raise ToolchainError(f"another command still works on the local cluster after {PATIENCE:.0f} s")
            time.sleep(0.3)
        yield
