"""Runs `pulumi preview` for one stack and reads what it says.

The CLI gets a copy of the stack file, and for a stack that the backend does not know an empty state in a folder that is
gone afterwards: neither the backend nor the stack file changes, and nobody needs to be logged in to a cloud.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from report.events import Preview, plain, read

JUDGED = ("--policy-pack", "policies")
"""Options of a preview that says what the policies think of the stack."""
TIMEOUT = 900
"""Seconds that one preview may take."""
PREFERRED = ("dev", "staging", "prod")
REFUSAL = "described, but this version cannot deploy them"
"""What `platforms.registry` says of a platform that a stack file may describe and that is still to come."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack as its file describes it."""

    name: str
    kind: str
    """Kind of its platform; empty when the file does not say."""
    has_secrets: bool
    """Its file holds encrypted values, which only their own passphrase or key opens."""

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"Pulumi.{self.name}.yaml"


@dataclass(frozen=True, kw_only=True)
class Result:
    """The preview of one stack."""

    stack: Stack
    preview: Preview

    @property
    def refused(self) -> bool:
        """The program refused the stack, as it should: its platform is described, but not built yet."""
        return not self.preview.succeeded and any(REFUSAL in error for error in self.preview.errors)

    @property
    def failed(self) -> bool:
        """Something must change before this can be merged; a platform that is still to come is no failure."""
        return not self.preview.succeeded and not self.refused


def stacks(root: Path) -> list[Stack]:
    """The stacks that have a file, in the order of `PREFERRED`, others after them by name."""
    names = [file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in root.glob("Pulumi.*.yaml")]
    order = {name: index for index, name in enumerate(PREFERRED)}
    return [stack_of(root, name) for name in sorted(names, key=lambda name: (order.get(name, len(order)), name))]


def stack_of(root: Path, name: str) -> Stack:
    """One stack; a file that is no YAML says nothing here, and the preview tells what is wrong with it."""
    text = (root / f"Pulumi.{name}.yaml").read_text(encoding="utf-8")
    try:
        content: Any = yaml.safe_load(text)
        kind = content["config"]["ai-platform:platform"]["kind"]
    except (yaml.YAMLError, KeyError, TypeError):
        kind = ""
    return Stack(name=name, kind=str(kind), has_secrets="secure:" in text or "secretsprovider:" in text)


def run(stack: Stack, root: Path, env: Mapping[str, str]) -> Result:
    """Preview the stack under the policy pack; what goes wrong stands in the result's errors."""
    if not _known(stack.name, root, env):
        return Result(stack=stack, preview=from_nothing(stack, root, env, {}))
    with tempfile.TemporaryDirectory(prefix="pulumi-preview-") as folder:
        copy = shutil.copy(root / stack.file, folder)
        return Result(stack=stack, preview=_preview(stack.name, root, env, Path(copy), JUDGED))


def from_nothing(
    stack: Stack, root: Path, env: Mapping[str, str], keys: Mapping[str, Any], options: Sequence[str] = JUDGED
) -> Preview:
    """Preview the stack as if nothing of it were there, nor its cluster, with some keys of its file replaced.

    `options` are more of `pulumi preview`: by default, the policy pack.
    """
    with tempfile.TemporaryDirectory(prefix="pulumi-preview-") as folder:
        empty = {**env, "PULUMI_BACKEND_URL": f"file://{folder}", "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true"}
        if not stack.has_secrets:
            # Nothing is encrypted by it but a state that nobody will read.
            empty |= {"PULUMI_CONFIG_PASSPHRASE": secrets.token_urlsafe(32)}
            empty.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
        made = _init(stack, root, Path(folder, "project"), empty)
        if made.returncode:
            return Preview(succeeded=False, errors=(_reason(made.stderr),))
        config = Path(folder, stack.file)
        config.write_text(_config(stack, root, keys), encoding="utf-8")
        if stack.kind == "kubernetes":
            kubeconfig = Path(folder, "kubeconfig")
            kubeconfig.write_text(yaml.safe_dump(_no_cluster(config)), encoding="utf-8")
            empty["KUBECONFIG"] = str(kubeconfig)
        return _preview(stack.name, root, empty, config, options)


def _init(stack: Stack, root: Path, project: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    # `stack init` writes a salt into the stack file beside it: into copies here, never into those of the repository.
    project.mkdir()
    shutil.copy(root / "Pulumi.yaml", project)
    if stack.has_secrets:
        shutil.copy(root / stack.file, project)
    return _pulumi(["stack", "init", stack.name, "--non-interactive"], project, env)


def _config(stack: Stack, root: Path, keys: Mapping[str, Any]) -> str:
    text = (root / stack.file).read_text(encoding="utf-8")
    if not stack.has_secrets:
        # The salt of another state.
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("encryptionsalt:"))
    if keys:
        content = yaml.safe_load(text)
        text = yaml.safe_dump({**content, "config": {**content["config"], **keys}}, sort_keys=False)
    return text


def _no_cluster(config: Path) -> dict[str, object]:
    """A kubeconfig with the context of a stack file, of a cluster that nobody can reach."""
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    platform = (content.get("config") or {}).get("ai-platform:platform") or {}
    context = str(platform.get("context") or "none")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "none", "user": {}}],
        "contexts": [{"name": context, "context": {"cluster": "none", "user": "none"}}],
    }


def _known(stack: str, root: Path, env: Mapping[str, str]) -> bool:
    return _pulumi(["stack", "--stack", stack, "--show-name"], root, env).returncode == 0


def _preview(stack: str, root: Path, env: Mapping[str, str], config: Path, options: Sequence[str]) -> Preview:
    # The CLI writes a salt into the file that it reads: `config` is a copy.
    command = ["preview", "--stack", stack, "--config-file", str(config), "--json", *options]
    done = _pulumi([*command, "--non-interactive"], root, {**env, "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"})
    preview = read(done.stdout.splitlines())
    if done.returncode and not (preview.errors or preview.violations):
        # Nothing in the stream says why: the CLI itself refused.
        return replace(preview, succeeded=False, errors=(_reason(done.stderr),))
    return replace(preview, succeeded=preview.succeeded and done.returncode == 0)


def _pulumi(arguments: Sequence[str], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [shutil.which("pulumi", path=env.get("PATH")) or "pulumi", *arguments]
    try:
        return subprocess.run(  # noqa: S603 - built here, without a shell
            command, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, returncode=1, stdout="", stderr=f"error: {error}")


def _reason(output: str) -> str:
    text = plain(output)
    _, found, rest = text.partition("error: ")
    return (rest if found else text) or "pulumi failed without a word"
