"""The `kubernetes` stand-in against a real API server, through the CLI. No pod has to run."""

from __future__ import annotations

import json

from tests.plugins.stacks import KubernetesStack

SKIP = '{"annotations": {"pulumi.com/skipAwait": "true"}}'
WEB = f"""\
    config = k8s.core.v1.ConfigMap("config", data={{"greeting": "hello"}}, opts=inside)
    secret = k8s.core.v1.Secret("secret", string_data={{"password": "correct horse"}}, opts=inside)
    web = k8s.apps.v1.Deployment("web", metadata={SKIP}, spec={{
        "replicas": 2, "selector": {{"match_labels": {{"app": "web"}}}},
        "template": template("sleep", "600",
            env=[{{"name": "B", "value": "2"}}, {{"name": "A", "value": config.metadata.name}}],
            resources={{"requests": {{"cpu": "1000m", "memory": "1024Mi"}}, "limits": {{"memory": "1Gi"}}}},
            ports=[{{"container_port": 8080}}], volume_mounts=[]),
    }}, opts=inside)
    service = k8s.core.v1.Service("service", metadata={SKIP},
        spec={{"selector": {{"app": "web"}}, "ports": [{{"port": 80, "target_port": 8080}}]}}, opts=inside)
    pulumi.export("address", service.spec.cluster_ip)
"""
CONFIG = 'k8s.core.v1.ConfigMap("config", metadata={"name": "config"}, data={"a": "1"}, opts=inside)'


def test_a_stack_that_nobody_touched_has_nothing_to_update_and_nothing_to_refresh(objects: KubernetesStack) -> None:
    objects.write(WEB).up()
    assert objects.steps() == {}
    assert "unchanged" in objects.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert objects.steps() == {}
    assert objects.output("address") == objects.kubectl(
        "get", "service", objects.physical("service"), "-o", "jsonpath={.spec.clusterIP}"
    )


def test_a_refresh_shows_hand_made_drift_and_the_next_up_restores_exactly_that(objects: KubernetesStack) -> None:
    objects.write(WEB).up()
    web = f"deployment/{objects.physical('web')}"
    objects.kubectl("scale", web, "--replicas=5")
    objects.kubectl("set", "env", web, "B=other", "THEIRS=kept")
    refreshed = objects.run("refresh", "--yes", "--skip-preview", "--diff")
    assert "replicas: 2 => 5" in refreshed
    assert '"2" => "other"' in refreshed
    assert "THEIRS" not in refreshed
    assert objects.steps() == {"web": "update"}
    objects.up()
    path = "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].env}"
    replicas, _, env = objects.kubectl("get", web, "-o", path).partition(" ")
    assert replicas == "2"
    assert {entry["name"]: entry["value"] for entry in json.loads(env)}.items() >= {("B", "2"), ("THEIRS", "kept")}
    assert objects.steps() == {}


def test_a_value_removed_by_hand_comes_back(objects: KubernetesStack) -> None:
    objects.write(WEB).up()
    web = f"deployment/{objects.physical('web')}"
    objects.kubectl("set", "env", web, "B-")
    objects.run("refresh", "--yes", "--skip-preview")
    assert objects.steps() == {"web": "update"}
    objects.up()
    env = objects.kubectl("get", web, "-o", "jsonpath={.spec.template.spec.containers[0].env[*].name}")
    assert set(env.split()) == {"A", "B"}


