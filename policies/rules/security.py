"""What a container may do to its host."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import normpath
from typing import Final

from policies.container import Container
from policies.docker import VOLUME
from policies.kubernetes import PERSISTENT_VOLUME, PODS, setting
from policies.objects import NAMESPACE, ROLES
from policies.rule import ContainerCheck, ResourceCheck, Rule
from policies.settings import Settings
from policies.subject import RUNNING, Resource
from policies.values import UNKNOWN, blocks, dig, entries

ENGINE_SOCKETS: Final = ("docker.sock", "containerd.sock", "podman.sock", "crio.sock", "buildkitd.sock")
SOCKET_FOLDERS: Final = ("/", "/run", "/var", "/var/run", "/run/docker", "/run/containerd", "/var/run/containerd")
"""Folders that hold an engine's socket: a read-only mount does not stop anybody from connecting to it."""
ALLOWED_CAPABILITIES: Final[frozenset[str]] = frozenset()
READING: Final = frozenset({"get", "list", "watch"})
LAST_HOST_UID: Final = 10000
MOUNTING: Final = (*RUNNING, VOLUME, PERSISTENT_VOLUME)
ENFORCE: Final = "pod-security.kubernetes.io/enforce"


def check_privileged(container: Container) -> Iterator[str]:
    """`privileged` is the host's root in all but name."""
    if container.privileged is not UNKNOWN and container.privileged:
        yield f"is privileged, which is root on the host; remove {container.words.privileged}"


def check_socket(resource: Resource, settings: Settings) -> Iterator[str]:
    """No container engine's socket, nor a folder that holds one: whoever has it owns the host."""
    del settings
    for path in resource.host_paths:
        clean = normpath(path)
        if clean.rsplit("/", 1)[-1] in ENGINE_SOCKETS or clean in SOCKET_FOLDERS:
            yield f"mounts {clean}, which gives it the container engine and so the host; remove the mount"


def check_host_paths(resource: Resource, settings: Settings) -> Iterator[str]:
    """Folders of the host only in Docker's inner development loop (ARE-097)."""
    del settings
    if resource.inner_loop and not resource.on_kubernetes:
        return
    instead = "a claim, an emptyDir or a ConfigMap" if resource.on_kubernetes else "a named volume or `uploads`"
    for path in resource.host_paths:
        yield f"mounts {normpath(path)} of the host; use {instead} (or an exemption with a reason)"


def check_namespaces(resource: Resource, settings: Settings) -> Iterator[str]:
    """Process, IPC, user and control group namespaces of its own."""
    del settings
    for key, whose in resource.shared_namespaces.items():
        yield f"shares a namespace with {whose}; remove `{key}`"


def check_capabilities(container: Container) -> Iterator[str]:
    """All capabilities are dropped and none is added."""
    if container.drops is not UNKNOWN and "ALL" not in _names(container.drops):
        yield f"keeps capabilities of root; set {container.words.drops}"
    for name in _names(container.adds):
        if name not in ALLOWED_CAPABILITIES:
            yield f"adds the capability {name}; remove it from {container.words.adds}"


def check_escalation(container: Container) -> Iterator[str]:
    """No privileges to be gained, and no confinement switched off."""
    if container.escalates is True:
        yield f"can gain privileges by set-uid programs; {container.words.escalation}"
    for option in container.unconfined:
        yield f"switches off confinement with {option}; remove it from {container.words.confinement}"


def check_seccomp(container: Container) -> Iterator[str]:
    """Kubernetes, other than Docker, filters no system calls unless it is told to."""
    kind = setting(container.raw, container.pod, "seccompProfile", "type")
    if kind not in (UNKNOWN, "RuntimeDefault", "Localhost", "Unconfined"):
        yield "may use every system call; set `securityContext.seccompProfile.type` to RuntimeDefault"


def check_user(container: Container) -> Iterator[str]:
    """An explicit user that is not root."""
    if container.user == "unset":
        yield f"runs as whoever its image says, often root; {container.words.user}"
    elif container.user == "root":
        yield f"runs as root; {container.words.root}"


def suggest_uid(container: Container) -> Iterator[str]:
    """A user beyond those of the node: whoever gets out of the container is nobody there."""
    user = setting(container.raw, container.pod, "runAsUser")
    if user is None or (isinstance(user, int | float) and 0 < user <= LAST_HOST_UID):
        yield (
            f"runs as {f'user {user:g}' if user else 'a user that its image names'}, who may be somebody on the node; "
            f"set `securityContext.runAsUser` to a number above {LAST_HOST_UID}"
        )


def check_root_folder(container: Container) -> Iterator[str]:
    """A read-only root folder, but for Docker's containers with uploads, which need a writable one."""
    if container.writable is True:
        yield f"can change its own program files; {container.words.read_only}"


def check_token(resource: Resource, settings: Settings) -> Iterator[str]:
    """No token of the cluster's API, unless it is asked for with an account of its own."""
    del settings
    mounts = resource.pod.get("automountServiceAccountToken")
    account = resource.pod.get("serviceAccountName")
    if not resource.pod or UNKNOWN in (mounts, account):
        return
    if mounts is None or (mounts is True and account in (None, "", "default")):
        yield (
            "has a token of the cluster's API; set `automountServiceAccountToken` to false, or to true beside a "
            "`serviceAccountName` of its own if it talks to the API"
        )


