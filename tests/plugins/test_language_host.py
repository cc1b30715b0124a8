"""The language host under the real CLI: programs, their errors, policy packs, virtual environments."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.proto import language_pb2

from toolchain.plugins import language_host

PACK = """
from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

def no_short(args, report):
    if args.resource_type.endswith("RandomPassword") and args.props["length"] < 16:
        report("make it at least 16 characters long")

PolicyPack("pack", enforcement_level=EnforcementLevel.MANDATORY,
           policies=[ResourceValidationPolicy("no-short", "Passwords are long.", no_short)])
"""


def use_virtualenv(file: Path, location: str) -> None:
    """Point the virtualenv option of a project or pack file at `location`."""
    name = file.read_text(encoding="utf-8").partition("runtime:")[0] if file.exists() else ""
    text = f"{name}runtime:\n  name: python\n  options:\n    virtualenv: {location}\n"
    file.write_text(text, encoding="utf-8")


def test_a_program_sees_its_project_stack_config_and_organization(stack: Any) -> None:
    stack.run("config", "set", "plain", "p")
    stack.run("config", "set", "hidden", "hunter2-hunter2", "--secret")
    stack.write("""
        import helper
        config = pulumi.Config()
        pulumi.export("names", [pulumi.get_project(), pulumi.get_stack(), pulumi.get_organization()])
        pulumi.export("plain", config.require("plain"))
        pulumi.export("hidden", config.require_secret("hidden"))
        pulumi.export("secret", pulumi.runtime.is_config_secret(config.full_key("hidden")))
        pulumi.export("root", pulumi.runtime.get_root_directory())
        pulumi.export("helper", helper.VALUE)
        pulumi.export("preview", pulumi.runtime.is_dry_run())
        print("written to stdout")
    """)
    (stack.folder / "helper.py").write_text("VALUE = 'beside the program'\n", encoding="utf-8")
    output = stack.up()
    assert "written to stdout" in output
    assert "hunter2" not in output + stack.run("stack", "export")
    assert stack.output("names") == [stack.name, "test", "organization"]
    assert (stack.output("plain"), stack.output("hidden"), stack.output("secret")) == ("p", "hunter2-hunter2", True)
    assert stack.output("root") == str(stack.folder)
    assert (stack.output("helper"), stack.output("preview")) == ("beside the program", False)


def test_an_uncaught_exception_is_one_diagnostic_with_the_programs_own_frames(stack: Any) -> None:
    output = stack.write('def fail():\n    raise ValueError("the reason")\nfail()\n').run("preview", ok=False)
    assert "Program failed with an unhandled exception" in output
    assert "ValueError: the reason" in output
    assert "line" in output and "in fail" in output
    assert "runpy" not in output and "program.py" not in output
    assert output.count("the reason") <= 3


def test_a_run_error_is_shown_without_a_traceback(stack: Any) -> None:
    output = stack.write('raise pulumi.RunError("fix the stack file")').run("preview", ok=False)
    assert "fix the stack file" in output
    assert "Traceback" not in output


def test_a_failing_apply_is_reported(stack: Any) -> None:
    output = stack.write("""
        password = random.RandomPassword("password", length=16)
        pulumi.export("x", password.length.apply(lambda length: 1 / (length - 16)))
    """).up(ok=False)
    assert "ZeroDivisionError" in output


def test_an_exit_code_of_the_programs_own_is_named(stack: Any) -> None:
    assert "Program exited with non-zero exit code: 5" in stack.write("raise SystemExit(5)").run("preview", ok=False)


def test_a_failed_resource_ends_the_program_without_a_traceback(stack: Any) -> None:
    output = stack.write('docker.Network("n", ipam_configs=[{"subnet": "nonsense"}], labels=labels)').up(ok=False)
    assert "invalid CIDR" in output
    assert "Traceback" not in output


def test_a_policy_pack_runs_with_its_own_virtual_environment(stack: Any, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    use_virtualenv(pack / "PulumiPolicy.yaml", "../venv")
    (tmp_path / "venv").symlink_to(Path(sys.executable).parents[1])
    (pack / "__main__.py").write_text(PACK, encoding="utf-8")
    stack.write('random.RandomPassword("password", length=int(os.environ["LENGTH"]))')
    output = stack.run("preview", "--policy-pack", str(pack), ok=False, LENGTH="8")
    assert re.search(r"\[mandatory\]\s+no-short", output)
    assert "make it at least 16 characters long" in output
    stack.run("preview", "--policy-pack", str(pack), LENGTH="16")


def test_a_pack_that_cannot_be_loaded_shows_why(stack: Any, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text("runtime: python\n", encoding="utf-8")
    (pack / "__main__.py").write_text('raise ValueError("broken pack")\n', encoding="utf-8")
    assert "broken pack" in stack.run("preview", "--policy-pack", str(pack), ok=False)


def test_dependencies_are_installed_by_pip_and_its_failure_is_named(stack: Any) -> None:
    requirements = stack.folder / "requirements.txt"
    requirements.write_text("pulumi>=3\n", encoding="utf-8")
    assert "already satisfied: pulumi" in stack.run("install", "--no-plugins")
    requirements.write_text("pulumi==0.0.0.nothing\n", encoding="utf-8")
    assert f"pip could not install {requirements}" in stack.run("install", "--no-plugins", ok=False)


def test_a_virtual_environment_is_found_relative_to_the_project(stack: Any, tmp_path: Path) -> None:
    (tmp_path / "venv").symlink_to(Path(sys.executable).parents[1])
    use_virtualenv(stack.folder / "Pulumi.yaml", "venv")
    stack.write('import sys\npulumi.export("python", sys.executable)').up()
    assert stack.output("python") == str(tmp_path / "venv" / "bin" / "python")
    assert str(tmp_path / "venv") in stack.run("about")


def test_a_missing_virtual_environment_says_what_to_do(stack: Any) -> None:
    original = (stack.folder / "Pulumi.yaml").read_text(encoding="utf-8")
    use_virtualenv(stack.folder / "Pulumi.yaml", "nowhere")
    output = stack.run("preview", ok=False)
    (stack.folder / "Pulumi.yaml").write_text(original, encoding="utf-8")
    assert "nowhere/bin/python does not exist; create the virtual environment first" in output


def test_about_lists_the_stand_ins_in_the_versions_of_the_sdk_packages(stack: Any) -> None:
    output = stack.run("about")
    assert re.search(r"docker\s+5\.2\.0", output)
    assert re.search(r"random\s+4\.21\.4", output)
    assert re.search(r"pulumi_docker\s+5\.2\.0", output)
    assert f"version='{sys.version_info.major}.{sys.version_info.minor}" in output


def test_the_packages_of_an_environment_name_the_plugins_they_need(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for name, content in {
        "pulumi_one": '{"resource": true, "name": "one", "version": "1.2.3", "server": "https://plugins.example"}',
        "pulumi_two": '{"resource": false}',
    }.items():
        (packages / name).mkdir(parents=True)
        (packages / name / "pulumi-plugin.json").write_text(content, encoding="utf-8")
    (found,) = language_host.required_packages(str(tmp_path / "bin" / "python"))
    assert (found.kind, found.name, found.version, found.server) == (
        "resource", "one", "1.2.3", "https://plugins.example"
    )  # fmt: skip


def test_other_runtime_options_are_refused() -> None:
    info = language_pb2.ProgramInfo()
    info.options.update({"toolchain": "poetry"})
    with pytest.raises(language_host.HostError, match="runtime options not supported by this language host: toolchain"):
        language_host.interpreter(info)
