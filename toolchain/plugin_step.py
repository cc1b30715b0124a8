"""The plugins: the official ones, installed by the CLI; the project's stand-ins where its registry does not answer."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

from toolchain.console import ToolchainError, run, say, step
from toolchain.environment import full
from toolchain.paths import LOGS, PULUMI_HOME, ROOT, TOOLS, VENV_PYTHON
from toolchain.pulumi_cli import LANGUAGE_HOST, official_host

NAMES = ("docker", "random", "kubernetes")
"""Resource plugins of the stacks on Docker and Kubernetes; the versions are those of their SDK packages."""
TIMEOUT = 120
"""Seconds that the plugin registry has to deliver one plugin."""
ASK_TIMEOUT = 20
"""Seconds that it has for the first one where it may not be reachable at all."""
RECORD = TOOLS / "plugins.json"


def versions(requirements: str) -> dict[str, str]:
    """The pinned version of each plugin of `NAMES`."""
    return {name: match[1] for name in NAMES if (match := re.search(rf"(?m)^pulumi-{name}==(\S+)$", requirements))}


def ensure(cli: Path) -> None:
    """Install what is not there; says which come from where, once.

    Raises ToolchainError when neither the official plugins nor the stand-ins can be installed.
    """
    pins = versions((ROOT / "requirements.txt").read_text())
    wanted = {"pins": pins, "cli": str(cli), "root": str(ROOT), "stand-ins": _stand_ins_key()}
    if _recorded() == wanted and _present(cli, pins):
        return
    missing = _official(cli, pins)
    if missing or not official_host(cli):
        _stand_ins(cli, missing)
    RECORD.write_text(json.dumps(wanted))


def _stand_ins_key() -> str:
    return hashlib.sha256((ROOT / "toolchain/plugins/install.py").read_bytes()).hexdigest()[:12]


def _recorded() -> object:
    try:
        return json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return None


def _folder(name: str, version: str) -> Path:
    return PULUMI_HOME / "plugins" / f"resource-{name}-v{version}"


def _present(cli: Path, pins: dict[str, str]) -> bool:
    beside = cli.resolve().parent / LANGUAGE_HOST
    return beside.is_file() and all(_is_whole(name, version) for name, version in pins.items())


def _is_whole(name: str, version: str) -> bool:
    """Whether a plugin is there, and no interrupted installation of it: the CLI marks those beside their folder."""
    folder = _folder(name, version)
    return folder.is_dir() and not folder.with_name(f"{folder.name}.partial").exists()


def _official(cli: Path, pins: dict[str, str]) -> list[str]:
    """Install the official plugins; returns the names of those that could not be had."""
    missing: list[str] = []
    patience = ASK_TIMEOUT
    for name, version in pins.items():
        if _is_whole(name, version) and not _is_stand_in(name, version):
            continue
        if missing:
            missing.append(name)
            continue
        try:
            with step(f"pulumi plugin install resource {name} {version}", optional=True):
                run(
                    [cli, "plugin", "install", "resource", name, version, "--reinstall"],
                    log=LOGS / f"plugin-{name}.log",
                    env=full(),
                    timeout=patience,
                )
            patience = TIMEOUT
        except ToolchainError as error:
            say(str(error).splitlines()[-1])
            missing.append(name)
    return missing


def _is_stand_in(name: str, version: str) -> bool:
    binary = _folder(name, version) / f"pulumi-resource-{name}"
    return binary.is_file() and binary.read_bytes()[:2] == b"#!"


def _stand_ins(cli: Path, names: list[str]) -> None:
    if official_host(cli):
        # The installer lays its language host beside the path it is given: the official one must stay what it is.
        link = TOOLS / "providers-only" / "pulumi"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(cli)
        cli = link
    arguments = [
        str(VENV_PYTHON),
        "-m",
        "toolchain.plugins.install",
        "--pulumi",
        str(cli),
        "--python",
        str(VENV_PYTHON),
    ]
    done = subprocess.run(
        [*arguments, "--only", ",".join(names)], cwd=ROOT, env=full(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ToolchainError(f"the stand-ins for the plugins could not be installed: {done.stderr.strip()}")
    say(done.stdout.strip())
