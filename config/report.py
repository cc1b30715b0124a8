"""How a refusal reads: file, line, key, problem, fix — all problems of a stack file at once, and never a value."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pulumi import RunError

Path = tuple[str | int, ...]
"""Where a value stands: keys and list indices, from the top-level key on."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_KEY = 60
MOST_LINES = 30
"""Problems that are told one by one: more are of one kind nearly always, and the first few show which."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, before its line is looked up."""

    path: Path
    problem: str
    """Follows the key in a sentence, without a full stop."""
    fix: str
    """One or two sentences, with full stops."""
    near: Path | None = None
    """Where to look in the file when the key itself is missing there."""


@dataclass(frozen=True)
class Problem:
    """One line of the report."""

    key: str
    line: int | None
    """Line of the stack file, from 1 on; None where the value did not come from the file."""
    problem: str
    fix: str


class ConfigError(RunError):
    """The configuration is refused; the engine shows the text without a traceback.

    The text names every problem with its line, its key and its fix. It holds numbers, key names and known names, but no
    other value of the configuration.
    """

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(problems, key=lambda one: one.line or 0))
        super().__init__(_text(file, self.problems))


def error(file: str, key: str, problem: str, fix: str) -> ConfigError:
    """A refusal with one problem that is not about a line of the stack file."""
    return ConfigError(file, [Problem(key=key, line=None, problem=problem, fix=fix)])


def dotted(path: Path) -> str:
    """The path as `pulumi config set --path` takes it: `systems[0].services.api`, `secrets.registries["ghcr.io"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif not text:
            text = _short(step)
        elif _BARE.fullmatch(step):
            text += f".{_short(step)}"
        else:
            text += f"[{json.dumps(_short(step), ensure_ascii=False)}]"
    return text


def set_secret(stack: str, path: Path) -> str:
    """The sentence that tells how to store a secret; the command asks for the value."""
    return f"Run `pulumi config set --stack {stack} --path --secret 'ai-platform:{dotted(path)}'`."


def nearest(given: object, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, or None."""
    if not isinstance(given, str):
        return None
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(given.lower()[:_LONGEST_KEY], names, n=1)
    # `prod` is too short for the measure, but nobody means anything else by it.
    begins = [name for name in names if len(given) > 1 and name.startswith(given.lower())]
    found = close or (begins if len(begins) == 1 else [])
    return names[found[0]] if found else None


def suggestion(given: object, known: Iterable[str]) -> str:
    """`Did you mean …?`, or the names that are known."""
    names = list(known)
    close = nearest(given, names)
    if close is not None:
        return f"Did you mean `{close}`?"
    return f"Use one of: {', '.join(names)}." if names else "Remove it."


def _short(step: str) -> str:
    step = step if step.isprintable() else json.dumps(step)
    return step if len(step) <= _LONGEST_KEY else f"{step[:_LONGEST_KEY]}…"


def _text(file: str, problems: Sequence[Problem]) -> str:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{file} has {count}:"]
    width = max((len(f"line {problem.line}") for problem in problems[:MOST_LINES] if problem.line), default=0)
    for problem in problems[:MOST_LINES]:
        place = (f"line {problem.line}" if problem.line else "").ljust(width)
        lines.append(f"  {place}{'  ' if width else ''}{problem.key}: {problem.problem}. {problem.fix}")
    if len(problems) > MOST_LINES:
        lines.append(f"  … and {len(problems) - MOST_LINES} more: the next run names them once these are mended.")
    return "\n".join(lines)
