"""Installing the stand-ins."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from toolchain.plugins import install


@pytest.fixture
def place(toolbox: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A link to the CLI in a folder of its own, and a PULUMI_HOME."""
    original = Path(toolbox["PATH"].partition(":")[0], "pulumi")
    pulumi = tmp_path / "with space" / "pulumi"
    pulumi.parent.mkdir()
    pulumi.symlink_to(original)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    return pulumi, tmp_path / "home"


def snapshot(*folders: Path) -> dict[Path, int]:
    """Modification times of everything executable below."""
    files = [file for folder in folders for file in folder.rglob("pulumi-*") if file.is_file()]
    return {file: file.stat().st_mtime_ns for file in files}


def test_installing_twice_changes_nothing_and_says_what_is_used(place: tuple[Path, Path]) -> None:
    pulumi, home = place
    command = [sys.executable, "-m", "toolchain.plugins.install", "--pulumi", str(pulumi), "--only", "docker,random"]
    notice = subprocess.run(command, cwd=install.ROOT, check=True, capture_output=True, text=True).stdout
    assert notice.count("\n") == 1
    assert "stand-ins for the Python language host, docker 5.2.0, random 4.21.4" in notice
    before = snapshot(home, pulumi.parent)
    launchers = {"pulumi-language-python", "pulumi-resource-docker", "pulumi-resource-random"}
    assert {file.name for file in before if file.suffix != ".log"} == launchers
    again = subprocess.run(command, cwd=install.ROOT, check=True, capture_output=True, text=True).stdout
    assert again == notice
    assert {file: time for file, time in snapshot(home, pulumi.parent).items() if file.suffix != ".log"} == {
        file: time for file, time in before.items() if file.suffix != ".log"
    }


def test_only_the_named_providers_are_installed(place: tuple[Path, Path]) -> None:
    pulumi, home = place
    install.install(str(pulumi), sys.executable, ["random"])
    assert [folder.name for folder in (home / "plugins").iterdir() if folder.is_dir()] == ["resource-random-v4.21.4"]


def test_a_stand_in_of_another_environment_is_replaced(place: tuple[Path, Path]) -> None:
    pulumi, home = place
    install.install(str(pulumi), sys.executable, ["random"])
    launcher = home / "plugins" / "resource-random-v4.21.4" / "pulumi-resource-random"
    launcher.write_text("#!/bin/sh\n# Stand-in of elsewhere\n", encoding="utf-8")
    assert install.install_provider(str(pulumi), sys.executable, "random", "4.21.4")
    assert sys.executable in launcher.read_text(encoding="utf-8")


def test_an_official_plugin_is_left_alone(place: tuple[Path, Path]) -> None:
    pulumi, home = place
    official = home / "plugins" / "resource-random-v4.21.4" / "pulumi-resource-random"
    official.parent.mkdir(parents=True)
    official.write_bytes(b"\x7fELF official")
    assert not install.install_provider(str(pulumi), sys.executable, "random", "4.21.4")
    assert official.read_bytes() == b"\x7fELF official"


def test_an_official_language_host_is_left_alone_and_not_announced(place: tuple[Path, Path]) -> None:
    pulumi, _ = place
    official = pulumi.with_name("pulumi-language-python")
    official.write_bytes(b"\x7fELF official")
    assert "language host" not in install.install(str(pulumi), sys.executable, ["random"])
    assert official.read_bytes() == b"\x7fELF official"


@pytest.mark.parametrize(
    "patterns", [("schema.py", "provider.py", "random_provider.py", "docker_*.py"), ("kubernetes_*.py",)]
)
def test_the_stand_ins_stay_small(patterns: tuple[str, ...]) -> None:
    """900 lines of code for docker and random with their base, and for kubernetes: no blank lines, no prose."""
    count = 0
    for pattern in patterns:
        for file in Path(install.__file__).parent.glob(pattern):
            source = file.read_text(encoding="utf-8")
            texts = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr)]
            prose = {
                line
                for node in texts
                if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
                for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
            }
            lines = enumerate(source.splitlines(), start=1)
            count += sum(number not in prose and bool(line.split("#")[0].strip()) for number, line in lines)
    assert 500 < count <= 900


def test_a_missing_sdk_package_is_named() -> None:
    with pytest.raises(SystemExit, match=r"pulumi_nothing.*install requirements\.txt first"):
        install.sdk_versions(sys.executable, ["nothing"])


def test_an_unknown_provider_is_refused() -> None:
    command = [sys.executable, "-m", "toolchain.plugins.install", "--pulumi", "pulumi", "--only", "docker,azure"]
    done = subprocess.run(command, cwd=install.ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "there is no stand-in for azure; there are: docker, random, kubernetes" in done.stderr


def test_a_launcher_works_from_any_folder_and_with_odd_paths(tmp_path: Path) -> None:
    strange = tmp_path / "it's here"
    strange.mkdir()
    python = strange / "python"
    python.symlink_to(sys.executable)
    file = tmp_path / "launch"
    assert install.write_launcher(file, install.launcher(str(python), "install"))
    assert not install.write_launcher(file, install.launcher(str(python), "install"))
    done = subprocess.run(
        [file, "--help"], cwd="/", check=False, capture_output=True, text=True, env={"PYTHONPATH": "/nowhere"}
    )
    assert done.returncode == 0
    assert "--pulumi" in done.stdout
