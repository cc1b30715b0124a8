"""Where an image comes from: the engine, a registry, a build; and how often each is asked."""

from __future__ import annotations

from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound
from requests import Response

from toolchain.console import ToolchainError
from toolchain.images import __main__ as command
from toolchain.images import workshop
from toolchain.images.catalog import Image
from toolchain.images.wheels import platforms
from toolchain.images.workshop import Entry, Workshop


class FakeImage:
    """An image of the fake engine."""

    def __init__(self, reference: str) -> None:
        self.id = f"sha256:{reference}"


class FakeEngine:
    """An engine that has some images and reaches a registry, or not."""

    def __init__(self, *present: str, served: tuple[str, ...] = (), error: APIError | None = None) -> None:
        self.present = set(present)
        self.served = served
        self.error = error
        self.asked: list[str] = []
        self.api = self.images = self

    def get(self, reference: str) -> FakeImage:
        if reference not in self.present:
            raise ImageNotFound(reference)
        return FakeImage(reference)

    def list(self, name: str) -> list[str]:
        return [reference for reference in self.present if reference.startswith(f"{name}:")]

    def inspect_distribution(self, reference: str) -> None:
        self.asked.append(reference)
        if reference not in self.served:
            raise self.error or refusal(404)

    def pull(self, reference: str) -> None:
        self.present.add(reference)


def refusal(status: int) -> APIError:
    """The engine's answer to a question that went wrong."""
    answer = Response()
    answer.status_code, answer.url, answer.reason = status, "http://engine/distribution", "refused"
    return APIError("refused", response=answer)


IMAGES = (
    Image(name="one", upstream="example/one:1", version="1"),
    Image(name="two", upstream="example/two:2", version="2"),
    Image(name="never", upstream="example/never:3", version="3", build=False),
)


def make(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, *, ask: bool) -> tuple[Workshop, list[str]]:
    """A workshop whose builds only write down that they happened."""
    monkeypatch.setattr(workshop, "CATALOG", IMAGES)
    built: list[str] = []

    def build(image: Image, tag: str) -> str:
        built.append(image.name)
        engine.present.add(tag)
        return f"sha256:{tag}"

    bench: Any = Workshop(engine, engine, ask=ask)  # type: ignore[arg-type]
    monkeypatch.setattr(bench, "_docker_build", build)
    monkeypatch.setattr(bench, "_tag", lambda image: f"ai-platform/{image.name}:recipe")
    return bench, built


def test_an_image_that_a_registry_serves_is_pulled_and_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(served=("example/one:1",))
    bench, built = make(engine, monkeypatch, ask=True)
    assert bench.get("one") == {
        "image": "sha256:example/one:1",
        "reference": "example/one:1",
        "source": "pulled",
        "version": "1",
    }
    assert built == []


def test_a_registry_that_is_not_there_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(error=refusal(500))
    bench, built = make(engine, monkeypatch, ask=True)
    entries = [bench.get(image.name) for image in IMAGES]
    assert engine.asked == ["example/one:1"]
    assert built == ["one", "two"]
    assert [entry["source"] for entry in entries] == ["built", "built", "missing"]
    assert entries[2]["image"] is None
    assert "no image registry answers" in str(entries[2]["reason"])


def test_a_registry_that_lacks_one_image_is_asked_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(served=("example/two:2",))
    bench, built = make(engine, monkeypatch, ask=True)
    assert [bench.get(name)["source"] for name in ("one", "two", "never")] == ["built", "pulled", "missing"]
    assert engine.asked == ["example/one:1", "example/two:2", "example/never:3"]


@pytest.mark.parametrize("reference", ["example/one:1", "ai-platform/one:recipe"])
def test_what_the_engine_has_is_taken_without_a_question(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(reference, served=("example/one:1",))
    bench, built = make(engine, monkeypatch, ask=False)
    assert bench.get("one")["image"] == f"sha256:{reference}"
    assert engine.asked == [] and built == []


def test_a_build_of_another_recipe_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine("ai-platform/one:older")
    bench, built = make(engine, monkeypatch, ask=False)
    assert bench.get("one")["reference"] == "ai-platform/one:recipe"
    assert built == ["one"]


def test_an_image_is_got_once_however_often_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine()
    bench, built = make(engine, monkeypatch, ask=True)
    assert bench.get("one") is bench.get("one")
    assert built == ["one"]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ToolchainError, match="no such image: postgers; there are: postgres, postgres-cnpg, redis"):
        command.prepare(["postgers"], ask=False)


def test_a_build_that_fails_shows_the_end_of_its_log(tmp_path: Any) -> None:
    stream = [{"stream": "Step 1/2 : FROM x\n"}, {"error": "no space left on device"}]
    with pytest.raises(ToolchainError, match="no space left on device"):
        workshop._follow(stream, tmp_path / "log", "one")


def test_the_context_of_a_build_is_the_same_for_the_same_files() -> None:
    files = [("Dockerfile", b"FROM x\n"), ("entrypoint.sh", b"#!/bin/sh\n")]
    assert workshop._tar(files).getvalue() == workshop._tar(files).getvalue()


def test_wheels_are_those_that_debian_12_runs() -> None:
    names = platforms("aarch64")
    assert names[0] == "manylinux_2_36_aarch64"
    assert "manylinux2014_aarch64" in names and "manylinux_2_37_aarch64" not in names


def test_every_entry_has_the_fields_that_the_configuration_reads(inventory: dict[str, Entry]) -> None:
    for name, entry in inventory.items():
        assert {"image", "reference", "source"} <= set(entry), name
