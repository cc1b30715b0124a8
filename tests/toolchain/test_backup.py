"""`make backup` and `make restore`: what both platforms have in common, and what precedes a deployment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from toolchain import deploy, preceding, stack_file
from toolchain.backup import before
from toolchain.backup.create import create
from toolchain.backup.restore import keeper_of, restore
from toolchain.backup.sides import Keeper, Side
from toolchain.console import ToolchainError

POSTGRES, REDIS = "shop-postgres-20260315T020000Z.dump", "shop-redis-20260315T020000Z.rdb"
FILE = """\
config:
  ai-platform:environment: {environment}
  ai-platform:platform: {{kind: docker}}
  ai-platform:backups: {backups}
"""


class Shelf(Keeper):
    """A keeper without an engine: it notes what it is asked, and fails at what it is told to."""

    def __init__(self, engine: str, archives: list[str], notes: list[str], fails: str = "") -> None:
        self.system, self.engine = "shop", engine
        self.kept, self.notes, self.fails = archives, notes, fails

    def run(self, *command: str) -> str:
        action = " ".join(command).removeprefix("python3 -m backup ")
        if action == "list":
            return "\n".join(self.kept)
        self.notes.append(f"{self.engine}: {action}")
        if self.fails and action.startswith(self.fails):
            raise ToolchainError(f"{self.fails} does not work")
        return f"{action}\n"

    def receive(self, file: Path, name: str) -> None:
        self.notes.append(f"{self.engine}: receive {file.name}")


class Room(Side):
    """A stack of shelves."""

    place = "this test"

    def __init__(self, *keepers: Shelf, up: bool = True) -> None:
        self.stack, self.shelves, self.up = "dev", keepers, up

    def found(self) -> Sequence[Keeper]:
        return self.shelves

    def is_up(self) -> bool:
        return self.up

    @contextmanager
    def applications_stopped(self, keeper: Keeper) -> Iterator[None]:
        self.shelves[0].notes.append("stop")
        try:
            yield
        finally:
            self.shelves[0].notes.append("start")

    def load_redis(self, keeper: Keeper, name: str) -> None:
        self.shelves[0].notes.append(f"load {name}")


@pytest.fixture
def notes() -> list[str]:
    """What was asked, in order."""
    return []


@pytest.fixture
def room(notes: list[str]) -> Room:
    """A stack with one archive of each engine."""
    return Room(Shelf("redis", [REDIS], notes), Shelf("postgres", [POSTGRES], notes))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (POSTGRES, [f"postgres: check {POSTGRES}", "stop", f"postgres: restore {POSTGRES}", "start"]),
        (REDIS, [f"redis: check {REDIS}", "stop", f"load {REDIS}", "start"]),
        (
            f"{REDIS} {POSTGRES}",
            [
                *(f"redis: check {REDIS}", f"postgres: check {POSTGRES}", "stop"),
                *(f"postgres: restore {POSTGRES}", f"load {REDIS}", "start"),
            ],
        ),
    ],
)
def test_an_archive_is_checked_before_the_applications_are_stopped(
    source: str, expected: list[str], room: Room, notes: list[str]
) -> None:
    restore(room, source)
    assert notes == expected


@pytest.mark.parametrize("fails", ["check", "restore"])
def test_what_fails_stops_nothing_or_starts_the_applications_again(fails: str, notes: list[str]) -> None:
    room = Room(Shelf("postgres", [POSTGRES], notes, fails))
    with pytest.raises(ToolchainError, match=f"{fails} does not work"):
        restore(room, POSTGRES)
    stopped = [] if fails == "check" else ["stop", f"postgres: restore {POSTGRES}", "postgres: cancel", "start"]
    assert notes == [f"postgres: check {POSTGRES}", *stopped]


def test_a_file_of_this_host_is_copied_and_the_copy_removed(room: Room, notes: list[str], tmp_path: Path) -> None:
    file = tmp_path / "of mine.rdb"
    file.write_bytes(b"REDIS")
    restore(room, str(file))
    copy = notes[1].removeprefix("redis: check ")
    assert notes == [
        "redis: receive of mine.rdb",
        f"redis: check {copy}",
        "stop",
        f"load {copy}",
        "start",
        f"redis: rm -f /backups/{copy}",
    ]


def test_two_archives_of_one_engine_are_refused(notes: list[str]) -> None:
    later = POSTGRES.replace("0315", "0316")
    with pytest.raises(ToolchainError, match="one archive of each engine .*; nothing was stopped or changed"):
        restore(Room(Shelf("postgres", [POSTGRES, later], notes)), f"{POSTGRES} {later}")
    assert notes == []


def test_an_archive_that_is_not_there_is_answered_with_those_that_are(room: Room, notes: list[str]) -> None:
    with pytest.raises(ToolchainError, match=rf"no archive FROM='gone'; there are:\n  {POSTGRES}\n  {REDIS}"):
        restore(room, "gone")
    assert notes == []


@pytest.mark.parametrize("name", ["notes.txt", "other-postgres-20260315T020000Z.dump", "shop-redis-1.dump.gz"])
def test_a_file_that_nobody_here_can_have_made_is_refused(room: Room, name: str) -> None:
    with pytest.raises(ToolchainError, match="here are shop-redis, shop-postgres; nothing was stopped or changed"):
        keeper_of(room.shelves, name)


@pytest.mark.parametrize(
    ("up", "reason"), [(True, "set backups.volume to true in Pulumi.dev.yaml"), (False, "runs on this test: is it up")]
)
def test_a_stack_without_backups_is_told_from_one_that_is_not_there(up: bool, reason: str) -> None:
    with pytest.raises(ToolchainError, match=reason):
        Room(up=up).keepers()


def test_an_engine_that_cannot_be_archived_keeps_no_other_from_it(
    notes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    keepers = [Shelf("postgres", [POSTGRES], notes, "create"), Shelf("redis", [REDIS], notes)]
    with pytest.raises(ToolchainError, match="not backed up:\n  postgres of shop: create does not work"):
        create(keepers)
    assert notes == ["postgres: create", "redis: create"]
    assert capsys.readouterr().out == "create\n"


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: Room) -> Path:
    """The folder of a stack file; whoever looks for the stack finds the room."""
    monkeypatch.setattr(stack_file, "ROOT", tmp_path)
    monkeypatch.setattr(before, "side_of", lambda _: room)
    return tmp_path


@pytest.mark.parametrize(
    ("environment", "backups", "count"),
    [
        ("staging", "{}", 2),
        ("production", "{}", 2),
        ("development", "{}", 0),
        ("development", "{beforeDeployment: true}", 2),
        ("staging", "{beforeDeployment: false}", 0),
        ("staging", "{volume: false}", 0),
        ("staging", "{keepDays: 0}", 0),
    ],
)
def test_a_deployment_is_preceded_by_a_backup_everywhere_but_in_development(
    environment: str, backups: str, count: int, declared: Path
) -> None:
    (declared / "Pulumi.dev.yaml").write_text(FILE.format(environment=environment, backups=backups))
    assert len(before.needed("dev")) == count


def test_a_platform_that_does_not_answer_stops_the_deployment(declared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_: str) -> Side:
        raise ToolchainError("the cluster does not answer")

    (declared / "Pulumi.dev.yaml").write_text(FILE.format(environment="staging", backups="{}"))
    monkeypatch.setattr(before, "side_of", silent)
    with pytest.raises(ToolchainError, match=r"does not answer\nno backup, .* make up STACK=dev ARGS=--no-backup"):
        before.needed("dev")


@pytest.fixture
def cli(declared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CLI that notes how it is called; its preview ends as the file `preview` says."""
    (declared / "Pulumi.dev.yaml").write_text(FILE.format(environment="staging", backups="{}"))
    program = tmp_path / "pulumi"
    program.write_text(
        f'#!/bin/sh\ncd {tmp_path}\n[ "$2" = output ] && {{ echo "{{}}"; exit; }}\n'
        'echo "$@" >> calls\n[ "$1" != preview ] || . ./preview\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(deploy, "CLI_LINK", program)
    monkeypatch.setattr(deploy, "TOOLS", tmp_path)
    for name in ("recover", "check_ports", "settle"):
        monkeypatch.setattr(deploy, name, lambda *_: ())
    monkeypatch.setattr(preceding, "LOG", tmp_path / "logs" / "before-up.log")
    return tmp_path


NOTHING, SOMETHING, BROKEN = "exit 0", f'echo "error: {preceding.CHANGES} but …" >&2; exit 7', "exit 1"
PREVIEW = "preview --expect-no-changes --policy-pack policies --stack dev"
UP = "up --yes --policy-pack policies --stack dev"


@pytest.mark.parametrize(
    ("preview", "calls", "archived"),
    [
        pytest.param(NOTHING, [PREVIEW, f"{UP} --skip-preview"], False, id="nothing changes"),
        pytest.param(SOMETHING, [PREVIEW, f"{UP} --skip-preview"], True, id="something changes"),
        pytest.param(BROKEN, [PREVIEW, UP], False, id="the preview fails, and so will that of up"),
    ],
)
def test_a_backup_is_made_when_a_preview_shows_changes(
    preview: str, calls: list[str], archived: bool, cli: Path, notes: list[str]
) -> None:
    (cli / "preview").write_text(preview)
    assert deploy.deploy("up", "dev", []) == 0
    assert (cli / "calls").read_text().splitlines() == calls
    made = ["postgres: create", f"postgres: check {POSTGRES}", "redis: create", f"redis: check {REDIS}"]
    assert notes == (made if archived else [])


def test_a_deployment_without_a_preview_is_always_preceded_by_a_backup(cli: Path, notes: list[str]) -> None:
    assert deploy.deploy("up", "dev", ["--skip-preview"]) == 0
    assert (cli / "calls").read_text().splitlines() == [f"{UP} --skip-preview"]
    assert "redis: create" in notes


def test_a_backup_that_fails_leaves_the_deployment_undone(cli: Path, room: Room) -> None:
    (cli / "preview").write_text(SOMETHING)
    room.shelves[0].fails = "check"
    with pytest.raises(ToolchainError, match=r"redis of shop: check does not work\nno backup, so no deployment"):
        deploy.deploy("up", "dev", [])
    assert (cli / "calls").read_text().splitlines() == [PREVIEW]


def test_who_says_so_deploys_without_a_backup(cli: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["deploy", "up", "--stack", "dev", before.WITHOUT])
    assert deploy.main() == 0
    assert (cli / "calls").read_text().splitlines() == [UP]
    assert notes == []
