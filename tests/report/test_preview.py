"""How the CLI is asked: against which state, with which secrets, and what is left behind. The CLI here is a script."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from config import ConfigError
from platforms import registry
from report import __main__ as command
from report.preview import REFUSAL, from_nothing, run, stack_of, stacks
from tests.report.plans import RECORDINGS

CLI = """\
#!{python}
import json, os, pathlib, sys
arguments, here = sys.argv[1:], pathlib.Path({folder!r})
asked = {{"arguments": arguments, "cwd": os.getcwd(), "env": dict(os.environ)}}
if "--config-file" in arguments:
    asked["config"] = pathlib.Path(arguments[arguments.index("--config-file") + 1]).read_text()
with (here / "asked.jsonl").open("a") as log:
    log.write(json.dumps(asked) + "\\n")
if arguments[:2] == ["stack", "init"]:
    with open(f"Pulumi.{{arguments[2]}}.yaml", "a") as file:
        file.write("encryptionsalt: v1:fresh\\n")
elif arguments[0] == "stack":
    sys.exit(0 if arguments[2] == "known" else 6)
elif arguments[0] == "preview":
    sys.stderr.write((here / "stderr").read_text())
    sys.stdout.write((here / "stdout").read_text())
    sys.exit(int((here / "code").read_text()))
"""


class Repository:
    """A folder with stack files and a script in the place of the CLI."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin = folder / "root", folder / "bin"
        self.root.mkdir()
        self.bin.mkdir()
        (self.root / "Pulumi.yaml").write_text("name: ai-platform\nruntime: python\n")
        cli = self.bin / "pulumi"
        cli.write_text(CLI.format(python=sys.executable, folder=str(self.bin)))
        cli.chmod(0o755)
        self.env = {
            "PATH": str(self.bin),
            "PULUMI_CONFIG_PASSPHRASE_FILE": "/there",
            "PULUMI_BACKEND_URL": "file:///own",
        }
        self.answer("same", 0)

    def stack(self, name: str, text: str = "config:\n  ai-platform:platform:\n    kind: docker\n") -> Path:
        file = self.root / f"Pulumi.{name}.yaml"
        file.write_text(text)
        return file

    def answer(self, recording: str | None, code: int, stderr: str = "") -> None:
        (self.bin / "stdout").write_text((RECORDINGS / f"{recording}.jsonl").read_text() if recording else "")
        (self.bin / "stderr").write_text(stderr)
        (self.bin / "code").write_text(str(code))

    def asked(self, *start: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in (self.bin / "asked.jsonl").read_text().splitlines()]
        return [line for line in lines if tuple(line["arguments"][: len(start)]) == start]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_stacks_come_from_the_stack_files_in_the_order_of_promotion(repository: Repository) -> None:
    for name in ("prod", "zoo", "dev", "acceptance", "staging"):
        repository.stack(name)
    assert [stack.name for stack in stacks(repository.root)] == ["dev", "staging", "prod", "acceptance", "zoo"]


@pytest.mark.parametrize(
    ("text", "kind", "has_secrets"),
    [
        ("config:\n  ai-platform:platform: {kind: aws}\n", "aws", False),
        ("config:\n  ai-platform:platform: {kind: docker}\n  a:b:\n    secure: v1:abc\n", "docker", True),
        ("config: {}\n", "", False),
        ("", "", False),
        ("config: [broken\n", "", False),
    ],
)
def test_a_stack_file_says_its_platform_and_whether_it_holds_secrets(
    repository: Repository, text: str, kind: str, has_secrets: bool
) -> None:
    repository.stack("dev", text)
    stack = stack_of(repository.root, "dev")
    assert (stack.kind, stack.has_secrets) == (kind, has_secrets)


def test_a_known_stack_is_previewed_against_its_own_state(repository: Repository) -> None:
    repository.stack("known")
    assert run(stack_of(repository.root, "known"), repository.root, repository.env).preview.unchanged == 12
    (asked,) = repository.asked("preview")
    assert asked["env"]["PULUMI_BACKEND_URL"] == "file:///own"
    assert asked["cwd"] == str(repository.root)
    assert asked["config"] == (repository.root / "Pulumi.known.yaml").read_text()
    assert "Pulumi.known.yaml" in str(asked["arguments"])
    assert str(repository.root) not in str(asked["arguments"])
    assert "--policy-pack" in asked["arguments"]
    assert "--show-secrets" not in asked["arguments"]


