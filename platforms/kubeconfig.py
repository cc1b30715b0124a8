"""Whether the kubeconfig leads to a cluster that answers."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

PATIENCE = 5.0
"""Seconds that an API server has to take a connection."""


def files(variable: str | None) -> list[Path]:
    """The files that clients read: those of `KUBECONFIG`, or ~/.kube/config."""
    listed = [Path(part) for part in (variable or "").split(":") if part]
    return [file for file in listed or [Path.home() / ".kube" / "config"] if file.is_file()]


def silence(context: str, found: Sequence[Path], timeout: float = PATIENCE) -> str | None:
    """Why no cluster answers under a context of these files, in a few words; None where one does."""
    contexts, clusters = _named(found, "contexts", "context"), _named(found, "clusters", "cluster")
    if context not in contexts:
        there = f"there are: {', '.join(sorted(contexts))}" if contexts else "there is none at all"
        return f"the kubeconfig has no context of this name; {there}"
    server = str(clusters.get(contexts[context].get("cluster", ""), {}).get("server", ""))
    parts = urlsplit(server)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout).close()
    except (OSError, ValueError) as error:
        return f"{server or 'no address'} does not answer: {error}"
    return None


def _named(found: Sequence[Path], key: str, inner: str) -> Mapping[str, Mapping[str, Any]]:
    """The entries of one list by name; the first file that has a name wins, as with every client."""
    entries: dict[str, Mapping[str, Any]] = {}
    for file in found:
        try:
            document = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError):
            continue
        for entry in (document or {}).get(key) or ():
            entries.setdefault(str(entry.get("name")), entry.get(inner) or {})
    return entries
