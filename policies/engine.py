"""The seam to the policy library: the one module that imports it.

`pulumi_policy` 1.21.0 drops three things that the engine sends, and this module keeps them:

- **Secrets.** The engine marks secrets in `AnalyzeRequest`, but validations get plain values; only remediations are
  deserialised with `proxy_secrets=True`. Here every deserialisation is, so that "this input is a Pulumi secret"
  can be checked. The proxies of that mode are taken apart again by `tree`, so rules never see them.
- **Configuration.** `AnalyzerStackConfigureRequest.config` carries the stack's configuration; the library keeps the
  tags only.
- **Locked policies.** A `--policy-pack-config` file can switch off any policy; locked ones stay mandatory here.

All three lean on names that the library does not document, so `VERSION` is checked before anything else, and
`tests/policies/test_engine.py` drives the real servicer with the engine's own messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any, Final

import grpc
import pulumi.runtime
from pulumi.runtime import proto
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyPack,
    PolicyResource,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    Secret,
    Severity,
    StackValidationArgs,
    StackValidationPolicy,
    proxy,
)
from pulumi_policy import deserialize as library_deserialize
from pulumi_policy import policy as library_module

from policies.rule import Finding, Rule
from policies.rules import RULES
from policies.settings import Settings, SettingsError, from_config
from policies.subject import Resource
from policies.values import UNKNOWN, Sensitive

VERSION: Final = "1.21.0"
"""Version of pulumi_policy that this module was written for."""
PACK_NAME: Final = "ai-platform"
RESOURCE_REPORT: Final = "exemptions-resource-report"
STACK_REPORT: Final = "exemptions-stack-report"
UNKNOWN_TEXTS: Final = frozenset(
    value for name, value in vars(proxy).items() if name.startswith("UNKNOWN_") and isinstance(value, str)
)
"""What the engine sends in the place of a value that it does not know yet, one text per type."""

Report = Callable[..., None]
library: Any = library_module
"""Untyped on purpose: what is replaced here is not part of the library's declared interface."""


class UnsupportedLibraryError(RuntimeError):
    """Another version of pulumi_policy is installed than the one this module was written for."""


