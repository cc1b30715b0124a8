"""Loads the application's modules that need nothing but the standard library (and PyYAML), by their path."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

APPS = Path(__file__).resolve().parents[2] / "examples" / "app" / "apps"


def load(path: str) -> ModuleType:
    """The module at `path` under apps/, without putting its folder on the import path."""
    name = f"app_under_test.{path.removesuffix('.py').replace('/', '.')}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, APPS / path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while they are made
    spec.loader.exec_module(module)
    return module
