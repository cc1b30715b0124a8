"""The report as Markdown: names and numbers only, never the value of a property."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from policies.credentials import form
from report import mermaid
from report.composition import capacity, compose
from report.events import Finding
from report.preview import Result

MARKER: Final = "<!-- ai-platform:pr-report -->"
"""First line: by it CI finds the comment that it wrote before."""
MAX_LENGTH: Final = 60_000
"""Characters; GitHub refuses comments beyond 65 536."""
WITHHELD: Final = "(a line that looks like it holds a credential is left out)"
URL_PASSWORD: Final = re.compile(r"(://[^\s/:@'\"]*:)[^\s@/'\"]+@")
VERBS: Final = {"create": "to create", "update": "to update", "replace": "to replace", "delete": "to delete"}
MIB_PER_GIB: Final = 1024


def render(reported: Sequence[Result], *, revision: str | None = None) -> str:
    """The whole report; where it grows too long for a comment, lists are cut, then pictures left out."""
    for rows, picture in ((1000, True), (100, True), (20, True), (20, False), (0, False)):
        text = "\n".join(_document(reported, revision, rows, picture)) + "\n"
        if len(text) <= MAX_LENGTH:
            return text
    return text[:MAX_LENGTH] + "\n\n(cut: the report is longer than a comment may be)\n"


def _document(reported: Sequence[Result], revision: str | None, rows: int, picture: bool) -> Iterator[str]:
    yield MARKER
    yield "## Deployment preview"
    yield ""
    if revision:
        yield f"At {_code(revision)}."
        yield ""
    yield from _table(
        ("stack", "platform", "plan", "policies"),
        [(f"**{_cell(one.stack.name)}**", _cell(_platform(one)), _plan(one), _verdict(one)) for one in reported],
    )
    for one in reported:
        yield from _stack(one, rows, picture)


def _platform(one: Result) -> str:
    return one.stack.kind or "not named"


def _plan(one: Result) -> str:
    preview = one.preview
    if one.refused:
        return "⛔ cannot be deployed by this version"
    if preview.errors:
        return "❌ the preview failed"
    counts = Counter(change.operation for change in preview.changes)
    parts = [f"{counts[operation]} {verb}" for operation, verb in VERBS.items() if counts[operation]]
    return ", ".join(parts) or "no changes"


def _verdict(one: Result) -> str:
    preview = one.preview
    if preview.violations:
        return f"❌ {_count(len(preview.violations), 'violation')}"
    if not preview.rules or preview.errors:
        return "not judged"
    return "⚠️ passed with advice" if preview.advice else "✅ passed"


def _stack(one: Result, rows: int, picture: bool) -> Iterator[str]:
    preview = one.preview
    yield ""
    yield f"### {_cell(one.stack.name)}"
    yield ""
    if one.refused:
        yield (
            f"The platform {_code(_platform(one))} is described in the stack file, but not built yet in this version, "
            "so nothing was planned. The program says:"
        )
        yield from _block(preview.errors)
        return
    if preview.errors:
        yield (
            "**The preview failed**, so the plan below is not complete:"
            if preview.changes
            else "**The preview failed:**"
        )
        yield from _block(preview.errors)
    yield from _changes(one, rows)
    yield from _policies(one, rows)
    if preview.warnings:
        yield ""
        yield "Warnings:"
        yield from _block(preview.warnings)
    if not preview.errors:
        yield from _capacity(one)
        if picture:
            yield from _picture(one)


def _changes(one: Result, rows: int) -> Iterator[str]:
    preview = one.preview
    base = "the stack's present state" if preview.present else "an empty state"
    if not preview.changes:
        if not preview.errors:
            yield f"No changes against {base}: {_count(preview.unchanged, 'resource')} unchanged."
        return
    yield f"Against {base}" + (f"; {_count(preview.unchanged, 'resource')} unchanged." if preview.unchanged else ".")
    yield ""
    types = sorted({change.type for change in preview.changes})
    counts = Counter((change.type, change.operation) for change in preview.changes)
    yield from _table(
        ("type", *VERBS.values()),
        [(_code(_short(kind)), *(str(counts[kind, verb] or "") for verb in VERBS)) for kind in types],
    )
    # What exists and changes deserves a look; what is new has its names here and its whole text in the pull request.
    risky = [change for change in preview.changes if change.operation != "create"]
    created = [change for change in preview.changes if change.operation == "create"]
    if risky:
        yield ""
        yield from _table(
            ("change", "resource", "type", "properties"),
            [
                (
                    change.operation,
                    _code(change.name),
                    _code(_short(change.type)),
                    ", ".join(
                        _code(name) + (" (forces it)" if name in change.forcing else "") for name in change.properties
                    ),
                )
                for change in risky[:rows]
            ],
        )
        yield from _more(len(risky), rows)
    if created:
        yield ""
        yield f"<details><summary>{_count(len(created), 'new resource')}</summary>"
        yield ""
        yield from _table(
            ("resource", "type"), [(_code(change.name), _code(_short(change.type))) for change in created[:rows]]
        )
        yield from _more(len(created), rows)
        yield ""
        yield "</details>"


def _policies(one: Result, rows: int) -> Iterator[str]:
    preview = one.preview
    yield ""
    if preview.pack is None:
        yield "**Policies:** the preview ended before the pack could judge anything."
        return
    yield (
        f"**Policies** ({_cell(preview.pack)}): {_count(preview.rules, 'rule')}, "
        f"{_count(len(preview.violations), 'violation')}, {_count(len(preview.advice), 'advisory', 'advisories')}, "
        f"{_count(len(preview.settings.exemptions), 'exemption')} in the stack file."
    )
    findings = [*preview.violations, *preview.advice]
    if findings:
        yield ""
        yield from _table(("level", "policy", "what to change"), [_finding(one) for one in findings[:rows]])
        yield from _more(len(findings), rows)
    if preview.exempted:
        yield ""
        yield "Exempted, with the reason that the stack file gives:"
        yield ""
        yield from (f"- {_cell(_safe(line))}" for line in preview.exempted[:rows])
        yield from _more(len(preview.exempted), rows)
    lowered = {name: level for name, level in preview.settings.levels.items() if level != "mandatory"}
    if lowered:
        yield ""
        yield "Levels that the stack file sets: " + ", ".join(
            f"{_code(name)} {_cell(level)}" for name, level in sorted(lowered.items())
        )


def _finding(finding: Finding) -> tuple[str, str, str]:
    mark = "❌ mandatory" if finding.level == "mandatory" else "⚠️ advisory"
    return mark, _code(finding.policy), _cell(_safe(finding.message))


def _capacity(one: Result) -> Iterator[str]:
    preview = one.preview
    now, then = capacity(preview.present), capacity(preview.planned)
    if not then.containers:
        return
    yield ""
    line = (
        f"**Capacity:** one host. The limits of its {_count(then.containers, 'running container')} add up to "
        f"{then.cpus:g} CPUs and {then.memory / MIB_PER_GIB:.2f} GiB of memory"
    )
    if now.containers and now != then:
        line += f" ({then.cpus - now.cpus:+g} CPUs, {(then.memory - now.memory) / MIB_PER_GIB:+.2f} GiB)"
    yield line + "; they are upper bounds, not reservations."


def _picture(one: Result) -> Iterator[str]:
    composition = compose(one.preview.planned)
    if not composition.services:
        return
    yield ""
    yield "<details><summary>Who may reach whom</summary>"
    yield ""
    if not composition.complete:
        yield "Some networks get their names during the deployment: links over them are missing here."
        yield ""
    yield "```mermaid"
    yield mermaid.draw(composition)
    yield "```"
    yield ""
    yield "</details>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _more(count: int, rows: int) -> Iterator[str]:
    if count > rows:
        yield ""
        yield f"… and {count - rows} more."


def _block(texts: Iterable[str]) -> Iterator[str]:
    """Verbatim lines, fenced so that no text can end the fence."""
    lines = [_safe(line) for text in texts for line in text.splitlines()]
    fence = "`" * max(3, 1 + max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0))
    yield ""
    yield from (f"{fence}text", *lines, fence)
    yield ""


def _safe(line: str) -> str:
    """The line without what has the form of a credential: errors quote what they failed with."""
    masked = URL_PASSWORD.sub(r"\1***@", line)
    return masked if form(masked) is None else WITHHELD


def _cell(text: str) -> str:
    """Text of others inside a line of Markdown: no markup, no mention of people, no new cell."""
    escaped = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace("@", "@\u200b")


def _code(text: str) -> str:
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", "¦") + "`"


def _short(type_token: str) -> str:
    """`docker:index/container:Container` → `docker:Container`."""
    package, _, rest = type_token.partition(":")
    return f"{package}:{rest.rpartition(':')[2] or rest}"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
