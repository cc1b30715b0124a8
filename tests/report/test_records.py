"""The decision records: complete, numbered, and naming every dependency."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDS = sorted((ROOT / "docs" / "adr").glob("*.md"))
SECTIONS = ["Status", "Context", "Decision", "Consequences"]


def pinned(file: str) -> set[str]:
    return set(re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))


def test_numbers_are_consecutive() -> None:
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_record_has_its_number_in_the_title_and_the_four_sections(record: Path) -> None:
    lines = record.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith(f"# {int(record.name[:4])}. ")
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == SECTIONS


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_records_refer_to_records_that_exist(record: Path) -> None:
    referred = {int(number) for number in re.findall(r"\bADR (\d+)", record.read_text(encoding="utf-8"))}
    assert referred <= set(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_files_that_a_record_names_exist(record: Path) -> None:
    named = re.findall(
        r"`((?:config|systems|components|platforms|policies|report|tests|toolchain)/[\w/.-]*)`", record.read_text()
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_dependency_has_its_reason() -> None:
    text = next(record for record in RECORDS if record.name.startswith("0011-")).read_text(encoding="utf-8")
    rows = [
        line.split("|")[1] for line in text.splitlines() if line.startswith("| ") and not line.startswith("| package")
    ]
    listed = {name.strip().lower() for row in rows for name in row.split(",")}
    needed = {name.lower() for name in pinned("requirements.txt") | pinned("requirements-dev.txt")}
    stubs = {name for name in needed if name.startswith("types-")}
    assert needed - stubs == listed - {"types-…"}


def test_the_licence_is_the_apache_licence_of_the_authors() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "The ai-platform authors" in text
