"""What depends on more than one key: combinations that cannot work, names that must exist, names that must differ.

Each check is a short generator over a draft; a check whose keys are not known keeps silent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Final

from config.catalogue import Surroundings, SystemFacts
from config.fields import is_pinned
from config.model import CertificateFiles, StackFile
from config.places import LOCAL_CONTEXT, AwsPlatform, DockerPlatform, KubernetesPlatform
from config.report import Finding, set_secret, suggestion
from config.systems_checks import check_systems
from config.translate import Draft

TLS_MODES: Final[Mapping[str, tuple[str, ...]]] = {
    "docker": ("local-ca", "files"),
    "kubernetes": ("issuer", "files", "local-ca"),
    "aws": ("acm",),
}
"""Where each platform can take its certificate from."""


def check(draft: Draft, around: Surroundings) -> Iterator[Finding]:
    """Everything that is wrong with the combination of the draft's keys."""
    if "platform" in draft.known:
        yield from _platform(draft.stack)
        yield from _tls(draft, around.root)
    yield from check_systems(draft, around)
    yield from _images(draft)
    yield from _registries(draft, around.stack)
    yield from _backups(draft)
    yield from _object_store(draft, around.stack)
    yield from _pooler(draft)
    yield from _logs(draft)
    yield from _secrets(draft, around.catalogue)
    if around.policy_names is not None:
        yield from _policies(draft, around.policy_names)


def _platform(stack: StackFile) -> Iterator[Finding]:
    platform = stack.platform
    if isinstance(platform, DockerPlatform) and platform.http_port == platform.https_port:
        yield Finding(
            ("platform", "httpsPort"),
            f"{platform.https_port} is the port of `platform.httpPort` too",
            "Choose another one: the first only redirects to the second.",
        )
    if isinstance(platform, KubernetesPlatform) and platform.gateway.http_listener == platform.gateway.https_listener:
        yield Finding(
            ("platform", "gateway", "httpsListener"),
            f"{platform.gateway.https_listener} is the port of `platform.gateway.httpListener` too",
            "Name two entry points of the proxy.",
        )
    if isinstance(platform, KubernetesPlatform) and platform.context == LOCAL_CONTEXT and platform.addons == "install":
        problem = f"install does not work on `{LOCAL_CONTEXT}`: `make cluster` brings the operators"
        yield Finding(("platform", "addons"), problem, "Write `addons: existing`.", near=("platform",))
    if isinstance(platform, AwsPlatform):
        for index, zone in enumerate(platform.availability_zones):
            path = ("platform", "availabilityZones", index)
            if not zone.startswith(platform.region):
                yield Finding(path, "is not a zone of `platform.region`", "Choose zones of that region.")
            elif zone in platform.availability_zones[:index]:
                yield Finding(path, "is in the list twice", "Choose different zones.")


def _tls(draft: Draft, root: FilePath) -> Iterator[Finding]:
    stack, kind = draft.stack, draft.stack.platform.kind
    modes = TLS_MODES[kind]
    if "domain" in draft.known and stack.domain is None and kind != "docker":
        yield Finding(("domain",), "is missing: only `kind: docker` has a default", "Add the host name that DNS knows.")
    if "tls" not in draft.known:
        return
    if stack.tls is None:
        if kind != "docker":
            yield Finding(("tls",), "is missing: only `kind: docker` has a default", f"Add it with `mode: {modes[0]}`.")
        return
    mode = stack.tls.mode
    if mode not in modes:
        yield Finding(
            ("tls", "mode"), f"{mode} does not work with `platform.kind: {kind}`", f"Use one of: {', '.join(modes)}."
        )
    elif mode == "local-ca" and "environment" in draft.known and stack.environment == "production":
        yield Finding(
            ("tls", "mode"), "local-ca does not work in production: no client trusts it", "Use `mode: files`."
        )
    if isinstance(stack.tls, CertificateFiles):
        for key, path in (("certificate", stack.tls.certificate), ("key", stack.tls.key)):
            if not _exists(root / path):
                yield Finding(
                    ("tls", key), "names a file that is not there", "Give its path from the project's folder."
                )


def _exists(path: FilePath) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _images(draft: Draft) -> Iterator[Finding]:
    """In production every image is named by its digest: a tag can be moved."""
    if not {"environment", "images"} <= draft.known or draft.stack.environment != "production":
        return
    for engine, image in draft.stack.images.engines.items():
        if not is_pinned(image):
            yield Finding(
                ("images", "engines", engine),
                "names an image by its tag, which is not enough in production",
                "Add the digest: `name:1.4.2@sha256:…`.",
            )


