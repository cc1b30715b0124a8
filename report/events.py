"""One preview, read from the events that `pulumi preview --json` streams with PULUMI_ENABLE_STREAMING_JSON_PREVIEW.

The plain JSON output carries neither the policies' findings nor more than the new state; the stream carries the
operations with the properties that differ, every finding, and the errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from policies.engine import RESOURCE_REPORT, STACK_REPORT
from policies.settings import KEY, Settings, SettingsError, from_config

OPERATIONS: Final = {"create": "create", "update": "update", "replace": "replace", "delete": "delete"}
"""Operations of the engine that change something; a replacement's create and delete steps belong to `replace`."""
FIRST_NAME: Final = re.compile(r'^\[?"?([^.\["\]]+)')
STACK_TYPE: Final = "pulumi:pulumi:Stack"
EMPTY_ERRORS: Final = ("preview failed", "update failed")
"""What the engine says when somebody else has said the reason already."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that the deployment would touch."""

    operation: str
    """One of `OPERATIONS`' values."""
    type: str
    name: str
    properties: tuple[str, ...]
    """Names of the inputs that differ; never their values."""
    forcing: tuple[str, ...]
    """Those of them that force a replacement."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One resource as it will be."""

    type: str
    name: str
    inputs: Mapping[str, Any] = field(repr=False)
    """As the engine tells them: secrets are masked, unknown values are opaque texts."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One message of a policy."""

    policy: str
    level: str
    """`mandatory` or `advisory`."""
    message: str


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What one stack's preview came to."""

    succeeded: bool
    changes: tuple[Change, ...] = ()
    unchanged: int = 0
    planned: tuple[Planned, ...] = ()
    """Everything that the stack will hold."""
    present: tuple[Planned, ...] = ()
    """Everything that the stack holds now."""
    pack: str | None = None
    """Name and version of the policy pack; None when none ran."""
    rules: int = 0
    """Policies that looked at the stack."""
    findings: tuple[Finding, ...] = ()
    exempted: tuple[str, ...] = ()
    """Findings that an exemption covers, and exemptions that need a look."""
    settings: Settings = field(default_factory=Settings)
    """Levels and exemptions of the stack file."""
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def violations(self) -> tuple[Finding, ...]:
        """Findings that forbid the deployment."""
        return tuple(finding for finding in self.findings if finding.level == "mandatory")

    @property
    def advice(self) -> tuple[Finding, ...]:
        """Findings that do not."""
        return tuple(finding for finding in self.findings if finding.level != "mandatory")


def read(lines: Iterable[str]) -> Preview:
    """The preview that the event stream tells; lines that are no events are passed over."""
    reader = _Reader()
    for line in lines:
        event = _event(line)
        for kind, body in event.items():
            if isinstance(body, Mapping):
                reader.take(kind, body)
    return reader.preview()


def _event(line: str) -> Mapping[str, Any]:
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return event if isinstance(event, dict) else {}


