"""The seam to the policy library, driven with the engine's own messages.

These tests fail when the library changes what `policies/engine.py` leans on: the name of its servicer, how it makes
reports, the order in which levels are looked up.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from pulumi.runtime import proto
from pulumi_policy import EnforcementLevel
from pulumi_policy import policy as library

from policies import engine
from policies.kubernetes import DEPLOYMENT
from policies.objects import AUTOSCALERS
from policies.rules import RULES
from policies.settings import KEY
from policies.subject import CONTAINER, STACK
from policies.values import UNKNOWN as UNKNOWN_MARK
from policies.values import Sensitive
from tests.policies.support import (
    MISSING,
    UNKNOWN,
    args,
    container,
    kube,
    kube_labels,
    labels,
    merged,
    secret,
    urn,
    wire,
    workload,
)

MEMORY = "resources-container-limit-memory"
ENVIRONMENT = "secrets-environment-require-secret"
FAR = "2999-12-31"


class Aborted(Exception):
    """The call ended with an error for the engine to show."""


class Call:
    """The context of a gRPC call."""

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise Aborted(f"{code.name}: {details}")


class Analyzer:
    """A pack behind the library's servicer, asked as the engine asks."""

    def __init__(
        self,
        config: dict[str, Any] | None = None,
        levels: dict[str, int] | None = None,
        keys: dict[str, str] | None = None,
        secret_keys: tuple[str, ...] = (),
    ) -> None:
        pack = engine.Pack()
        servicer = engine.attach(pack)
        self.servicer: Any = servicer("ai-platform", "1.0.0", pack.policies, EnforcementLevel.MANDATORY)
        stack = {"ai-platform:other": "1"} | ({KEY: json.dumps(config)} if config is not None else {}) | (keys or {})
        request = proto.AnalyzerStackConfigureRequest(stack="dev", config=stack, config_secret_keys=secret_keys)
        self.servicer.ConfigureStack(request, Call())
        info = self.servicer.GetAnalyzerInfo(None, None)
        self.levels = {policy.name: policy.enforcementLevel for policy in info.policies}
        configuration = proto.ConfigureAnalyzerRequest()
        for name, level in (self.levels | (levels or {})).items():
            configuration.policyConfig[name].enforcementLevel = level
        self.servicer.Configure(configuration, None)

    def analyze(self, properties: dict[str, Any], name: str = "shop-api-0", kind: str = CONTAINER) -> list[Any]:
        request = proto.AnalyzeRequest(type=kind, urn=urn(kind, name), name=name, properties=wire(properties))
        return list(self.servicer.Analyze(request, None).diagnostics)

    def remediate(self, properties: dict[str, Any]) -> Any:
        request = proto.AnalyzeRequest(type=CONTAINER, urn=urn(CONTAINER, "a"), name="a", properties=wire(properties))
        return self.servicer.Remediate(request, None)

    def analyze_stack(self, **resources: dict[str, Any]) -> list[Any]:
        request = proto.AnalyzeStackRequest()
        for key, properties in resources.items():
            name = key.replace("_", "-")
            resource = request.resources.add(type=CONTAINER, urn=urn(CONTAINER, name), name=name)
            resource.properties.CopyFrom(wire(properties))
        return list(self.servicer.AnalyzeStack(request, None).diagnostics)


def found(diagnostics: list[Any]) -> set[tuple[str, int]]:
    return {(one.policyName, one.enforcementLevel) for one in diagnostics}


def exempt(policy: str, **changes: Any) -> dict[str, Any]:
    fields = {"policy": policy, "resource": "shop-*", "reason": "load test 7", "owner": "team-a", "expires": FAR}
    return {"exemptions": [fields | changes]}


@pytest.fixture(autouse=True)
def library_put_back() -> Iterator[None]:
    before = library._PolicyAnalyzerServicer
    yield
    library._PolicyAnalyzerServicer = before  # type: ignore[misc]


def test_the_library_still_has_what_the_seam_replaces() -> None:
    reports = inspect.signature(library._PolicyAnalyzerServicer._create_report_violation).parameters
    assert list(reports) == ["self", "response", "policy_name", "policy_description", "enforcement_level", "severity"]
    assert "_PolicyAnalyzerServicer(" in inspect.getsource(library.PolicyPack.__init__)
    assert "policy.enforcement_level" in inspect.getsource(library._PolicyAnalyzerServicer._get_enforcement_level)


def test_another_version_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "version", lambda _: "1.22.0")
    with pytest.raises(engine.UnsupportedLibraryError, match=r"1\.21\.0 and found 1\.22\.0"):
        engine.attach(engine.Pack())


