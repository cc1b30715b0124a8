"""The seam to the policy library: the one module that imports it.

`pulumi_policy` 1.21.0 drops three things that the engine sends, and this module keeps them:

- **Secrets.** The engine marks secrets in `AnalyzeRequest`, but the library's validations get plain values. Here `tree`
  reads the message itself, so that "this input is a Pulumi secret" can be checked.
- **Configuration.** `AnalyzerStackConfigureRequest.config` carries the stack's configuration; the library keeps the
  tags only.
- **Locked policies.** A `--policy-pack-config` file can switch off any policy; locked ones stay mandatory here.

And one thing it does too often: it decodes a resource for each policy anew, and the whole stack for each policy of the
stack. Here that is done once for all of them, which is most of what the pack costs a preview (benchmarks/README.md).

All of it leans on names that the library does not document, so `VERSION` is checked before anything else, and
`tests/policies/test_engine.py` drives the real servicer with the engine's own messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any, Final, cast

import grpc
import pulumi.runtime
from google.protobuf import struct_pb2
from pulumi.runtime import proto
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyPack,
    ResourceValidationPolicy,
    Severity,
    StackValidationPolicy,
    proxy,
)
from pulumi_policy import policy as library_module
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY

from policies.rule import Finding, Rule
from policies.rules import RULES
from policies.settings import Exemption, Settings, SettingsError, from_config
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


def tree(value: struct_pb2.Value) -> Any:
    """A value of the engine's message as plain Python, with `Sensitive` and `UNKNOWN` in their places."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in UNKNOWN_TEXTS else value.string_value
    if kind == "struct_value":
        fields = properties(value.struct_value)
        signature = fields.pop(SPECIAL_SIG_KEY, None)
        return Sensitive(fields["value"]) if signature == SPECIAL_SECRET_SIG else fields
    if kind == "list_value":
        return [tree(item) for item in value.list_value.values]
    if kind == "number_value":
        return int(value.number_value) if value.number_value.is_integer() else value.number_value
    return value.bool_value if kind == "bool_value" else None


def properties(message: struct_pb2.Struct) -> dict[str, Any]:
    """The properties of a resource, marked as `tree` marks them."""
    return {key: tree(value) for key, value in message.fields.items()}


def subject(message: proto.AnalyzeRequest | proto.AnalyzerResource) -> Resource:
    """The resource of a message, as the rules see it."""
    return Resource(type=message.type, name=message.name, urn=message.urn, marked=properties(message.properties))


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
                validate=cast(Any, self._report_resource),
            ),
            StackValidationPolicy(
                name=STACK_REPORT,
                description="Exemptions of the stack file that need a look.",
                enforcement_level=EnforcementLevel.ADVISORY,
                validate=cast(Any, self._report_stack),
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
        # Untyped: `Servicer` hands over resources as the rules see them, not the library's arguments.
        kind: Any = ResourceValidationPolicy if rule.check_stack is None else StackValidationPolicy
        validate = self._validate_resource if rule.check_stack is None else self._validate_stack
        policy: Policy = kind(
            name=rule.name,
            description=rule.description,
            enforcement_level=EnforcementLevel(rule.level),
            severity=Severity.CRITICAL if rule.locked else Severity.HIGH if rule.level == "mandatory" else Severity.LOW,
            tags=[rule.family],
            validate=partial(validate, rule),
        )
        return policy

    def _validate_resource(self, rule: Rule, resource: Resource, report: Report) -> None:
        for message in _verdicts(rule, rule.findings(resource, self.settings), self.settings):
            report(message)

    def _validate_stack(self, rule: Rule, resources: Sequence[Resource], report: Report) -> None:
        for finding in rule.stack_findings(resources, self.settings):
            message = rule.verdict(finding, self.settings)
            if message is not None:
                report(message, finding.urn or None)

    def _report_resource(self, resource: Resource, report: Report) -> None:
        if not self.settings.exemptions:
            return
        for rule in self._running():
            for finding in rule.findings(resource, self.settings):
                line = rule.report(finding, self.settings)
                if line is not None:
                    report(line)

    def _report_stack(self, resources: Sequence[Resource], report: Report) -> None:
        for name in sorted(self.settings.levels):
            if self.locked(name) and self.settings.levels[name] != "mandatory":
                report(f"the level of {name} in the stack file does not count: this rule cannot be bypassed; remove it")
        if not self.settings.exemptions:
            return
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
            elif not any(_concerns(exemption, one) for one in resources):
                yield f"{what} matches no resource of the stack; remove it"

    def _running(self) -> Iterable[Rule]:
        return (rule for rule in self.rules if rule.effective_level(self.settings) != "disabled")


def _concerns(exemption: Exemption, resource: Resource) -> bool:
    names = (resource.service, *(container.name for container in resource.containers))
    return any(exemption.covers(exemption.policy, (resource.name,), name) for name in names)


def _verdicts(rule: Rule, findings: Sequence[Finding], settings: Settings) -> list[str]:
    return [message for finding in findings if (message := rule.verdict(finding, settings)) is not None]


class Servicer(library._PolicyAnalyzerServicer):  # type: ignore[misc]
    """The library's servicer, with the secrets, the configuration and the locks that it does not know of."""

    pack: Pack
    written: dict[str, Resource]
    """Kubernetes' objects by URN, as they were before they were made."""

    def Analyze(self, request: proto.AnalyzeRequest, _context: Any) -> proto.AnalyzeResponse:
        """Called for each resource before it is made."""
        resource = subject(request)
        if resource.on_kubernetes:
            self.written[resource.urn] = resource
        return self._validated(ResourceValidationPolicy, resource)

    def AnalyzeStack(self, request: proto.AnalyzeStackRequest, _context: Any) -> proto.AnalyzeResponse:
        """Called once all resources are known."""
        return self._validated(StackValidationPolicy, [self._written(resource) for resource in request.resources])

    def _written(self, message: proto.AnalyzerResource) -> Resource:
        """An object of Kubernetes as the program wrote it: what comes back from a cluster is full of its defaults."""
        return self.written.get(message.urn) or subject(message)

    def Remediate(self, _request: proto.AnalyzeRequest, _context: Any) -> proto.RemediateResponse:
        """Called for each resource before it is analysed: no policy of this pack changes one."""
        return proto.RemediateResponse()

    def _validated(self, kind: type[Policy], judged: Resource | Sequence[Resource]) -> proto.AnalyzeResponse:
        response = proto.AnalyzeResponse()
        for policy in self.pack.policies:
            level = self._get_enforcement_level(policy)
            if isinstance(policy, kind) and level != EnforcementLevel.DISABLED:
                validate: Any = policy.validate  # type: ignore[attr-defined]
                validate(
                    judged,
                    self._create_report_violation(response, policy.name, policy.description, level, policy.severity),
                )
        return response

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
    servicer = type("StackServicer", (Servicer,), {"pack": pack, "written": {}})
    library._PolicyAnalyzerServicer = servicer
    return servicer


def serve(rules: Sequence[Rule] = RULES, name: str = PACK_NAME) -> None:
    """Start the pack and answer the engine until it ends the process."""
    pack = Pack(rules)
    # Engines from before `ConfigureStack` hand the configuration over in the environment, secrets among the rest.
    config: dict[str, str] = pulumi.runtime.get_config_env()
    pack.configure(replace(from_config(config), plain_config={}))
    attach(pack)
    PolicyPack(name=name, policies=pack.policies, enforcement_level=EnforcementLevel.MANDATORY)