class _Reader:
    """Collects events until the stream ends."""

    def __init__(self) -> None:
        self.succeeded = False
        self.unchanged = 0
        self.changes: list[Change] = []
        self.planned: list[Planned] = []
        self.present: list[Planned] = []
        self.findings: set[Finding] = set()
        self.exempted: set[str] = set()
        self.rules: set[str] = set()
        self.pack: str | None = None
        self.settings = Settings()
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def take(self, kind: str, body: Mapping[str, Any]) -> None:
        """Take in one event; kinds that say nothing to a reviewer are passed over."""
        takers = {
            "preludeEvent": self._prelude,
            "resourcePreEvent": self._resource,
            "policyEvent": self._finding,
            "policyAnalyzeSummaryEvent": self._rules,
            "policyAnalyzeStackSummaryEvent": self._rules,
            "diagnosticEvent": self._diagnostic,
            "summaryEvent": self._summary,
        }
        if kind in takers:
            takers[kind](body)

    def preview(self) -> Preview:
        """What the events came to, in an order that does not depend on theirs."""
        return Preview(
            succeeded=self.succeeded,
            changes=tuple(
                sorted(self.changes, key=lambda one: (list(OPERATIONS).index(one.operation), one.type, one.name))
            ),
            unchanged=self.unchanged,
            planned=tuple(sorted(self.planned, key=lambda one: (one.type, one.name))),
            present=tuple(sorted(self.present, key=lambda one: (one.type, one.name))),
            pack=self.pack,
            rules=len(self.rules - {RESOURCE_REPORT, STACK_REPORT}),
            findings=tuple(sorted(self.findings, key=lambda one: (one.level != "mandatory", one.policy, one.message))),
            exempted=tuple(sorted(self.exempted)),
            settings=self.settings,
            warnings=tuple(dict.fromkeys(self.warnings)),
            errors=tuple(dict.fromkeys(self.errors)),
        )

    def _prelude(self, body: Mapping[str, Any]) -> None:
        config = body.get("config") or {}
        try:
            self.settings = from_config({KEY: config[KEY]} if KEY in config else {})
        except SettingsError:
            # The pack refuses them, too, and says why.
            self.settings = Settings()

    def _resource(self, body: Mapping[str, Any]) -> None:
        step = body.get("metadata") or {}
        name, kind, operation = str(step.get("urn", "")).rpartition("::")[2], str(step.get("type", "")), step.get("op")
        if kind == STACK_TYPE or not step.get("logical"):
            return
        for states, side in ((self.present, "old"), (self.planned, "new")):
            state = step.get(side)
            if state:
                states.append(Planned(type=kind, name=name, inputs=state.get("inputs") or {}))
        if operation == "same":
            self.unchanged += 1
        elif operation in OPERATIONS:
            detail = step.get("detailedDiff") or {}
            self.changes.append(
                Change(
                    operation=OPERATIONS[operation],
                    type=kind,
                    name=name,
                    properties=_names([*(step.get("diffs") or []), *detail]),
                    forcing=_names(
                        [
                            *(step.get("keys") or []),
                            *(
                                path
                                for path, one in detail.items()
                                if str(one.get("diffKind", "")).endswith("-replace")
                            ),
                        ]
                    ),
                )
            )

    def _finding(self, body: Mapping[str, Any]) -> None:
        # The first line is the policy's description, the same for each of its findings.
        text = str(body.get("message", "")).strip()
        message = " ".join(text.splitlines()[1:]) or text
        policy = str(body.get("policyName", ""))
        if policy in (RESOURCE_REPORT, STACK_REPORT):
            self.exempted.add(message)
        else:
            level = str(body.get("enforcementLevel", "mandatory"))
            self.findings.add(Finding(policy=policy, level=level, message=message))

    def _rules(self, body: Mapping[str, Any]) -> None:
        self.rules.update(body.get("passed") or (), body.get("failed") or ())
        self.pack = f"{body.get('policyPackName', '')} {body.get('policyPackVersion', '')}".strip()

    def _diagnostic(self, body: Mapping[str, Any]) -> None:
        text = plain(str(body.get("message", "")))
        if body.get("severity") == "warning":
            self.warnings.append(text)
        elif body.get("severity") == "error" and text not in EMPTY_ERRORS:
            self.errors.append(text)

    def _summary(self, body: Mapping[str, Any]) -> None:
        self.succeeded = body.get("result") == "succeeded"


def plain(message: str) -> str:
    """An error as its reader needs it: without the stack trace, whose source lines may show values."""
    lines = message.strip().splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if starts:
        tail = lines[starts[-1] + 1 :]
        # The frames are indented; the exception's own text begins with the first line that is not.
        first = next((number for number, line in enumerate(tail) if line and not line.startswith(" ")), len(tail))
        lines = [*(tail[first:] or ["the program failed"])]
    return "\n".join(line.rstrip() for line in lines).strip()


def _names(paths: Iterable[str]) -> tuple[str, ...]:
    """Top-level property names of property paths (`labels[0].value` → `labels`)."""
    found = (FIRST_NAME.match(path) for path in paths)
    return tuple(sorted({match.group(1) for match in found if match}))
