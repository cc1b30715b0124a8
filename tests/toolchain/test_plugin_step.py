"""Official plugins first, stand-ins only without their registry, and an official language host never shadowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import plugin_step
from toolchain.plugin_step import LANGUAGE_HOST

PINS = {"docker": "5.2.0", "random": "4.21.4", "kubernetes": "4.34.2"}
REGISTRY = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/asked"
[ -e "$(dirname "$0")/reachable" ] || { echo "registry unreachable"; exit 1; }
folder="$PULUMI_HOME/plugins/resource-$4-v$5"
mkdir -p "$folder" && printf '\\177ELF' > "$folder/pulumi-resource-$4"
"""


class Machine:
    """A CLI whose plugin registry answers or not, and a record of the stand-ins that were asked for."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.cli = self.bin / "pulumi"
        self.cli.write_text(REGISTRY)
        self.cli.chmod(0o755)
        self.home = folder / "home"
        self.stand_ins: list[tuple[Path, list[str]]] = []
        monkeypatch.setenv("PULUMI_HOME", str(self.home))
        monkeypatch.setattr(plugin_step, "PULUMI_HOME", self.home)
        monkeypatch.setattr(plugin_step, "full", lambda: {"PATH": "/usr/bin:/bin", "PULUMI_HOME": str(self.home)})
        monkeypatch.setattr(plugin_step, "TOOLS", folder)
        monkeypatch.setattr(plugin_step, "LOGS", folder / "logs")
        monkeypatch.setattr(plugin_step, "RECORD", folder / "plugins.json")
        monkeypatch.setattr(plugin_step, "_stand_ins", self._stand_ins)

    def _stand_ins(self, cli: Path, names: list[str]) -> None:
        self.stand_ins.append((cli, names))
        if not (self.bin / LANGUAGE_HOST).exists():
            (self.bin / LANGUAGE_HOST).write_text("#!/bin/sh\n")
        for name in names:
            folder = self.home / "plugins" / f"resource-{name}-v{PINS[name]}"
            folder.mkdir(parents=True)
            (folder / f"pulumi-resource-{name}").write_text("#!/bin/sh\n")

    def asked(self) -> int:
        """How often the registry was asked."""
        file = self.bin / "asked"
        return len(file.read_text().splitlines()) if file.is_file() else 0


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine without any plugin."""
    return Machine(tmp_path, monkeypatch)


def test_the_versions_are_those_of_the_sdk_packages() -> None:
    text = (plugin_step.ROOT / "requirements.txt").read_text()
    assert plugin_step.versions(text) == PINS


def test_official_plugins_are_taken_where_the_registry_answers(machine: Machine) -> None:
    (machine.bin / "reachable").touch()
    (machine.bin / LANGUAGE_HOST).write_bytes(b"\x7fELF")
    plugin_step.ensure(machine.cli)
    assert machine.stand_ins == []
    assert machine.asked() == len(PINS)
    plugin_step.ensure(machine.cli)
    assert machine.asked() == len(PINS), "what is there is not asked for again"


def test_a_plugin_whose_installation_was_killed_is_installed_again(machine: Machine) -> None:
    (machine.bin / "reachable").touch()
    (machine.bin / LANGUAGE_HOST).write_bytes(b"\x7fELF")
    plugin_step.ensure(machine.cli)
    # The CLI's own mark, beside the folder that it fills.
    (machine.home / "plugins" / "resource-docker-v5.2.0.partial").touch()
    plugin_step.ensure(machine.cli)
    assert machine.asked() == len(PINS) + 1


def test_a_registry_that_does_not_answer_is_asked_once(machine: Machine) -> None:
    plugin_step.ensure(machine.cli)
    plugin_step.ensure(machine.cli)
    assert machine.asked() == 1
    assert machine.stand_ins == [(machine.cli, ["docker", "random", "kubernetes"])]


def test_a_built_cli_gets_the_language_host_even_with_official_plugins(machine: Machine) -> None:
    (machine.bin / "reachable").touch()
    plugin_step.ensure(machine.cli)
    assert machine.stand_ins == [(machine.cli, [])]


def test_stand_ins_are_replaced_once_the_project_is_made_ready_anew_with_a_registry(machine: Machine) -> None:
    plugin_step.ensure(machine.cli)
    (machine.bin / "reachable").touch()
    plugin_step.RECORD.unlink()
    plugin_step.ensure(machine.cli)
    for name, version in PINS.items():
        assert not plugin_step._is_stand_in(name, version)


def test_an_official_language_host_is_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    official = tmp_path / "official"
    official.mkdir()
    (official / "pulumi").write_bytes(b"\x7fELF")
    (official / LANGUAGE_HOST).write_bytes(b"\x7fELF official")
    given: list[str] = []

    def installer(arguments: list[str], **_: object) -> object:
        given.extend(arguments)

        class Done:
            returncode, stdout, stderr = 0, "installed", ""

        return Done

    monkeypatch.setattr(plugin_step, "TOOLS", tmp_path)
    monkeypatch.setattr(plugin_step.subprocess, "run", installer)
    plugin_step._stand_ins(official / "pulumi", ["docker"])
    laid_beside = Path(given[given.index("--pulumi") + 1])
    assert laid_beside.parent != official, "the installer writes beside the path that it is given"
    assert laid_beside.resolve() == official / "pulumi"
    assert (official / LANGUAGE_HOST).read_bytes() == b"\x7fELF official"
