"""The judges: how each is asked, and what it answered."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from toolchain.cluster.settings import VERSION
from toolchain.console import ToolchainError
from toolchain.judges import schemas, tools
from toolchain.judges.complaints import Complaint, Verdict

SECONDS: Final = 300
"""That one judge may take."""
GOOD: Final = 10
"""kube-score's grade for what it has nothing to say about."""
OPTIONAL: Final = (
    "container-memory-requests-equal-limits",
    "container-seccomp-profile",
    "container-ports-check",
)
"""Tests of kube-score that are off unless they are asked for."""


def kubeconform(folder: Path) -> Verdict:
    """Every field of every object is one that its type has, and of the right kind."""
    place = schemas.written()
    options = [word for name in schemas.NAMES for word in ("-schema-location", f"{place}/{name}")]
    answer = _ask([tools.program("kubeconform"), "-strict", "-verbose", "-output", "json", *options, folder])
    found = [one for one in answer.get("resources") or [] if one["status"] != "statusEmpty"]
    names = _objects(folder)
    complaints = [
        Complaint("kubeconform", one["status"].removeprefix("status").lower(), names[one["filename"]], one["msg"])
        for one in found
        if one["status"] != "statusValid"
    ]
    return Verdict("kubeconform", len(found), tuple(complaints))


def kube_score(folder: Path) -> Verdict:
    """What runs in pods is limited, probed, spread, fenced and protected."""
    version = ".".join(VERSION.split(".")[:2])
    options = [word for test in OPTIONAL for word in ("--enable-optional-test", test)]
    files = sorted(map(str, folder.rglob("*.yaml")))
    fixed = ("score", "--output-format", "json", "--kubernetes-version", f"v{version}")
    answer = _ask([tools.program("kube-score"), *fixed, *options, *files])
    complaints = []
    for one in answer:
        metadata = one.get("object_meta") or {}
        name = _name(metadata.get("namespace"), one["type_meta"]["kind"], metadata["name"])
        for check in one["checks"]:
            if check["skipped"] or check["grade"] >= GOOD:
                continue
            for comment in check["comments"] or [{}]:
                path, summary = comment.get("path"), comment.get("summary") or check["check"]["name"]
                text = f"{path}: {summary}" if path else summary
                complaints.append(Complaint("kube-score", check["check"]["id"], name, text))
    return Verdict("kube-score", len(answer), tuple(complaints))


def checkov(folder: Path) -> Verdict:
    """Checkov's rules of its framework `kubernetes`."""
    program = tools.environment() / "bin" / "checkov"
    # Its own guidelines come from the network: they are links for people, and change nothing.
    options = ["--framework", "kubernetes", "--skip-download", "--compact", "--quiet", "--output", "json"]
    answer = _ask(
        [program, "--directory", folder, *options],
        # The default rendering lies below a folder whose name begins with a dot.
        env={"CKV_IGNORE_HIDDEN_DIRECTORIES": "false", "LOG_LEVEL": "ERROR"},
    )
    results, summary = answer.get("results") or {}, answer.get("summary") or answer
    complaints = [
        Complaint("checkov", one["check_id"], _of_checkov(one["resource"]), one["check_name"])
        for one in results.get("failed_checks") or []
    ]
    complaints += [
        Complaint("checkov", "parsing", str(file), "cannot be read") for file in results.get("parsing_errors") or []
    ]
    return Verdict("checkov", summary["resource_count"], tuple(complaints))


JUDGES: Final[Mapping[str, Callable[[Path], Verdict]]] = {
    "kubeconform": kubeconform,
    "kube-score": kube_score,
    "checkov": checkov,
}


def _ask(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Any:
    """A judge's answer. It ends with a status of its own when it has found something; without an answer it failed."""
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        reason = (done.stderr or done.stdout).strip()[-1500:]
        raise ToolchainError(f"{Path(command[0]).name} did not answer:\n{reason}") from None


def _objects(folder: Path) -> dict[str, str]:
    """File → the object in it."""
    found = {}
    for file in folder.rglob("*.yaml"):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        metadata = content.get("metadata") or {}
        found[str(file)] = _name(metadata.get("namespace"), content["kind"], metadata.get("name"))
    return found


def _name(namespace: str | None, kind: str, name: str | None) -> str:
    return f"{namespace or ''}/{kind}/{name}"


def _of_checkov(resource: str) -> str:
    """`Kind.namespace.name`, with `default` where there is no namespace, and the pods of an owner further on."""
    kind, namespace, name = [*resource.split(".", 2), "", ""][:3]
    return _name(namespace, kind, name)