def _registries(draft: Draft, stack: str) -> Iterator[Finding]:
    if "registries" not in draft.known:
        return
    seen: set[str] = set()
    for index, registry in enumerate(draft.stack.registries):
        path = draft.place(("registries", index))
        if registry.address in seen:
            yield Finding((*path, "address"), "is in the list twice", "Keep one login for each registry.")
        elif "secrets" in draft.known and registry.address not in draft.stack.secrets.registries:
            secret = ("secrets", "registries", registry.address)
            problem = "is missing: the registry asks for a password"
            yield Finding(secret, problem, set_secret(stack, secret), near=path)
        seen.add(registry.address)


def _backups(draft: Draft) -> Iterator[Finding]:
    backups = draft.stack.backups
    asked = "schedule" in backups.model_fields_set and backups.schedule != "off"
    if "backups" in draft.known and asked and not backups.volume:
        yield Finding(
            ("backups", "schedule"), "needs `backups.volume`: there is nowhere to put backups", "Set it to true."
        )
    if "backups" in draft.known and backups.before_deployment and not backups.volume:
        path = ("backups", "beforeDeployment")
        yield Finding(path, "needs `backups.volume`: there is nowhere to put backups", "Set it to true.")


def _pooler(draft: Draft) -> Iterator[Finding]:
    known = {"data", "platform"} <= draft.known
    if known and draft.stack.data.postgres.pooler and draft.stack.platform.kind == "docker":
        path = ("data", "postgres", "pooler")
        yield Finding(path, "does not work with `platform.kind: docker`: there is no pooler", "Remove it.")


def _logs(draft: Draft) -> Iterator[Finding]:
    known = {"observability", "platform"} <= draft.known
    if known and draft.stack.observability.logs.store != "none" and draft.stack.platform.kind == "docker":
        path = ("observability", "logs", "store")
        yield Finding(path, "does not work with `platform.kind: docker`: its engine keeps the logs", "Remove it.")


def _object_store(draft: Draft, stack: str) -> Iterator[Finding]:
    if "backups" not in draft.known:
        return
    store, path = draft.stack.backups.object_store, ("backups", "objectStore")
    if store is not None and "platform" in draft.known and draft.stack.platform.kind == "docker":
        yield Finding(path, "does not work with `platform.kind: docker`: archives lie in its volume", "Remove it.")
        return
    if store is not None and store.recovery is not None and store.recovery.generation >= store.generation:
        problem = f"is {store.recovery.generation}, which is not before `backups.objectStore.generation`"
        fix = "Give the new server a number of its own there."
        yield Finding((*path, "recovery", "generation"), problem, fix)
    if "secrets" not in draft.known:
        return
    keys = ("secrets", "objectStore")
    if store is not None and draft.stack.secrets.object_store is None:
        fix = set_secret(stack, (*keys, "accessKeyId")) + " The same with `secretAccessKey`."
        yield Finding(keys, "is missing: the object store asks for credentials", fix, near=path)
    if store is None and draft.stack.secrets.object_store is not None:
        yield Finding(keys, "has no store: `backups.objectStore` is missing", "Add it, or remove the credentials.")


def _secrets(draft: Draft, catalogue: Mapping[str, SystemFacts]) -> Iterator[Finding]:
    if "secrets" not in draft.known:
        return
    secrets = draft.stack.secrets
    if draft.is_whole("registries"):
        addresses = {registry.address for registry in draft.stack.registries}
        for address in secrets.registries:
            if address not in addresses:
                problem = "is not the address of one of `registries`"
                yield Finding(("secrets", "registries", address), problem, "Add the registry there, or remove the key.")
    names = {system.name for system in draft.stack.systems}
    for name, variables in secrets.systems.items():
        if draft.is_whole("systems") and name not in names:
            # Only names of the catalogue are proposed: any other text may be a secret in a wrong place.
            fix = suggestion(name, sorted(names & catalogue.keys()))
            yield Finding(("secrets", "systems", name), "is not one of the stack's systems", fix)
        reserved = catalogue[name].reserved_env if name in catalogue else frozenset()
        for variable in variables:
            if variable in reserved:
                yield Finding(
                    ("secrets", "systems", name, variable), "is a variable that the program sets itself", "Remove it."
                )


def _policies(draft: Draft, names: Collection[str]) -> Iterator[Finding]:
    if "policies" not in draft.known:
        return
    policies = draft.stack.policies
    for name in policies.levels:
        if name not in names:
            yield Finding(("policies", "levels", name), "is not the name of a policy", suggestion(name, names))
    for index, exemption in enumerate(policies.exemptions):
        if exemption.policy not in names:
            path = draft.place(("policies", "exemptions", index, "policy"))
            yield Finding(path, "is not the name of a policy", suggestion(exemption.policy, names))