def test_a_field_that_an_autoscaler_owns_never_shows(objects: KubernetesStack) -> None:
    objects.write(WEB.replace('"replicas": 2, ', "")).up()
    objects.kubectl("scale", f"deployment/{objects.physical('web')}", "--replicas=4")
    objects.run("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert objects.steps() == {}


def test_a_conflict_names_the_field_the_manager_and_what_to_do(objects: KubernetesStack) -> None:
    silent = WEB.replace('"replicas": 2, ', "")
    objects.write(silent).up()
    web = f"deployment/{objects.physical('web')}"
    objects.kubectl("patch", web, "--field-manager=autoscaler", "-p", '{"spec": {"replicas": 4}}')
    objects.write(WEB)
    for output in (objects.run("preview", ok=False), objects.up(ok=False)):
        assert '.spec.replicas: managed by "autoscaler"' in output
        assert 'annotate the object with pulumi.com/patchForce: "true"' in output
    objects.write(
        WEB.replace('"pulumi.com/skipAwait": "true"', '"pulumi.com/skipAwait": "true", "pulumi.com/patchForce": "true"')
    )
    objects.up()
    assert objects.kubectl("get", web, "-o", "jsonpath={.spec.replicas}") == "2"


def test_an_unknown_field_is_an_error_of_the_preview(objects: KubernetesStack) -> None:
    objects.write("""
        k8s.apiextensions.CustomResource(
            "x", api_version="apps/v1", kind="Deployment", spec={"replica": 1}, opts=inside)
    """)
    assert ".spec.replica: field not declared" in objects.run("preview", ok=False)


def test_what_the_same_run_makes_does_not_fail_the_preview_and_a_destroy_leaves_nothing(whole: KubernetesStack) -> None:
    group = f"{whole.name}.example.com"
    whole.write(f"""
        number = {{"type": "object", "properties": {{"size": {{"type": "integer"}}}}}}
        version = {{"name": "v1", "served": True, "storage": True}}
        version["schema"] = {{"open_apiv3_schema": {{"type": "object", "properties": {{"spec": number}}}}}}
        space = k8s.core.v1.Namespace("space", metadata={{"name": namespace}}, opts=inside)
        definition = k8s.apiextensions.v1.CustomResourceDefinition(
            "definition", metadata={{"name": "things.{group}"}}, opts=inside, spec={{
                "group": "{group}", "scope": "Namespaced", "names": {{"kind": "Thing", "plural": "things"}},
                "versions": [version]}})
        after = ResourceOptions(provider=provider, depends_on=[space, definition])
        k8s.apiextensions.CustomResource(
            "thing", api_version="{group}/v1", kind="Thing", spec={{"size": 3}}, opts=after)
    """)
    assert whole.steps().keys() >= {"definition", "thing", "space"}
    whole.up()
    assert whole.steps() == {}
    assert whole.kubectl("get", f"things.{group}", whole.physical("thing"), "-o", "jsonpath={.spec.size}") == "3"
    whole.run("destroy", "--yes", "--skip-preview")
    left = whole.kubectl("get", "namespaces,customresourcedefinitions", "-o", "name")
    assert whole.name not in left


def test_a_fixed_name_is_freed_before_its_object_is_replaced(objects: KubernetesStack) -> None:
    objects.write(CONFIG).up()
    objects.write(CONFIG.replace('"1"', '"2"'))
    assert objects.steps() == {"config": "delete-replaced"} or "replace" in objects.steps()["config"]
    objects.up()
    assert objects.kubectl("get", "configmap", "config", "-o", "jsonpath={.data.a}") == "2"
    assert objects.steps() == {}


def test_an_automatic_name_changes_with_the_data_before_the_old_object_goes(objects: KubernetesStack) -> None:
    objects.write(WEB).up()
    before = objects.physical("config")
    objects.write(WEB.replace("hello", "good day")).up()
    after = objects.physical("config")
    assert before != after
    assert after.startswith("config-")
    env = objects.kubectl("get", "deployment", objects.physical("web"), "-o", "jsonpath={..env[?(@.name=='A')].value}")
    assert env == after
    assert before not in objects.kubectl("get", "configmaps", "-o", "name")


def test_an_object_of_somebody_else_is_not_taken_over(objects: KubernetesStack) -> None:
    objects.kubectl("create", "configmap", "config", "--from-literal=theirs=1")
    objects.write(CONFIG)
    assert "exists already and is not this resource's" in objects.up(ok=False)
    assert objects.kubectl("get", "configmap", "config", "-o", "jsonpath={.data.theirs}") == "1"


def test_an_object_that_is_gone_is_made_again_and_its_deletion_is_no_error(objects: KubernetesStack) -> None:
    objects.write(CONFIG).up()
    objects.kubectl("delete", "configmap", "config")
    objects.run("refresh", "--yes", "--skip-preview")
    objects.up()
    objects.kubectl("delete", "configmap", "config")
    objects.write("").up()


def test_secret_data_is_never_in_plain_text(objects: KubernetesStack) -> None:
    objects.write(WEB + '    pulumi.export("whole", secret)\n')
    shown = objects.run("preview", "--diff") + objects.up("--diff")
    objects.kubectl(
        "patch", "secret", objects.physical("secret"), "--type=merge", "-p", '{"stringData": {"password": "battery"}}'
    )
    shown += objects.run("refresh", "--yes", "--skip-preview", "--diff")
    assert objects.steps()["secret"].find("replace") >= 0
    shown += objects.run("preview", "--diff") + objects.up("--diff") + objects.run("stack", "export")
    for word in ("correct horse", "Y29ycmVjdCBob3JzZQ", "battery", "YmF0dGVyeQ"):
        assert word not in shown


def test_a_refused_secret_is_not_quoted(objects: KubernetesStack) -> None:
    objects.write('k8s.core.v1.Secret("bad", data={"key": "not base 64!"}, opts=inside)')
    output = objects.up(ok=False)
    assert "Secret" in output
    assert "not base 64" not in output


def test_a_finalizer_is_named_when_the_deletion_takes_too_long(objects: KubernetesStack) -> None:
    held = """
        soon = ResourceOptions.merge(inside, ResourceOptions(custom_timeouts=CustomTimeouts(delete="2s")))
        k8s.core.v1.ConfigMap(
            "held", metadata={"name": "held", "finalizers": ["example.com/hold"]}, data={"a": "1"}, opts=soon)
    """
    objects.write(held).up()
    objects.write("")
    assert "finalizers example.com/hold" in objects.up(ok=False)
    objects.kubectl(
        "patch", "configmap", "held", "--type=json", "-p", '[{"op": "remove", "path": "/metadata/finalizers"}]'
    )
    objects.up()


def test_a_cluster_that_does_not_answer_is_a_warning_of_the_preview_and_an_error_of_the_update(
    objects: KubernetesStack,
) -> None:
    objects.write(CONFIG)
    kubeconfig = objects.folder / "unreachable"
    kubeconfig.write_text(
        "{clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}], users: [{name: u, user: {}}], "
        "contexts: [{name: c, context: {cluster: c, user: u}}], current-context: c}"
    )
    preview = objects.run("preview", KUBECONFIG=str(kubeconfig))
    assert preview.partition("Diagnostics:")[2].count("previews are made without the cluster") == 1
    assert "http://127.0.0.1:9 does not answer" in objects.up(ok=False, KUBECONFIG=str(kubeconfig))


def test_unsupported_types_and_settings_are_refused_by_name(objects: KubernetesStack) -> None:
    objects.write('k8s.core.v1.ConfigMapPatch("patch", metadata={"name": "x"}, opts=inside)')
    assert "kubernetes:core/v1:ConfigMapPatch is not supported" in objects.run("preview", ok=False)
    objects.write('k8s.Provider("other", enable_server_side_apply=False, render_yaml_to_directory="x")')
    output = objects.run("preview", ok=False)
    assert "renderYamlToDirectory" in output
    assert "enableServerSideApply" in output
