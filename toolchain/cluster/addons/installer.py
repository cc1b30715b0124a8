"""Putting add-ons on the cluster: build, load, apply, wait; and nothing at all where they are there already."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from toolchain.cluster import kubectl
from toolchain.cluster.addons import materials
from toolchain.cluster.addons.addon import Addon, Object, Program
from toolchain.cluster.addons.catalogue import ADDONS
from toolchain.cluster.addons.failures import explain
from toolchain.cluster.addons.objects import LABEL
from toolchain.console import ToolchainError, say, step

WORKERS = 2
"""Add-ons that are built and applied at a time: a Go build keeps more than one core busy."""
PATIENCE = 240
"""Seconds that an add-on's pods have to become ready."""
TRIAL_PATIENCE = 90
"""Seconds that an add-on's webhooks have to answer, once its pods are ready."""
TYPES_PATIENCE = 60
"""Seconds until types take objects."""
MANAGER = "ai-platform-addons"
"""Field manager of what is applied, and name of the ConfigMap in kube-system that records it."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What can be applied: everything of an add-on that needs no cluster."""

    addon: Addon
    types: str
    objects: list[Object]
    binaries: list[tuple[Program, Path]]


def select(names: Sequence[str] | None) -> list[Addon]:
    """The named add-ons in their order, all where `names` is None.

    Raises ToolchainError for a name that is none of theirs.
    """
    known = [addon.name for addon in ADDONS]
    if unknown := sorted(set(names or ()) - set(known)):
        raise ToolchainError(f"no such add-on: {', '.join(unknown)}; there are: {', '.join(known)}")
    return [addon for addon in ADDONS if names is None or addon.name in names]


def prepare(names: Sequence[str] | None = None) -> list[Prepared]:
    """Build what the named add-ons need (all: None); needs no cluster yet.

    Raises ToolchainError when one cannot be built.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(_prepare, select(names)))


def install(names: Sequence[str] | None = None) -> None:
    """Bring the named add-ons (all: None) onto the cluster and wait until they work.

    Raises ToolchainError that names the add-on and what its pods say.
    """
    addons = select(names)
    settled = _settled(addons)
    waiting = [addon for addon in addons if addon.name not in settled]
    if not waiting:
        say(f"add-ons are up to date: {', '.join(addon.name for addon in addons)}")
        return
    applied: dict[str, Future[Prepared]] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        for addon in waiting:
            # Begun in this order: what one needs is never behind it in the queue.
            applied[addon.name] = pool.submit(_bring, addon, applied.get(addon.needs))
    for future in applied.values():
        prepared = future.result()
        _wait(prepared)
        # One by one: what works is not applied again because another one does not.
        _record(prepared.addon)


def install_types(names: Sequence[str] | None = None) -> None:
    """Bring the types of the named add-ons (all: None) onto a cluster where nothing runs.

    Raises ToolchainError when a module cannot be had, or the API server refuses a type.
    """
    recorded = _recorded()
    for addon in select(names):
        if addon.crds and recorded.get(addon.name) != materials.key(addon):
            with step(f"apply the types of {addon.name}"):
                _apply_types(materials.types(addon, materials.folder(addon)))
            _record(addon)


def _bring(addon: Addon, needed: Future[Prepared] | None) -> Prepared:
    prepared = _prepare(addon)
    if needed is not None:
        needed.result()
    _apply(prepared)
    return prepared


def _prepare(addon: Addon) -> Prepared:
    binaries = [(program, materials.binary(addon, program)) for program in addon.programs]
    references = {program.name: materials.reference(program, binary) for program, binary in binaries}
    folder = materials.folder(addon)
    return Prepared(
        addon=addon,
        types=materials.types(addon, folder),
        objects=addon.objects(folder, references),
        binaries=binaries,
    )


# ── what is there ────────────────────────────────────────────────────────────────────────────────────────────────────
def _settled(addons: Sequence[Addon]) -> set[str]:
    """The names of add-ons that were recorded as they should be now, and whose Deployments are available."""
    recorded = _recorded()
    found = json.loads(kubectl("get", "deployments", "-A", "-l", LABEL, "-o", "json"))["items"]
    available: dict[str, list[bool]] = {}
    for item in found:
        conditions = {row["type"]: row["status"] for row in item.get("status", {}).get("conditions", [])}
        name = item["metadata"]["labels"][LABEL]
        available.setdefault(name, []).append(conditions.get("Available") == "True")
    return {
        addon.name
        for addon in addons
        if recorded.get(addon.name) == materials.key(addon)
        and (not addon.programs or all(available.get(addon.name, [False])))
    }


def _recorded() -> dict[str, str]:
    """Of each add-on that was brought onto the cluster, what it was made from."""
    text = kubectl("-n", "kube-system", "get", "configmap", MANAGER, "--ignore-not-found", "-o", "json")
    return dict(json.loads(text).get("data", {})) if text.strip() else {}


def _record(addon: Addon) -> None:
    record = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": MANAGER, "namespace": "kube-system"},
        "data": {addon.name: materials.key(addon)},
    }
    # Each add-on's line has a manager of its own: what one does not name stays.
    _server_side(_yaml([record]), f"{MANAGER}-{addon.name}")


# ── applying ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _yaml(objects: Sequence[Object]) -> str:
    return yaml.safe_dump_all(objects, sort_keys=False)


def _server_side(text: str, manager: str = MANAGER) -> None:
    kubectl("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "-f", "-", input=text)


def _apply(prepared: Prepared) -> None:
    with step(f"apply add-on {prepared.addon.name}"):
        for program, binary in prepared.binaries:
            materials.load(program, binary)
        if prepared.types:
            _apply_types(prepared.types)
        if prepared.objects:
            _server_side(_yaml(prepared.objects))


def _apply_types(text: str) -> None:
    _server_side(text)
    names = re.findall(r"(?m)^  name: (\S+)$", text)
    # It fails at once on a type that has no conditions yet.
    _insist(TYPES_PATIENCE, "wait", "--for=condition=Established", f"--timeout={TYPES_PATIENCE}s", "crd", *names)


def _wait(prepared: Prepared) -> None:
    addon = prepared.addon
    for name in [item["metadata"]["name"] for item in prepared.objects if item["kind"] == "Deployment"]:
        with step(f"wait for {addon.name}: {name}"):
            try:
                kubectl("-n", addon.namespace, "rollout", "status", f"deployment/{name}", f"--timeout={PATIENCE}s")
            except ToolchainError as error:
                raise ToolchainError(explain(addon, name)) from error
    if addon.trial is not None:
        _try(addon, _yaml([addon.trial]))


def _try(addon: Addon, trial: str) -> None:
    """Create an object in a dry run until the add-on's webhooks let it through."""
    try:
        _insist(TRIAL_PATIENCE, "create", "--dry-run=server", "-f", "-", text=trial)
    except ToolchainError as error:
        raise ToolchainError(f"add-on {addon.name}: its webhooks do not answer\n{error}") from error


def _insist(seconds: float, *arguments: str, text: str | None = None) -> None:
    """Run kubectl until it succeeds. Raises ToolchainError with its last words after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        try:
            kubectl(*arguments, input=text)
        except ToolchainError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
        else:
            return
