"""The bootstrap: what it decides, and that a second run finds everything done."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from toolchain import bootstrap, environment, state
from toolchain.console import ToolchainError, run


def user_environment() -> dict[str, str]:
    """This environment without what `make env` adds, as in a new shell."""
    return {
        name: value for name, value in environment.full().items() if not name.startswith(("PULUMI_", "VIRTUAL_ENV"))
    }


def run_bootstrap(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command that every target of the Makefile begins with."""
    return subprocess.run(
        [sys.executable, "-m", "toolchain.bootstrap", *arguments],
        cwd=root,
        env=user_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def snapshot(root: Path) -> dict[str, int]:
    """Every file that a bootstrap makes outside caches and logs, with the time of its last change."""
    folders = [root / ".toolchain/bin", root / ".toolchain/pulumi-home/plugins", root / ".state"]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    files += [*root.glob(".venv/.stamp-*"), *(root / ".venv/bin").iterdir(), root / ".toolchain/plugins.json"]
    return {str(file): file.stat().st_mtime_ns for file in files if not file.name.endswith(".lastused")}


def test_a_second_bootstrap_finds_everything_done_and_changes_nothing(bootstrapped: Path) -> None:
    first = run_bootstrap(bootstrapped, "--tests")
    assert first.returncode == 0, first.stderr
    before = snapshot(bootstrapped)
    second = run_bootstrap(bootstrapped, "--tests")
    assert second.returncode == 0, second.stderr
    assert "→" not in second.stderr, "a step ran again"
    assert "ready in" in second.stderr
    assert snapshot(bootstrapped) == before


def test_everything_it_makes_is_ignored_by_git(bootstrapped: Path) -> None:
    paths = [".venv/bin/python", ".toolchain/bin/pulumi", ".toolchain/images.json", ".state/passphrase"]
    ignored = subprocess.run(
        ["git", "check-ignore", *paths], cwd=bootstrapped, capture_output=True, text=True, check=False
    )
    assert ignored.stdout.split() == paths


def test_the_passphrase_is_for_its_owner_alone(bootstrapped: Path) -> None:
    file = bootstrapped / ".state" / "passphrase"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text()) >= 40


