"""Installs the stand-ins: `python -m toolchain.plugins.install --pulumi CLI --python VENV_PYTHON [--only docker,…]`.

The language host goes beside the CLI binary, the resource providers into PULUMI_HOME, in the versions of the SDK
packages that the virtual environment has. Running it again changes nothing. What is there already and is not a
stand-in (an official plugin) is left alone. The CLI looks for its language host beside its real file: name a copy or a
hard link of it, not a symbolic one.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROVIDERS = ("docker", "random", "kubernetes")
LANGUAGE_HOST = "pulumi-language-python"
MARK = "#!/bin/sh\n# Stand-in"
NOTICE = "Pulumi plugin registry not reachable: using the project's stand-ins for"


def launcher(python: str, module: str) -> str:
    """A script that runs a stand-in's main with the given Python, whatever the current folder and PYTHONPATH are."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from toolchain.plugins.{module} import main; main()"
    return f'{MARK} of {ROOT}\nexec {shlex.quote(python)} -P -c {shlex.quote(code)} "$@"\n'


def is_official(file: Path) -> bool:
    """Whether there is a plugin that is not a stand-in."""
    return file.is_file() and not file.read_bytes().startswith(MARK.encode())


def write_launcher(file: Path, content: str) -> bool:
    """Write an executable script in one step. Returns whether anything changed."""
    if file.is_file() and file.read_text(encoding="utf-8") == content:
        return False
    fresh = file.with_suffix(".new")
    fresh.write_text(content, encoding="utf-8")
    fresh.chmod(0o755)
    fresh.replace(file)
    return True


def sdk_versions(python: str, names: list[str]) -> dict[str, str]:
    """Versions of the `pulumi_*` packages that `python` has; they are the versions that the programs ask for.

    Raises SystemExit, naming the package, when one is not installed.
    """
    code = "import sys, importlib.metadata as m; print(*(m.version('pulumi_' + name) for name in sys.argv[1:]))"
    found = subprocess.run([python, "-c", code, *names], capture_output=True, text=True, check=False)  # noqa: S603
    if found.returncode:
        reason = found.stderr.strip().splitlines()[-1]
        raise SystemExit(f"stand-ins: {python} lacks a Pulumi SDK package ({reason}); install requirements.txt first")
    return dict(zip(names, found.stdout.split(), strict=True))


def install_provider(pulumi: str, python: str, name: str, version: str) -> bool:
    """Install one provider into PULUMI_HOME through the CLI. Returns whether anything changed."""
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    installed = home / "plugins" / f"resource-{name}-v{version}" / f"pulumi-resource-{name}"
    content = launcher(python, f"{name}_provider")
    if is_official(installed) or (installed.is_file() and installed.read_text(encoding="utf-8") == content):
        return False
    with tempfile.TemporaryDirectory() as folder:
        write_launcher(Path(folder, installed.name), content)
        command = [pulumi, "plugin", "install", "resource", name, version, "--file", folder, "--reinstall"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"stand-ins: {shlex.join(command)} failed: {done.stderr.strip() or done.stdout.strip()}")
    return True


def install(pulumi: str, python: str, names: list[str]) -> str:
    """Install the language host and the named providers. Returns the line that tells the user."""
    versions = sdk_versions(python, names)
    listed = [f"{name} {version}" for name, version in versions.items()]
    host = Path(pulumi).with_name(LANGUAGE_HOST)
    if not is_official(host):
        write_launcher(host, launcher(python, "language_host"))
        listed.insert(0, "the Python language host")
    for name, version in versions.items():
        install_provider(pulumi, python, name, version)
    return f"{NOTICE} {', '.join(listed)}."


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pulumi", required=True, help="path of the pulumi CLI")
    parser.add_argument("--python", default=sys.executable, help="Python of the project's virtual environment")
    parser.add_argument("--only", default=",".join(PROVIDERS), help="providers, separated by commas")
    args = parser.parse_args()
    names = [name for name in args.only.split(",") if name]
    unknown = set(names) - set(PROVIDERS)
    if unknown:
        parser.error(f"there is no stand-in for {', '.join(sorted(unknown))}; there are: {', '.join(PROVIDERS)}")
    # Absolute, but not resolved: the interpreter of a virtual environment is a link that must stay one.
    print(install(str(Path(args.pulumi).absolute()), str(Path(args.python).absolute()), names))


if __name__ == "__main__":
    main()
