"""What an add-on is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
"""A Kubernetes object."""
Images = Mapping[str, str]
"""Program → reference of its image."""

# The C parser where it is there: ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class Program:
    """A Go program that runs as a container of its own."""

    name: str
    """Also the image's: `ai-platform/<name>:<hash>`."""
    package: str = "."
    path: str
    """Where the binary lies in the image."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Symbolic links in the image: path → target."""
    module: str = ""
    """Folder of its Go module in `toolchain/cluster/modules/` where that is not the add-on's."""
    symbols: tuple[str, ...] = ()
    """What the linker writes into the binary, as `package.variable=value`."""


@dataclass(frozen=True, kw_only=True)
class Addon:
    """One add-on of the local cluster."""

    name: str
    """Also the folder of its Go module in `toolchain/cluster/modules/`."""
    module: str
    """The Go module whose folder has its types and roles."""
    needs: str = ""
    """The add-on whose types its objects are of, where it is another one, earlier in the list."""
    namespace: str = ""
    """Where it runs; empty for types alone."""
    programs: tuple[Program, ...] = ()
    crds: tuple[str, ...] = ()
    """Files with its types, or folders that are kustomized for them, as patterns below the module's folder."""
    objects: Callable[[Path, Images], list[Object]] = lambda _folder, _images: []
    """What is applied beside the types, from the module's folder and the images."""
    trial: Object | None = None
    """An object that the API server accepts, in a trial that keeps nothing, once the add-on's webhooks answer."""


def documents(text: str) -> list[str]:
    """The documents of a YAML text, as text."""
    parts = ("\n" + text).split("\n---")
    return [part.strip() + "\n" for part in parts if part.strip()]


def is_type(document: str) -> bool:
    """Whether a document is a CustomResourceDefinition."""
    return "\nkind: CustomResourceDefinition\n" in f"\n{document}"


def others(file: Path) -> list[Object]:
    """The objects of a file that are no types."""
    return [yaml.load(text, LOADER) for text in documents(file.read_text()) if not is_type(text)]  # noqa: S506  (safe loaders)


def rules(*files: Path) -> list[Object]:
    """What the ClusterRoles in some files allow."""
    roles = [item for file in files for item in others(file) if item["kind"] == "ClusterRole"]
    return [rule for role in roles for rule in role["rules"]]