def test_secrets_and_unknowns_keep_their_places_in_the_tree() -> None:
    properties = {
        "plain": "a",
        "number": 2,
        "unknown": UNKNOWN,
        "list": ["a", secret("b"), UNKNOWN, secret(UNKNOWN), {"inner": secret(["c"])}],
        "secret": secret({"deep": [1]}),
    }
    assert engine.subject(args(properties)).marked == {
        "plain": "a",
        "number": 2,
        "unknown": UNKNOWN_MARK,
        "list": ["a", Sensitive("b"), UNKNOWN_MARK, Sensitive(UNKNOWN_MARK), {"inner": Sensitive(["c"])}],
        "secret": Sensitive({"deep": [1]}),
    }


def test_the_text_of_a_secret_does_not_show_it() -> None:
    assert "hunter2" not in repr(engine.subject(args({"envs": [secret("A=hunter2")]})))


def test_a_container_that_keeps_every_rule_has_no_findings() -> None:
    assert Analyzer().analyze(container()) == []


def test_a_secret_variable_passes_and_the_same_in_plain_text_does_not() -> None:
    analyzer = Analyzer()
    assert analyzer.analyze(container(envs=[secret("DB_PASSWORD=hunter2")])) == []
    diagnostics = analyzer.analyze(container(envs=["DB_PASSWORD=hunter2"]))
    assert found(diagnostics) == {(ENVIRONMENT, proto.MANDATORY)}
    assert "hunter2" not in str(diagnostics)


def test_a_resource_is_decoded_once_for_all_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    decode = engine.subject

    def noted(message: Any) -> Any:
        decoded.append(message.name)
        return decode(message)

    monkeypatch.setattr(engine, "subject", noted)
    analyzer = Analyzer(exempt(MEMORY))
    analyzer.analyze(container())
    analyzer.analyze_stack(shop_api_0=container(), shop_api_1=container())
    assert decoded == ["shop-api-0", "shop-api-0", "shop-api-1"]


def test_objects_of_kubernetes_are_judged_as_the_program_wrote_them_not_as_the_cluster_fills_them_in() -> None:
    analyzer = Analyzer()
    scaled = workload(spec={"replicas": MISSING})
    reference = {"kind": "Deployment", "name": "api"}
    scaler = kube({"scaleTargetRef": reference, "minReplicas": 2, "maxReplicas": 4})
    rule = "replicas-autoscaler-own-count"
    for changed, expected in ((scaled, False), (workload(), True)):
        analyzer.analyze(changed, "api", DEPLOYMENT)
        request = proto.AnalyzeStackRequest()
        # The cluster answers with one replica, its default.
        for kind, properties in ((DEPLOYMENT, merged(scaled, {"spec": {"replicas": 1}})), (AUTOSCALERS[0], scaler)):
            resource = request.resources.add(type=kind, urn=urn(kind, "api"), name="api")
            resource.properties.CopyFrom(wire(properties))
        assert (
            rule in {one.policyName for one in analyzer.servicer.AnalyzeStack(request, None).diagnostics}
        ) is expected


def test_an_exemption_of_a_container_that_is_not_in_the_pod_is_pointed_out() -> None:
    for container_name, stale in (("api", False), ("gone", True)):
        analyzer = Analyzer(exempt(MEMORY, container=container_name))
        request = proto.AnalyzeStackRequest()
        resource = request.resources.add(type=DEPLOYMENT, urn=urn(DEPLOYMENT, "shop-api"), name="shop-api")
        resource.properties.CopyFrom(wire(workload(labels=kube_labels(service="backend"))))
        lines = [one.message for one in analyzer.servicer.AnalyzeStack(request, None).diagnostics]
        assert any("matches no resource" in line for line in lines) is stale


def test_no_resource_is_changed_by_the_pack() -> None:
    assert list(Analyzer().remediate(container(memory=MISSING)).remediations) == []


def test_an_unknown_value_lowers_no_policy_to_a_warning() -> None:
    diagnostics = Analyzer().analyze(container(image=UNKNOWN, memory=MISSING, networksAdvanced=[{"name": UNKNOWN}]))
    assert found(diagnostics) == {(MEMORY, proto.MANDATORY)}


def test_a_credential_in_the_stack_file_is_refused_unless_its_key_is_secret() -> None:
    key = "ai-platform:systems"
    keys = {key: json.dumps([{"services": {"api": {"env": {"DB_PASSWORD": "hunter2", "DEBUG": "true"}}}}])}
    diagnostics = Analyzer(keys=keys).analyze({}, name="ai-platform-dev", kind=STACK)
    assert found(diagnostics) == {("secrets-config-require-secret", proto.MANDATORY)}
    assert f"key {key}.0.services.api.env.DB_PASSWORD of the stack file" in diagnostics[0].message
    assert "hunter2" not in str(diagnostics)
    assert Analyzer(keys=keys, secret_keys=(key,)).analyze({}, name="ai-platform-dev", kind=STACK) == []
    assert Analyzer(keys=keys).analyze(container()) == []


