"""The environment in which `pulumi` works by hand: `eval "$(make env)"`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from toolchain import engine
from toolchain.paths import CLI_LINK, KUBECONFIG, PASSPHRASE, PULUMI_HOME, STATE, VENV


def exports(outer: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables for the CLI, its plugins and the program, over those of `outer`.

    A backend or a passphrase that the user has set stays: production keeps its state elsewhere.
    """
    first = [str(VENV / "bin"), str(CLI_LINK.parent)]
    rest = [part for part in outer.get("PATH", os.defpath).split(os.pathsep) if part not in first]
    variables = {
        "PATH": os.pathsep.join([*first, *rest]),
        "VIRTUAL_ENV": str(VENV),
        "PULUMI_HOME": str(PULUMI_HOME),
        "PULUMI_BACKEND_URL": outer.get("PULUMI_BACKEND_URL") or f"file://{STATE}",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # The toolchain installs the plugins that the stacks need. By itself the CLI asks for those of every package,
        # before each command, and again where they cannot be had.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        # A stack file without a salt: the one of the state holds, and no new one is made up.
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
    }
    if not outer.get("PULUMI_CONFIG_PASSPHRASE"):
        variables["PULUMI_CONFIG_PASSPHRASE_FILE"] = outer.get("PULUMI_CONFIG_PASSPHRASE_FILE") or str(PASSPHRASE)
    if KUBECONFIG.is_file():
        # The user's own contexts stay, and come first.
        variables["KUBECONFIG"] = os.pathsep.join([*_own_kubeconfigs(outer), str(KUBECONFIG)])
    if engine.host() != engine.DEFAULT:
        variables["DOCKER_HOST"] = engine.host()
    return variables


def _own_kubeconfigs(outer: Mapping[str, str]) -> list[str]:
    given = [part for part in outer.get("KUBECONFIG", "").split(os.pathsep) if part and part != str(KUBECONFIG)]
    usual = Path.home() / ".kube" / "config"
    return given or ([str(usual)] if usual.is_file() else [])


def full() -> dict[str, str]:
    """The whole environment of a child process."""
    return {**os.environ, **exports()}


def main() -> int:
    """Print the exports for a POSIX shell."""
    for name, value in exports().items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
