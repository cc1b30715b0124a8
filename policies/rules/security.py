"""What a container may do to its host."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import normpath
from typing import Final

from policies.rule import Rule
from policies.settings import Settings
from policies.subject import CONTAINER, VOLUME, Resource
from policies.values import UNKNOWN

ENGINE_SOCKETS: Final = ("docker.sock", "containerd.sock", "podman.sock", "crio.sock", "buildkitd.sock")
SOCKET_FOLDERS: Final = ("/", "/run", "/var", "/var/run", "/run/docker", "/run/containerd", "/var/run/containerd")
"""Folders that hold an engine's socket: a read-only mount does not stop anybody from connecting to it."""
HOST_NAMESPACES: Final = ("pidMode", "ipcMode", "usernsMode", "cgroupnsMode")
ALLOWED_CAPABILITIES: Final[frozenset[str]] = frozenset()
ROOT: Final = ("0", "root")


def host_paths(resource: Resource) -> list[str]:
    """Folders and files of the host that a container mounts, or that a volume stands for."""
    if resource.type == VOLUME:
        options = resource.known("driverOpts") or {}
        bound = "bind" in str(options.get("o", "")).split(",")
        return [str(options["device"])] if bound and isinstance(options.get("device"), str) else []
    mounts = [block.get("source") for block in resource.blocks("mounts") if block.get("type") == "bind"]
    volumes = [block.get("hostPath") for block in resource.blocks("volumes")]
    return [path for path in (*mounts, *volumes) if isinstance(path, str) and path]


def check_privileged(resource: Resource, settings: Settings) -> Iterator[str]:
    """`privileged` is the host's root in all but name."""
    del settings
    if resource.known("privileged"):
        yield "is privileged, which is root on the host; remove `privileged`"


def check_socket(resource: Resource, settings: Settings) -> Iterator[str]:
    """No container engine's socket, nor a folder that holds one: whoever has it owns the host."""
    del settings
    for path in host_paths(resource):
        clean = normpath(path)
        if clean.rsplit("/", 1)[-1] in ENGINE_SOCKETS or clean in SOCKET_FOLDERS:
            yield f"mounts {clean}, which gives it the container engine and so the host; remove the mount"


def check_host_paths(resource: Resource, settings: Settings) -> Iterator[str]:
    """Folders of the host only in the inner development loop (ARE-097)."""
    del settings
    if resource.inner_loop:
        return
    for path in host_paths(resource):
        yield f"mounts {normpath(path)} of the host; use a named volume or `uploads` (or an exemption with a reason)"


def check_namespaces(resource: Resource, settings: Settings) -> Iterator[str]:
    """Process, IPC, user and control group namespaces of its own."""
    del settings
    for key in HOST_NAMESPACES:
        mode = resource.known(key)
        if isinstance(mode, str) and (mode == "host" or mode.startswith("container:")):
            yield f"shares a namespace with {'the host' if mode == 'host' else 'another container'}; remove `{key}`"


def check_capabilities(resource: Resource, settings: Settings) -> Iterator[str]:
    """All capabilities are dropped and none is added."""
    del settings
    capabilities = resource.get("capabilities")
    if capabilities is UNKNOWN:
        return
    block = capabilities if isinstance(capabilities, dict) else {}
    drops, adds = block.get("drops"), block.get("adds")
    if drops is not UNKNOWN and "ALL" not in _names(drops):
        yield 'keeps capabilities of root; set `capabilities.drops` to ["ALL"]'
    for name in _names(adds):
        if name not in ALLOWED_CAPABILITIES:
            yield f"adds the capability {name}; remove it from `capabilities.adds`"


def check_escalation(resource: Resource, settings: Settings) -> Iterator[str]:
    """`no-new-privileges`, and no confinement switched off."""
    del settings
    options = [str(option).replace("=", ":") for option in resource.entries("securityOpts")]
    if not resource.has_unknown("securityOpts") and not {"no-new-privileges", "no-new-privileges:true"} & set(options):
        yield 'can gain privileges by set-uid programs; add "no-new-privileges:true" to `securityOpts`'
    for option in options:
        if option in ("seccomp:unconfined", "apparmor:unconfined", "label:disable", "systempaths:unconfined"):
            yield f"switches off confinement with {option}; remove it from `securityOpts`"


def check_user(resource: Resource, settings: Settings) -> Iterator[str]:
    """An explicit user that is not root."""
    del settings
    user = resource.get("user")
    if user is UNKNOWN:
        return
    if not isinstance(user, str) or not user:
        yield 'runs as whoever its image says, often root; set `user` to "uid:gid"'
    elif user.partition(":")[0].lstrip("0") == "" or user.partition(":")[0] in ROOT:
        yield 'runs as root; set `user` to "uid:gid" of an unprivileged user'


def check_root_folder(resource: Resource, settings: Settings) -> Iterator[str]:
    """A read-only root folder, but for containers with uploads: Docker refuses uploads to a read-only root."""
    del settings
    uploads = resource.get("uploads")
    if resource.get("readOnly") in (UNKNOWN, True) or uploads is UNKNOWN or uploads:
        return
    yield "can change its own program files; set `readOnly` to true and name its writable folders in `tmpfs`"


def _names(value: object) -> list[str]:
    entries = value if isinstance(value, list) else []
    return [str(entry).upper().removeprefix("CAP_") for entry in entries if entry is not UNKNOWN]


def _rule(name: str, description: str, check: object, scanners: str, *, locked: bool = False) -> Rule:
    types = (CONTAINER, VOLUME) if check in (check_socket, check_host_paths) else (CONTAINER,)
    return Rule(
        name=name,
        description=description,
        types=types,
        check=check,  # type: ignore[arg-type]
        scanners=scanners,
        locked=locked,
    )


RULES: Final = (
    _rule(
        "security-container-forbid-privileged",
        "No container is privileged.",
        check_privileged,
        "LSPKCTD",
        locked=True,
    ),
    _rule(
        "security-mount-forbid-socket",
        "No container has the socket of a container engine.",
        check_socket,
        "LPKCTD",
        locked=True,
    ),
    _rule(
        "security-mount-forbid-host",
        "No container mounts folders of the host, the inner development loop excepted.",
        check_host_paths,
        "LPKCTD",
    ),
    _rule(
        "security-container-forbid-namespaces",
        "A container has namespaces of its own.",
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
    _rule(
        "security-container-require-user",
        "A container names an unprivileged user.",
        check_user,
        "LPKCTD",
    ),
    _rule(
        "security-container-require-readonly",
        "A container without uploads has a read-only root folder.",
        check_root_folder,
        "LSPKCTUD",
    ),
)