def test_an_old_python_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 14))
    with pytest.raises(ToolchainError, match=r"Python 3\.11 or newer is needed, this is 3\.10\.14.*make PYTHON="):
        bootstrap.check_python()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("config:\n  ai-platform:platform:\n    kind: docker\n", True),
        ('config:\n  ai-platform:platform:\n    kind: "docker"\n', True),
        ("config:\n  ai-platform:platform:\n    kind: kubernetes\n", False),
        ("config:\n  ai-platform:platform:\n    kind: aws\n    # kind: docker is for dev\n", False),
        (None, True),
    ],
)
def test_only_a_stack_on_docker_asks_for_an_engine(
    content: str | None, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    if content is not None:
        (tmp_path / "Pulumi.some.yaml").write_text(content)
    assert bootstrap.on_docker("some") is expected


LOCAL = "config:\n  ai-platform:platform:\n    kind: kubernetes\n    context: ai-platform-local\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (LOCAL, True),
        (LOCAL.replace("ai-platform-local", '"ai-platform-local"'), True),
        (LOCAL.replace("ai-platform-local", "staging"), False),
        (LOCAL.replace("context:", "# context:"), False),
        ("config:\n  ai-platform:platform:\n    kind: docker\n", False),
        (None, False),
    ],
)
def test_only_a_stack_that_names_it_starts_the_local_cluster(
    content: str | None, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    if content is not None:
        (tmp_path / "Pulumi.some.yaml").write_text(content)
    assert bootstrap.on_local_cluster("some") is expected


def test_a_kubeconfig_of_the_user_that_has_the_context_is_used_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    local, other, own = (tmp_path / name for name in ("local", "other", "own"))
    monkeypatch.setattr(bootstrap, "KUBECONFIG", local)
    (tmp_path / "Pulumi.some.yaml").write_text(LOCAL)
    local.write_text("contexts: [{name: ai-platform-local}]")
    other.write_text("contexts: [{name: elsewhere}]")
    own.write_text("contexts: [{name: ai-platform-local}]")
    monkeypatch.setenv("KUBECONFIG", f"{other}:{local}:{tmp_path / 'missing'}")
    assert bootstrap.on_local_cluster("some"), "its own kubeconfig is not the user's"
    monkeypatch.setenv("KUBECONFIG", f"{own}:{local}")
    assert not bootstrap.on_local_cluster("some")


@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize(
    ("content", "steps"),
    [
        (LOCAL, ["engine", "images", "cluster"]),
        (LOCAL.replace("ai-platform-local", "staging"), []),
        ("config:\n  ai-platform:platform:\n    kind: docker\n", ["engine", "images"]),
    ],
    ids=["local cluster", "another cluster", "docker"],
)
def test_each_stack_gets_the_machine_that_it_needs_and_plans_leave_the_cluster_alone(
    content: str, steps: list[str], start: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Pulumi.some.yaml").write_text(content)
    done: list[str] = []
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(bootstrap, "venv", lambda **_: None)
    monkeypatch.setattr(bootstrap.pulumi_cli, "ensure", lambda: tmp_path / "pulumi")
    for module, name in (
        (bootstrap.plugin_step, "ensure"),
        (bootstrap.stack_filter, "configure"),
        (bootstrap.stack_filter, "settle"),
        (bootstrap.state, "ensure"),
        (bootstrap.engine, "select"),
    ):
        monkeypatch.setattr(module, name, lambda *_: None)
    monkeypatch.setattr(bootstrap.engine, "ensure", lambda _: done.append("engine"))
    monkeypatch.setattr(bootstrap, "images", lambda: done.append("images"))
    monkeypatch.setattr(bootstrap, "cluster", lambda: done.append("cluster"))
    bootstrap.bootstrap("some", tests=False, start=start)
    assert done == [step for step in steps if start or step != "cluster"]


def test_the_virtual_environment_is_made_once_per_set_of_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("constraints.txt", "requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).write_text("# nothing\n")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "VENV_PYTHON", tmp_path / ".venv/bin/python")
    monkeypatch.setattr(bootstrap, "UNFINISHED", tmp_path / ".toolchain/venv-unfinished")
    monkeypatch.setattr(bootstrap, "LOGS", tmp_path / "logs")
    commands: list[str] = []

    def recording(command: list[str | Path], **options: object) -> None:
        commands.append(" ".join(map(str, command[1:4])))
        if "venv" in map(str, command):
            run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], log=tmp_path / "venv.log")

    monkeypatch.setattr(bootstrap, "run", recording)
    bootstrap.venv(tests=True)
    assert commands == ["-m venv --clear", "-m pip install"]
    bootstrap.venv(tests=True)
    bootstrap.venv(tests=False)
    assert len(commands) == 2, "the tests' environment holds the program's"
    (tmp_path / "requirements.txt").write_text("# another pin\n")
    bootstrap.venv(tests=False)
    assert commands[2:] == ["-m pip install"], "new pins are installed into the same environment"
    bootstrap.venv(tests=True)
    assert commands[3:] == ["-m pip install"]
    (tmp_path / ".toolchain/venv-unfinished").touch()
    bootstrap.venv(tests=True)
    assert commands[4:] == ["-m venv --clear", "-m pip install"], "a killed run may have left any file out"
    bootstrap.venv(tests=True)
    assert len(commands) == 6


def test_make_env_lets_pulumi_work_by_hand(bootstrapped: Path) -> None:
    script = 'eval "$(make --silent env)" && command -v pulumi && pulumi stack ls --json && python -c "import pulumi"'
    done = subprocess.run(
        ["bash", "-ec", script], cwd=bootstrapped, env=user_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '"name": "dev"' in done.stdout


def test_a_users_own_backend_and_passphrase_win() -> None:
    outer = {"PATH": "/bin", "PULUMI_BACKEND_URL": "s3://states", "PULUMI_CONFIG_PASSPHRASE": "words"}
    chosen = environment.exports(outer)
    assert chosen["PULUMI_BACKEND_URL"] == "s3://states"
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in chosen
    own = environment.exports({"PATH": "/bin"})
    assert own["PULUMI_BACKEND_URL"] == f"file://{state.STATE}"
    assert own["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(state.PASSPHRASE)


def test_the_local_cluster_s_kubeconfig_stands_behind_the_user_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, usual = tmp_path / "local", tmp_path / ".kube" / "config"
    monkeypatch.setattr(environment, "KUBECONFIG", local)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert "KUBECONFIG" not in environment.exports({"KUBECONFIG": "/mine"}), "without a cluster nothing is changed"
    local.touch()
    assert environment.exports({})["KUBECONFIG"] == str(local)
    assert environment.exports({"KUBECONFIG": "/mine:/yours"})["KUBECONFIG"] == f"/mine:/yours:{local}"
    usual.parent.mkdir()
    usual.touch()
    once = environment.exports({})
    assert once["KUBECONFIG"] == f"{usual}:{local}"
    assert environment.exports(once)["KUBECONFIG"] == once["KUBECONFIG"]


def test_the_environment_does_not_grow_when_it_is_evaluated_twice() -> None:
    once = environment.exports({"PATH": "/usr/bin:/bin"})
    assert environment.exports({**once})["PATH"] == once["PATH"]


def test_no_command_asks_for_the_plugins_of_packages_that_no_stack_uses(bootstrapped: Path) -> None:
    script = 'eval "$(make --silent env)" && exec pulumi preview --stack dev --non-interactive --logtostderr -v=7'
    done = subprocess.run(
        ["bash", "-ec", script], cwd=bootstrapped, env=user_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "GetRequiredPackages" in done.stderr
    assert "ownloading plugin" not in done.stderr
    assert "resource-aws" not in done.stderr


def test_make_help_lists_every_target_with_what_it_does(bootstrapped: Path) -> None:
    done = subprocess.run(["make", "help"], cwd=bootstrapped, capture_output=True, text=True, check=True)
    listed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("  make ")}
    assert {"up", "preview", "down", "refresh", "test", "check", "images", "env", "pr-report", "clean"} <= listed


def test_a_failing_command_shows_the_end_of_its_log(tmp_path: Path) -> None:
    shell = shutil.which("sh")
    assert shell
    with pytest.raises(ToolchainError, match="the last words"):
        run([shell, "-c", "echo the last words; exit 3"], log=tmp_path / "log")
    with pytest.raises(ToolchainError, match=r"no end after 0\.2 s"):
        run([shell, "-c", "sleep 5"], log=tmp_path / "log", timeout=0.2)
    with pytest.raises(ToolchainError, match="No such file"):
        run([tmp_path / "absent"], log=tmp_path / "log")


@pytest.mark.parametrize("name", ["a b", "../x", "a/b", "prüfung", "", "n" * 101, "dev;id"])
def test_a_name_that_cannot_be_a_stacks_is_refused_before_anything_is_made(name: str) -> None:
    with pytest.raises(ToolchainError, match=r"cannot be the name of a stack: .*100 at most; nothing was changed$"):
        bootstrap.check_stack(name)


def test_a_stack_without_a_stack_file_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ToolchainError, match=r"no Pulumi\.def\.yaml; there are stacks dev, .*nothing was changed$"):
        bootstrap.check_stack("def")
    bootstrap.check_stack("dev")