def test_every_policy_is_reported_to_the_engine_with_its_level() -> None:
    levels = Analyzer().levels
    assert set(levels) == {rule.name for rule in RULES} | {engine.RESOURCE_REPORT, engine.STACK_REPORT}
    advisory = {name for name, level in levels.items() if level == proto.ADVISORY}
    suggestions = {rule.name for rule in RULES if rule.level == "advisory"}
    assert advisory == suggestions | {engine.RESOURCE_REPORT, engine.STACK_REPORT}


def test_levels_of_the_stack_file_reach_the_engine() -> None:
    advisory = Analyzer({"levels": {MEMORY: "advisory"}})
    assert found(advisory.analyze(container(memory=MISSING))) == {(MEMORY, proto.ADVISORY)}
    disabled = Analyzer({"levels": {MEMORY: "disabled"}})
    assert disabled.analyze(container(memory=MISSING)) == []


def test_neither_the_stack_file_nor_a_config_file_switches_a_locked_policy_off() -> None:
    analyzer = Analyzer({"levels": {ENVIRONMENT: "disabled"}}, levels={ENVIRONMENT: proto.DISABLED})
    assert found(analyzer.analyze(container(envs=["DB_PASSWORD=x"]))) == {(ENVIRONMENT, proto.MANDATORY)}
    reports = found(analyzer.analyze_stack())
    assert reports == {(engine.STACK_REPORT, proto.ADVISORY)}


def test_a_config_file_of_the_engine_still_sets_other_levels() -> None:
    analyzer = Analyzer(levels={MEMORY: proto.DISABLED})
    assert analyzer.analyze(container(memory=MISSING)) == []


def test_an_exempted_finding_becomes_an_advisory_line() -> None:
    diagnostics = Analyzer(exempt(MEMORY)).analyze(container(memory=MISSING))
    assert found(diagnostics) == {(engine.RESOURCE_REPORT, proto.ADVISORY)}
    assert f"{MEMORY} is exempted until {FAR} because load test 7 (team-a)" in diagnostics[0].message


def test_an_exemption_of_a_stack_rule_becomes_an_advisory_line() -> None:
    analyzer = Analyzer(exempt("replicas-app-require", resource="shop-api-0"))
    diagnostics = analyzer.analyze_stack(shop_api_0=container())
    assert found(diagnostics) == {(engine.STACK_REPORT, proto.ADVISORY)}
    assert "service shop/api: has 1 replica" in diagnostics[0].message


def test_a_stack_rule_names_a_resource_and_stops_the_deployment() -> None:
    diagnostics = Analyzer().analyze_stack(shop_api_0=container())
    assert found(diagnostics) == {("replicas-app-require", proto.MANDATORY)}
    assert diagnostics[0].urn == urn(CONTAINER, "shop-api-0")


def test_an_exemption_of_a_disabled_rule_reports_nothing() -> None:
    analyzer = Analyzer(exempt(MEMORY) | {"levels": {MEMORY: "disabled"}})
    assert analyzer.analyze(container(memory=MISSING)) == []


def test_expired_exemptions_and_those_that_match_nothing_are_pointed_out() -> None:
    expired = Analyzer(exempt(MEMORY, expires="2020-01-01")).analyze_stack(
        shop_api_0=container(), shop_api_1=container()
    )
    assert "expired on 2020-01-01" in expired[0].message
    stale = Analyzer(exempt(MEMORY, resource="gone-*")).analyze_stack(shop_api_0=container(), shop_api_1=container())
    assert "matches no resource" in stale[0].message
    assert found(expired) == found(stale) == {(engine.STACK_REPORT, proto.ADVISORY)}


def test_a_stack_file_that_is_not_understood_stops_the_command() -> None:
    with pytest.raises(Aborted, match=r"INVALID_ARGUMENT: ai-platform:policies\.levels\.x"):
        Analyzer({"levels": {"x": "off"}})


def test_findings_come_in_the_same_order_every_time() -> None:
    bad = container(
        envs=["B_TOKEN=x", "A_TOKEN=x"], memory=MISSING, user=MISSING, restart=MISSING, labels=labels(role="")
    )
    first = [(one.policyName, one.message) for one in Analyzer().analyze(bad)]
    again = [(one.policyName, one.message) for one in Analyzer().analyze(dict(reversed(bad.items())))]
    assert first == again
    order = [rule.name for rule in RULES]
    assert [order.index(name) for name, _ in first] == sorted(order.index(name) for name, _ in first)
