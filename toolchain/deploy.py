"""`python -m toolchain.deploy up|preview|down|refresh`: one Pulumi command.

What an earlier one may have left behind is put right before.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from toolchain import engine, preceding
from toolchain.backup.before import WITHOUT
from toolchain.console import ToolchainError
from toolchain.environment import full
from toolchain.paths import CLI_LINK, ROOT, TOOLS
from toolchain.ports import check_ports
from toolchain.recover import recover
from toolchain.stack_filter import settle
from toolchain.turns import turn

PACK = ("--policy-pack", "policies")
COMMANDS: dict[str, tuple[str, ...]] = {
    "up": ("up", "--yes", *PACK),
    "preview": ("preview", *PACK),
    "down": ("destroy", "--yes"),
    "refresh": ("refresh", "--yes"),
}


def pulumi() -> Path:
    """The CLI that `toolchain.bootstrap` chose: the project's own, else the one on PATH."""
    return CLI_LINK if CLI_LINK.is_file() else Path("pulumi")


def deploy(action: str, stack: str, extra: list[str], *, backup: bool = True) -> int:
    """Run a Pulumi command on a stack; returns its exit status. Without `backup`, none precedes a deployment.

    Raises ToolchainError when the stack cannot be put right, or backed up, before.
    """
    cli = pulumi()
    command = [str(cli), *COMMANDS[action], "--stack", stack, *extra]
    if action == "preview":
        status = _run(command)
    else:
        with turn(stack) as held:
            for urn in recover(cli, stack):
                command += ["--replace", urn] if action == "up" else []
            if action == "up":
                check_ports(stack)
                command += preceding.back_up(command, stack, held) if backup else []
            status = _run(command, held)
    settle(stack)
    if status == 0 and action == "up":
        print(closing(outputs(cli, stack), TOOLS / f"ca-{stack}.pem"))
    return status


def _run(command: list[str], *held: int) -> int:
    """Run Pulumi, which holds the stack's turn too: should this process be killed, the next run waits for it."""
    # An interrupt reaches Pulumi itself, which then ends in good order: this process waits for it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return subprocess.run(
        command,
        cwd=ROOT,
        env=full(),
        check=False,
        pass_fds=held,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ).returncode


def outputs(cli: Path, stack: str) -> dict[str, Any]:
    """The stack's plain outputs."""
    command = [str(cli), "stack", "output", "--json", "--stack", stack]
    done = subprocess.run(command, cwd=ROOT, env=full(), capture_output=True, text=True, check=True)
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def closing(values: dict[str, Any], authority: Path) -> str:
    """The last lines of `make up`: where the systems are, and how their certificates are trusted."""
    urls = values.get("urls") or {}
    width = max((len(name) for name in urls), default=0)
    lines = ["", *(f"  {name:<{width}}  {url}" for name, url in urls.items())]
    certificate = values.get("caCertificate")
    if certificate and urls:
        authority.write_text(certificate)
        shown = authority.relative_to(ROOT) if authority.is_relative_to(ROOT) else authority
        lines += [
            "",
            f"  The certificates are signed by this stack's own authority, {shown}:",
            f"    curl --cacert {shown} {next(iter(urls.values()))}",
            "    browser: import the file under “Authorities”;  Debian, as root:",
            f"    cp {shown} /usr/local/share/ca-certificates/ai-platform.crt && update-ca-certificates",
        ]
    return "\n".join(lines)


def main() -> int:
    """Command line; the exit status is that of Pulumi."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.deploy", description=__doc__)
    parser.add_argument("action", choices=sorted(COMMANDS))
    parser.add_argument("--stack", default="dev")
    parser.add_argument(WITHOUT, action="store_true", help="up: no backup before it")
    options, extra = parser.parse_known_args()
    engine.select(options.stack)
    try:
        return deploy(options.action, options.stack, extra, backup=not options.no_backup)
    except (ToolchainError, KeyboardInterrupt) as error:
        print(f"error: {str(error) or 'interrupted'}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
