"""`up`: start or repair the cluster, step by step; `status`: what runs."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from toolchain.cluster import (
    addons,
    build,
    control_plane,
    firewall,
    images,
    kubeconfigs,
    machine,
    node,
    pki,
    processes,
    removal,
    services,
    simulated,
)
from toolchain.cluster.kubectl import kubectl
from toolchain.cluster.processes import Component
from toolchain.cluster.settings import CONTEXT, KUBECONFIG, NODE, PKI, SIMULATED
from toolchain.console import ToolchainError, say, step


def up(simulated_nodes: int | None = None, references: Iterable[str] = ()) -> None:
    """Start the cluster, or what is missing of it, with as many simulated nodes as are wanted (None: as there are).

    `references` are images of the Docker Engine that the node gets a copy of, where it lacks them.

    Raises ToolchainError when the machine cannot run it, or a component does not become ready.
    """
    with machine.turn():
        machine.check()
        if machine.abandoned() or machine.rebooted():
            removal.end()
        machine.claim()
        machine.install()
        kubernetes = build.program("kubernetes")
        pki.ensure(PKI)
        kubeconfigs.ensure()
        if not SIMULATED:
            firewall.ensure()
        control_plane.write_settings()
        start([control_plane.etcd(shutil.which("etcd") or "etcd")])
        start([control_plane.apiserver(kubernetes)])
        start([control_plane.controller_manager(kubernetes), control_plane.scheduler(kubernetes)])
        if SIMULATED:
            simulated.ensure(simulated_nodes)
            addons.install_types()
        else:
            _pods(kubernetes, simulated_nodes, references)


def prepare() -> None:
    """Build every program of the cluster, and start nothing.

    Raises ToolchainError when one cannot be built.
    """
    if SIMULATED:
        for name in ("kubernetes", "kwok"):
            build.program(name)
        return
    for name in ("kubernetes", "pause", "kube-router", *services.PROGRAMS):
        build.program(name)
    addons.prepare()


def _pods(kubernetes: Path, simulated_nodes: int | None, references: Iterable[str]) -> None:
    """The real node, and what runs on it."""
    _node(kubernetes, build.program("pause"))
    with ThreadPoolExecutor(1) as pool:
        # Copied while the pods of services and add-ons start.
        copied = pool.submit(images.load, references)
        services.install()
        simulated.ensure(simulated_nodes)
        addons.install()
        # The metrics need a quarter of a minute for their first answer, and nothing waits for them.
        services.wait()
        copied.result()


def _node(kubernetes: Path, pause: Path) -> None:
    """The real node; containerd's settings name an image that containerd itself is handed."""
    reference = images.reference("pause", {"/pause": pause}, entrypoint=["/pause"])
    node.write_settings(reference)
    start([node.containerd()])
    images.scratch("pause", {"/pause": pause}, entrypoint=["/pause"])
    start([node.kubelet(kubernetes), node.kube_proxy(kubernetes)])
    start([services.router()])
    try:
        kubectl("wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=60s")
    except ToolchainError as error:
        log = node.kubelet(kubernetes).log
        raise ToolchainError(f"the node is not ready: {error}; log: {log}\n{processes.tail(log)}") from error


def start(components: Sequence[Component]) -> None:
    """Start components side by side and wait until each is ready."""
    begun = [component for component in components if processes.ensure(component)]
    title = f"start {', '.join(component.name for component in begun)}"
    with step(title) if begun else contextlib.nullcontext():
        # One that runs already may hang: it is asked, too.
        for component in components:
            processes.wait(component)


def status() -> int:
    """Say what runs; 0 when everything that was started still does."""
    names = processes.recorded() if machine.owner() and not machine.other_owner() else []
    if not names:
        say("no local cluster of this clone runs: make cluster")
        return 1
    dead = [name for name in names if processes.pid(name) is None]
    for name in names:
        print(f"{name:<26} {'ended' if name in dead else f'runs, pid {processes.pid(name)}'}")
    print(f"{'kubeconfig':<26} {KUBECONFIG} (context {CONTEXT})")
    return 1 if dead else 0
