"""The real program, recorded: its configuration given as data, its image inventory made up."""

from __future__ import annotations

import json
import os
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args
from unittest import mock

import pulumi
import yaml

from config.model import Engine
from tests.config.stack_files import given
from tests.support.recording import Graph, record

ROOT = Path(__file__).resolve().parents[2]
ENGINES = tuple(name for name in get_args(Engine) if name != "grafana")


def inventory(*, grafana: bool = False) -> dict[str, Any]:
    """Every engine's image under an id that tells its name."""
    names = (*ENGINES, "grafana") if grafana else ENGINES
    return {
        name: {"image": f"sha256:{name}", "reference": f"{name}:1", "source": "built", "version": "1"} for name in names
    }


def run(
    config: Mapping[str, Any],
    folder: Path,
    *,
    stack: str = "dev",
    grafana: bool = False,
    override: Mapping[str, Mapping[str, Any]] | None = None,
) -> Graph:
    """What `__main__.py` registers under `config` (top-level key → value; `{"secure": text}` is decrypted)."""
    (folder / "images.json").write_text(json.dumps(inventory(grafana=grafana)), encoding="utf-8")
    values = {"images": {"inventory": "images.json"}, **config}
    text = yaml.safe_dump({"config": {f"ai-platform:{key}": value for key, value in values.items()}})
    (folder / f"Pulumi.{stack}.yaml").write_text(text, encoding="utf-8")
    handed = given(text)

    def program() -> None:
        pulumi.runtime.set_all_config(dict(handed.values), list(handed.secret_keys))
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")

    # Without a backend: the state of the developer's own stack is not this program's. Recording needs no engine, and
    # no cluster.
    with (
        mock.patch.dict(os.environ),
        mock.patch("platforms.registry.silence", return_value=None),
        mock.patch("platforms.kubeconfig.silence", return_value=None),
    ):
        os.environ.pop("PULUMI_BACKEND_URL", None)
        return record(program, stack=stack, override=override, root=folder)


def tracked(stack: str) -> dict[str, Any]:
    """A tracked stack, by top-level key."""
    content = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
    return {key.removeprefix("ai-platform:"): value for key, value in content["config"].items()}


def dev_config() -> dict[str, Any]:
    """The tracked dev stack."""
    return tracked("dev")