def check_account(resource: Resource, settings: Settings) -> Iterator[str]:
    """An account of its own: what one pod is given later, the others of its namespace are not."""
    del settings
    account = resource.pod.get("serviceAccountName")
    if resource.pod and account in (None, "", "default"):
        yield "runs under the account that every pod of its namespace has; set `serviceAccountName` to one of its own"


def check_role(resource: Resource, settings: Settings) -> Iterator[str]:
    """A role names what it allows, and does not read Secrets: they are mounted where they are needed."""
    del settings
    for entry in blocks(resource.get("rules")):
        things, verbs = (set(map(str, entries(entry.get(key)))) for key in ("resources", "verbs"))
        if "*" in things | verbs:
            yield "allows whatever there is (*); name the `resources` and `verbs` in `rules`"
        elif "secrets" in things and verbs & READING:
            yield "reads Secrets; remove secrets from `resources` in `rules`"


def check_sysctls(resource: Resource, settings: Settings) -> Iterator[str]:
    """No settings of the kernel."""
    del settings
    for entry in blocks(dig(resource.pod, "securityContext", "sysctls")):
        yield f"changes the kernel's setting {entry.get('name')}; remove it from `securityContext.sysctls`"


def check_level(resource: Resource, settings: Settings) -> Iterator[str]:
    """A namespace that refuses pods beyond Pod Security "restricted", whatever the cluster's default is."""
    del settings
    if resource.adapter.labels_unknown(resource.properties, ENFORCE):
        return
    level = resource.labels.get(ENFORCE)
    if level != "restricted":
        admitted = f"at level {level}" if level else "as the cluster likes"
        yield f"admits pods {admitted}; set its label {ENFORCE} to restricted"


def _names(value: object) -> list[str]:
    entries = value if isinstance(value, list) else []
    return [str(entry).upper().removeprefix("CAP_") for entry in entries if entry is not UNKNOWN]


def _rule(name: str, description: str, check: ContainerCheck, scanners: str, *, locked: bool = False) -> Rule:
    return Rule(
        name=name, description=description, types=RUNNING, check_container=check, scanners=scanners, locked=locked
    )


def _of_resource(
    name: str, description: str, types: tuple[str, ...], check: ResourceCheck, scanners: str, *, locked: bool = False
) -> Rule:
    return Rule(name=name, description=description, types=types, check=check, scanners=scanners, locked=locked)


RULES: Final = (
    _rule(
        "security-container-forbid-privileged",
        "No container is privileged.",
        check_privileged,
        "LSPKCTD",
        locked=True,
    ),
    _of_resource(
        "security-mount-forbid-socket",
        "No container has the socket of a container engine.",
        MOUNTING,
        check_socket,
        "LPKCTD",
        locked=True,
    ),
    _of_resource(
        "security-mount-forbid-host",
        "No container mounts folders of the host, Docker's inner development loop excepted.",
        MOUNTING,
        check_host_paths,
        "LPKCTD",
    ),
    _of_resource(
        "security-container-forbid-namespaces",
        "A container has namespaces of its own.",
        RUNNING,
        check_namespaces,
        "LPKCTD",
    ),
    _rule(
        "security-container-drop-capabilities",
        "A container drops all capabilities and adds none.",
        check_capabilities,
        "PKCTD",
    ),
    _rule(
        "security-container-forbid-escalation",
        "A container cannot gain privileges, and stays confined.",
        check_escalation,
        "LPKCTD",
    ),
    Rule(
        name="security-container-require-seccomp",
        description="On Kubernetes, a container's system calls are filtered.",
        types=PODS,
        check_container=check_seccomp,
        scanners="SPKCD",
    ),
    _rule(
        "security-container-require-user",
        "A container names an unprivileged user.",
        check_user,
        "LPKCTD",
    ),
    Rule(
        name="security-container-suggest-uid",
        description="On Kubernetes, a container's user is nobody on the node.",
        types=PODS,
        check_container=suggest_uid,
        level="advisory",
        scanners="SCT",
    ),
    _rule(
        "security-container-require-readonly",
        "A container without uploads has a read-only root folder.",
        check_root_folder,
        "LSPKCTUD",
    ),
    _of_resource(
        "security-pod-forbid-token",
        "A pod has no token of the cluster's API unless it asks for one, with an account of its own.",
        PODS,
        check_token,
        "LPKCT",
    ),
    _of_resource(
        "security-pod-require-account",
        "A pod has an account of its own.",
        PODS,
        check_account,
        "LC",
    ),
    _of_resource(
        "security-role-forbid-secrets",
        "A role reads no Secrets, and names what it allows.",
        ROLES,
        check_role,
        "LKCT",
    ),
    _of_resource(
        "security-pod-forbid-sysctls",
        "A pod changes no settings of the kernel.",
        PODS,
        check_sysctls,
        "LPKT",
    ),
    _of_resource(
        "security-namespace-require-level",
        "A namespace enforces Pod Security restricted.",
        (NAMESPACE,),
        check_level,
        "K",
    ),
)