def tree(value: Any) -> Any:
    """The library's property tree as plain Python, with `Sensitive` and `UNKNOWN` in their places."""
    if isinstance(value, Secret):
        return Sensitive(tree(value.value))
    if isinstance(value, Mapping):
        target = value if isinstance(value, dict) else value["__target"]
        return {key: tree(child) for key, child in target.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        # The library's proxies answer to this key with what they wrap; subscripting them otherwise hides the marks.
        target = value if isinstance(value, list) else value["__target"]  # type: ignore[call-overload]
        return [tree(child) for child in target]
    return UNKNOWN if isinstance(value, str) and value in UNKNOWN_TEXTS else value


def subject(args: ResourceValidationArgs | PolicyResource) -> Resource:
    """The resource of a validation, as the rules see it."""
    return Resource(type=args.resource_type, name=args.name, urn=args.urn, marked=tree(args.props))


class Pack:
    """The policies of one stack, under its settings."""

    def __init__(self, rules: Sequence[Rule] = RULES, settings: Settings | None = None) -> None:
        self.rules = tuple(rules)
        self.settings = settings or Settings()
        self.policies: list[Policy] = [
            *(self._policy(rule) for rule in self.rules),
            ResourceValidationPolicy(
                name=RESOURCE_REPORT,
                description="Findings that an exemption of the stack file covers.",
                enforcement_level=EnforcementLevel.ADVISORY,
                validate=self._report_resource,
            ),
            StackValidationPolicy(
                name=STACK_REPORT,
                description="Exemptions of the stack file that need a look.",
                enforcement_level=EnforcementLevel.ADVISORY,
                validate=self._report_stack,
            ),
        ]

    def configure(self, settings: Settings) -> None:
        """Take over the stack's settings: from now on levels and exemptions are these."""
        self.settings = settings
        levels = {rule.name: EnforcementLevel(rule.effective_level(settings)) for rule in self.rules}
        for policy in self.policies:
            policy.enforcement_level = levels.get(policy.name, policy.enforcement_level)

    def locked(self, name: str) -> bool:
        """The policy's level is not for others to set: locked rules, and the reports of what was exempted."""
        return name in (RESOURCE_REPORT, STACK_REPORT) or any(rule.locked for rule in self.rules if rule.name == name)

    def _policy(self, rule: Rule) -> Policy:
        kind, validate = (
            (StackValidationPolicy, partial(self._validate_stack, rule))
            if rule.check_stack is not None
            else (ResourceValidationPolicy, partial(self._validate_resource, rule))
        )
        return kind(
            name=rule.name,
            description=rule.description,
            enforcement_level=EnforcementLevel(rule.level),
            severity=Severity.CRITICAL if rule.locked else Severity.HIGH if rule.level == "mandatory" else Severity.LOW,
            tags=[rule.family],
            validate=validate,
        )

    def _validate_resource(self, rule: Rule, args: ResourceValidationArgs, report: Report) -> None:
        if rule.types and args.resource_type not in rule.types:
            return
        for message in _verdicts(rule, rule.findings(subject(args), self.settings), self.settings):
            report(message)

    def _validate_stack(self, rule: Rule, args: StackValidationArgs, report: Report) -> None:
        findings = rule.stack_findings([subject(resource) for resource in args.resources], self.settings)
        for finding in findings:
            message = rule.verdict(finding, self.settings)
            if message is not None:
                report(message, finding.urn or None)

    def _report_resource(self, args: ResourceValidationArgs, report: Report) -> None:
        if not self.settings.exemptions:
            return
        resource = subject(args)
        for rule in self._running():
            for finding in rule.findings(resource, self.settings):
                line = rule.report(finding, self.settings)
                if line is not None:
                    report(line)

    def _report_stack(self, args: StackValidationArgs, report: Report) -> None:
        for name in sorted(self.settings.levels):
            if self.locked(name) and self.settings.levels[name] != "mandatory":
                report(f"the level of {name} in the stack file does not count: this rule cannot be bypassed; remove it")
        if not self.settings.exemptions:
            return
        resources = [subject(resource) for resource in args.resources]
        for rule in self._running():
            for finding in rule.stack_findings(resources, self.settings):
                line = rule.report(finding, self.settings)
                if line is not None:
                    report(line, finding.urn or None)
        for line in self._stale(resources):
            report(line)

    def _stale(self, resources: Sequence[Resource]) -> Iterable[str]:
        for exemption in self.settings.exemptions:
            what = f"the exemption of {exemption.resource} from {exemption.policy} ({exemption.owner})"
            if self.settings.expired(exemption):
                yield f"{what} expired on {exemption.expires.isoformat()}; remove it, or renew it with a reason"
            elif not any(exemption.covers(exemption.policy, (one.name,), one.service) for one in resources):
                yield f"{what} matches no resource of the stack; remove it"

    def _running(self) -> Iterable[Rule]:
        return (rule for rule in self.rules if rule.effective_level(self.settings) != "disabled")


def _verdicts(rule: Rule, findings: Sequence[Finding], settings: Settings) -> list[str]:
    return [message for finding in findings if (message := rule.verdict(finding, settings)) is not None]


class Servicer(library._PolicyAnalyzerServicer):  # type: ignore[misc]
    """The library's servicer, with the configuration and the locks that it does not know of."""

    pack: Pack

    def ConfigureStack(self, request: proto.AnalyzerStackConfigureRequest, context: Any) -> Any:
        """Called by the engine before it asks for the policies; settings that make no sense end the command."""
        try:
            self.pack.configure(from_config(dict(request.config), frozenset(request.config_secret_keys)))
        except SettingsError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return super().ConfigureStack(request, context)

    def Configure(self, request: proto.ConfigureAnalyzerRequest, context: Any) -> Any:
        """Called with the levels of `--policy-pack-config` and the defaults of the policies."""
        for name, config in request.policyConfig.items():
            if self.pack.locked(name):
                advisory = name in (RESOURCE_REPORT, STACK_REPORT)
                config.enforcementLevel = proto.ADVISORY if advisory else proto.MANDATORY
        return super().Configure(request, context)


def marked_properties(properties: dict[str, Any], proxy_secrets: bool = True) -> Any:
    """The library's `deserialize_properties`, with secrets marked whether the caller asks for it or not."""
    del proxy_secrets
    return library_deserialize.deserialize_properties(properties, proxy_secrets=True)


def attach(pack: Pack) -> type[Servicer]:
    """Put the seam in place for `pack`; returns the servicer that the library will start.

    Raises UnsupportedLibraryError for another version of pulumi_policy.
    """
    installed = version("pulumi_policy")
    if installed != VERSION:
        raise UnsupportedLibraryError(
            f"the policy pack was written for pulumi_policy {VERSION} and found {installed}; install the pinned "
            "requirements, or bring policies/engine.py and its tests up to the new version"
        )
    servicer = type("StackServicer", (Servicer,), {"pack": pack})
    library.deserialize_properties = marked_properties
    library._PolicyAnalyzerServicer = servicer
    return servicer


def serve() -> None:
    """Start the pack and answer the engine until it ends the process."""
    pack = Pack()
    # Engines from before `ConfigureStack` hand the configuration over in the environment, secrets among the rest.
    config: dict[str, str] = pulumi.runtime.get_config_env()
    pack.configure(replace(from_config(config), plain_config={}))
    attach(pack)
    PolicyPack(name=PACK_NAME, policies=pack.policies, enforcement_level=EnforcementLevel.MANDATORY)
