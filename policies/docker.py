"""Docker's containers as the rules see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from policies.container import AS_SECRET, Container, Tag, User, Variable, Words
from policies.values import UNKNOWN, Sensitive, blocks, dig, entries, has_unknown, known, leaves, reveal

CONTAINER: Final = "docker:index/container:Container"
NETWORK: Final = "docker:index/network:Network"
VOLUME: Final = "docker:index/volume:Volume"
REMOTE_IMAGE: Final = "docker:index/remoteImage:RemoteImage"
HOST_NAMESPACES: Final = ("pidMode", "ipcMode", "usernsMode", "cgroupnsMode")
ROOT: Final = ("0", "root")
NO_NEW_PRIVILEGES: Final = frozenset({"no-new-privileges", "no-new-privileges:true"})
UNCONFINED: Final = ("seccomp:unconfined", "apparmor:unconfined", "label:disable", "systempaths:unconfined")
WORDS: Final = Words(
    memory="`memory` (MB)",
    privileged="`privileged`",
    drops='`capabilities.drops` to ["ALL"]',
    adds="`capabilities.adds`",
    escalation='add "no-new-privileges:true" to `securityOpts`',
    confinement="`securityOpts`",
    user='set `user` to "uid:gid"',
    root='set `user` to "uid:gid" of an unprivileged user',
    read_only="set `readOnly` to true and name its writable folders in `tmpfs`",
    health="`healthcheck.tests`",
    restart="`restart` to one of unless-stopped, always, on-failure",
    end='`restart` to "no"',
    inspect="docker inspect shows",
    into_variable=f"{AS_SECRET}, or mount a file and set {{name}}_FILE",
    elsewhere="mount a file below /run/secrets/ or pass a secret environment variable, and read it there",
)


def containers(kind: str, marked: Mapping[str, Any], role: str | None) -> tuple[Container, ...]:
    """The one container that a resource of that type is, or that would run an image; none for other types."""
    if kind == REMOTE_IMAGE:
        return (Container(words=WORDS, image=reveal(marked.get("name"))),)
    return (_container(marked, role),) if kind == CONTAINER else ()


def labels(plain: Mapping[str, Any]) -> dict[str, str]:
    """Labels whose names and values are known."""
    pairs = ((block.get("label"), block.get("value")) for block in blocks(plain.get("labels")))
    return {key: value for key, value in pairs if isinstance(key, str) and isinstance(value, str)}


def labels_unknown(plain: Mapping[str, Any], name: str) -> bool:
    """It is not known yet whether there is such a label."""
    found = plain.get("labels")
    return has_unknown(found) or any(
        block.get("label") == name and block.get("value") is UNKNOWN for block in blocks(found)
    )


def tags(kind: str, marked: Mapping[str, Any]) -> Iterator[Tag]:
    """Labels with their secret marks."""
    del kind
    found = marked.get("labels")
    if isinstance(found, Sensitive):
        yield Tag(place="labels", name=None, value=UNKNOWN, sensitive=True)
        return
    for entry in found if isinstance(found, list) else []:
        block = reveal(entry)
        if isinstance(block, Mapping):
            name = block.get("label")
            yield Tag(
                place="labels",
                name=name if isinstance(name, str) else "?",
                value=block.get("value"),
                sensitive=any(leaf.sensitive for leaf in leaves(entry)),
            )


def host_paths(kind: str, plain: Mapping[str, Any]) -> list[str]:
    """Folders and files of the host that a container mounts, or that a volume stands for."""
    if kind == VOLUME:
        options = known(plain.get("driverOpts")) or {}
        bound = "bind" in str(options.get("o", "")).split(",")
        return [str(options["device"])] if bound and isinstance(options.get("device"), str) else []
    mounts = [block.get("source") for block in blocks(plain.get("mounts")) if block.get("type") == "bind"]
    volumes = [block.get("hostPath") for block in blocks(plain.get("volumes"))]
    return [path for path in (*mounts, *volumes) if isinstance(path, str) and path]


def shared_namespaces(kind: str, plain: Mapping[str, Any]) -> dict[str, str]:
    """Property → whose namespace it is, for namespaces that are not the container's own."""
    del kind
    return {key: whose for key in HOST_NAMESPACES if (whose := _whose(plain.get(key))) is not None}


def shared_network(kind: str, plain: Mapping[str, Any]) -> tuple[str, str] | None:
    """Whose network the container uses instead of one of its own, and what to do about it."""
    del kind
    whose = _whose(plain.get("networkMode"))
    return None if whose is None else (whose, "set `networkMode` to bridge and name its networks in `networksAdvanced`")


def _whose(mode: Any) -> str | None:
    if not isinstance(mode, str):
        return None
    return "the host" if mode == "host" else "another container" if mode.startswith("container:") else None


def _container(marked: Mapping[str, Any], role: str | None) -> Container:
    plain: Mapping[str, Any] = reveal(dict(marked))
    options = plain.get("securityOpts")
    named = {str(option).replace("=", ":") for option in entries(options)}
    uploads = plain.get("uploads")
    read_only = plain.get("readOnly")
    return Container(
        name=None,
        role=role,
        words=WORDS,
        lasting=role != "job",
        image=plain.get("image"),
        memory=plain.get("memory"),
        privileged=plain.get("privileged"),
        drops=dig(plain, "capabilities", "drops"),
        adds=dig(plain, "capabilities", "adds"),
        escalates=UNKNOWN if has_unknown(options) else not NO_NEW_PRIVILEGES & named,
        unconfined=tuple(option for option in sorted(named) if option in UNCONFINED),
        user=_user(plain.get("user")),
        # Docker refuses uploads to a read-only root.
        writable=UNKNOWN if UNKNOWN in (uploads, read_only) else not read_only and not uploads,
        restart=plain.get("restart"),
        health=_has_test(plain.get("healthcheck")),
        variables=tuple(_variables(marked.get("envs"))),
        variables_hidden=True,
        commands=_commands(marked),
        raw=plain,
    )


def _user(user: Any) -> User:
    if user is UNKNOWN:
        return "unknown"
    if not isinstance(user, str) or not user:
        return "unset"
    name = user.partition(":")[0]
    return "root" if name in ROOT or name.lstrip("0") == "" else "ordinary"


def _has_test(check: Any) -> bool:
    if check is UNKNOWN:
        return True
    tests = check.get("tests") if isinstance(check, Mapping) else None
    return tests is UNKNOWN or (isinstance(tests, list) and bool(tests) and tests[0] != "NONE")


def _variables(envs: Any) -> Iterator[Variable]:
    for leaf in leaves(envs):
        if isinstance(leaf.value, str):
            name, _, value = leaf.value.partition("=")
            yield Variable(name=name, value=value, sensitive=leaf.sensitive)


def _commands(marked: Mapping[str, Any]) -> dict[str, Any]:
    check = marked.get("healthcheck")
    inner = check.value if isinstance(check, Sensitive) else check
    tests = inner.get("tests") if isinstance(inner, Mapping) else None
    return {
        "command": marked.get("command"),
        "entrypoints": marked.get("entrypoints"),
        "healthcheck.tests": Sensitive(tests) if isinstance(check, Sensitive) else tests,
    }