def test_an_unknown_stack_is_previewed_against_an_empty_state_that_is_gone_afterwards(repository: Repository) -> None:
    file = repository.stack("dev")
    before = file.read_text()
    run(stack_of(repository.root, "dev"), repository.root, repository.env)
    (asked,) = repository.asked("preview")
    backend = asked["env"]["PULUMI_BACKEND_URL"].removeprefix("file://")
    assert backend not in ("", "/own")
    assert not Path(backend).exists()
    assert file.read_text() == before
    assert sorted(path.name for path in repository.root.iterdir()) == ["Pulumi.dev.yaml", "Pulumi.yaml"]


def test_a_stack_without_secrets_needs_nobodys_passphrase(repository: Repository) -> None:
    repository.stack("dev", "config: {}\nencryptionsalt: v1:of-this-machine\n")
    run(stack_of(repository.root, "dev"), repository.root, repository.env)
    (asked,) = repository.asked("preview")
    assert len(asked["env"]["PULUMI_CONFIG_PASSPHRASE"]) >= 32
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in asked["env"]
    assert "encryptionsalt" not in asked["config"]


def test_a_stack_with_secrets_keeps_its_salt_and_the_given_passphrase(repository: Repository) -> None:
    text = "config:\n  a:b:\n    secure: v1:abc\nencryptionsalt: v1:of-the-team\n"
    repository.stack("dev", text)
    run(stack_of(repository.root, "dev"), repository.root, repository.env)
    (asked,) = repository.asked("preview")
    assert asked["env"]["PULUMI_CONFIG_PASSPHRASE_FILE"] == "/there"
    assert "PULUMI_CONFIG_PASSPHRASE" not in asked["env"]
    assert asked["config"] == text


def test_keys_of_the_stack_file_can_be_replaced_for_one_preview(repository: Repository) -> None:
    file = repository.stack("known")
    from_nothing(stack_of(repository.root, "known"), repository.root, repository.env, {"ai-platform:images": {"a": 1}})
    (asked,) = repository.asked("preview")
    assert "ai-platform:images:\n    a: 1" in asked["config"]
    assert "kind: docker" in asked["config"]
    assert "images" not in file.read_text()


def test_what_the_cli_itself_refuses_is_told(repository: Repository) -> None:
    repository.stack("known")
    repository.answer(None, 255, "warning: old\nerror: incorrect passphrase, please set PULUMI_CONFIG_PASSPHRASE\n")
    preview = run(stack_of(repository.root, "known"), repository.root, repository.env).preview
    assert not preview.succeeded
    assert preview.errors == ("incorrect passphrase, please set PULUMI_CONFIG_PASSPHRASE",)


def test_a_machine_without_the_cli_is_told(repository: Repository) -> None:
    repository.stack("dev")
    preview = run(stack_of(repository.root, "dev"), repository.root, {"PATH": "/nowhere"}).preview
    assert not preview.succeeded
    assert "pulumi" in preview.errors[0]


def test_an_exit_code_counts_more_than_a_stream_that_looks_well(repository: Repository) -> None:
    repository.stack("known")
    repository.answer("same", 1)
    assert not run(stack_of(repository.root, "known"), repository.root, repository.env).preview.succeeded


@pytest.mark.parametrize(
    ("recording", "code", "expected"),
    [("same", 0, 0), ("create", 0, 0), ("change", 1, 1), ("broken", 1, 1), ("refused", 1, 0), (None, 1, 1)],
)
def test_the_exit_status_is_the_verdict(
    repository: Repository, capsys: pytest.CaptureFixture[str], recording: str | None, code: int, expected: int
) -> None:
    repository.stack("known")
    repository.answer(recording, code)
    output = repository.root / "report.md"
    arguments = ["--output", str(output), "--revision", "abc"]
    assert command.main(arguments, root=repository.root, env=repository.env) == expected
    assert capsys.readouterr().out == output.read_text(encoding="utf-8")
    assert "At `abc`." in output.read_text(encoding="utf-8")


def test_a_folder_without_stack_files_is_no_success(repository: Repository) -> None:
    assert command.main([], root=repository.root, env=repository.env) == 1


def test_a_stack_that_has_no_file_is_refused(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(["--stack", "nosuch"], root=repository.root, env=repository.env)
    assert stop.value.code == 2
    assert "there is no Pulumi.nosuch.yaml" in capsys.readouterr().err


def test_the_refusal_is_worded_as_the_registry_words_it() -> None:
    class Described:
        class platform:  # noqa: N801 - stands for a field
            kind = "moon"

    with pytest.raises(ConfigError) as refused:
        registry.make_platform(Described(), "dev")  # type: ignore[arg-type]
    assert REFUSAL in str(refused.value)


def test_only_the_given_environment_reaches_the_cli(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SOME_TOKEN", "not-for-the-cli")
    repository.stack("known")
    run(stack_of(repository.root, "known"), repository.root, repository.env)
    assert all("SOME_TOKEN" not in asked["env"] for asked in repository.asked())
