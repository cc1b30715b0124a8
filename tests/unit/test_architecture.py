"""The house rules that a program can check: who imports whom, and how large a room may be."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("config", "systems", "components", "platforms", "policies", "toolchain", "report", "benchmarks", "tests")
LINES = 400
SDKS = ("pulumi_docker", "pulumi_kubernetes", "pulumi_aws", "pulumi_random")
SHARED_MODULES = tuple(
    f"platforms/{module}.py"
    for module in ("protocols", "specs", "engines", "grafana", "headers", "certificates", "secrets", "kubeconfig")
)
"""What the platforms share belongs to none of them."""
SHARED = (
    *("config", "systems", "components", "platforms.docker", "platforms.kubernetes", "platforms.registry"),
    *("pulumi_docker", "pulumi_kubernetes", "pulumi_aws"),
)
FORBIDDEN = {
    # Data flows one way: config → system → component → platform → resource.
    "config": ("systems", "components", "platforms", "policies"),
    "systems": (
        "platforms.docker",
        "platforms.kubernetes",
        "platforms.aws",
        "platforms.registry",
        *SDKS,
        "os",
    ),
    "components": (
        "config",
        "systems",
        "platforms.docker",
        "platforms.kubernetes",
        "platforms.registry",
        *SDKS,
        "os",
        "socket",
    ),
    "platforms/docker": (
        "config",
        "systems",
        "components",
        "platforms.kubernetes",
        "pulumi_kubernetes",
        "pulumi_aws",
        "os",
    ),
    "platforms/kubernetes": (
        "config",
        "systems",
        "components",
        "platforms.docker",
        "pulumi_docker",
        "pulumi_aws",
        "os",
    ),
    **dict.fromkeys(SHARED_MODULES, SHARED),
}
ALLOWED = {
    # The schema completes the names of systems; it is a tool, not a part of the program.
    "config/schema.py": {"systems"},
    # What looks like a credential is decided in one place.
    "config/systems_checks.py": {"policies"},
}


def sources(room: str) -> list[Path]:
    """Python files below a room, or the file itself."""
    path = ROOT / room
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    """Dotted names that a file imports, at any depth."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_imports_follow_the_flow_of_data(room: str) -> None:
    wrong = [
        (str(file.relative_to(ROOT)), name)
        for file in sources(room)
        for name in imports(file)
        for forbidden in FORBIDDEN[room]
        if (name == forbidden or name.startswith(f"{forbidden}."))
        and name.split(".")[0] not in ALLOWED.get(str(file.relative_to(ROOT)), set())
    ]
    assert wrong == []


@pytest.mark.parametrize("pattern", [r"\bif stack ==", r"\bif platform ==", r"isinstance\(\s*(self\.)?_?platform\b"])
def test_nothing_but_the_registry_asks_where_it_runs(pattern: str) -> None:
    for room in ("__main__.py", "systems", "components", "platforms"):
        for file in sources(room):
            if file.name != "registry.py":
                assert not re.search(pattern, file.read_text(encoding="utf-8")), file


def test_the_program_is_short() -> None:
    assert len((ROOT / "__main__.py").read_text(encoding="utf-8").splitlines()) < 80


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_is_longer_than_a_reader_can_keep_in_mind(room: str) -> None:
    long = {
        str(file.relative_to(ROOT)): lines
        for file in sources(room)
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > LINES
    }
    assert long == {}


@pytest.mark.parametrize("room", ["systems", "components", "platforms"])
def test_no_resource_is_made_inside_apply(room: str) -> None:
    for file in sources(room):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "apply":
                inner = ast.unparse(node)
                assert not re.search(r"\b(docker|random|kubernetes|aws)\.[A-Z]\w+\(", inner), f"{file}: {inner}"


def test_importing_the_program_s_modules_does_nothing() -> None:
    for room in ("systems", "components", "platforms", "config"):
        for file in sources(room):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                is_statement_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
                assert not is_statement_call, f"{file}:{node.lineno} runs at import"


def test_no_path_of_one_machine_stands_in_the_code() -> None:
    text = "\n".join(
        file.read_text(encoding="utf-8", errors="ignore") for room in ROOMS if room != "tests" for file in sources(room)
    )
    assert not re.search(r"[\"' ]/(home|root)/", text)
