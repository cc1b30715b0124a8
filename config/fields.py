"""The kinds of values in a stack file: each is checked by one short function and described for editors.

A refusal says what is wrong and what would be right. It never repeats the value: that may be a secret in a wrong place.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from ipaddress import IPv4Network, ip_address
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError

REFUSED: Final = "refused"
"""Type of the errors that carry a problem and a fix of their own."""

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
HOST_LENGTH: Final = 253
_LABEL_LENGTH = 63
_REGISTRY = re.compile(rf"{_LABEL}(\.{_LABEL})*(:[1-9][0-9]{{0,4}})?")
_MEMORY = re.compile(r"([1-9][0-9]{0,6})(Mi|Gi|Ti)")
_MEMORY_UNITS = {"Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}
_DURATION = re.compile(r"([1-9][0-9]{0,6})([smhdw])")
_DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LOG_SIZE = re.compile(r"[1-9][0-9]{0,6}[kmg]")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}")
_IMAGE = re.compile(
    rf"(?P<name>({_LABEL}(\.{_LABEL})*(:[0-9]{{1,5}})?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*)"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?"
)
_BITNAMI = re.compile(r"((index\.|registry-1\.)?docker\.io/)?bitnami")
_CRON_FIELDS = 5
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})( 00:00:00 \+0000 UTC)?")
"""The engine hands an unquoted YAML date over as a point in time."""
_PRIVATE = tuple(IPv4Network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


def refuse(problem: str, fix: str) -> PydanticCustomError:
    """An error whose text is the report's. `problem` follows the key in a sentence; `fix` is a sentence."""
    return PydanticCustomError(REFUSED, "{problem}", {"problem": problem, "fix": fix})


def _host_name(value: str) -> str:
    if not value.isascii():
        raise refuse(
            "is not a host name: DNS, NGINX and certificates know an international one by its ASCII form only",
            "Write that form, for example `xn--bcher-kva.example` for `bücher.example`.",
        )
    if len(value) > HOST_LENGTH or max(map(len, value.split("."))) > _LABEL_LENGTH:
        raise refuse(
            "is too long for a host name",
            f"Keep it to {HOST_LENGTH} characters, and to {_LABEL_LENGTH} between two dots.",
        )
    if not _HOST.fullmatch(value):
        raise refuse(
            "is not a host name", "Write lower-case letters, digits, `-` and `.`, for example `ai.example.org`."
        )
    return value


def _registry(value: str) -> str:
    if not _REGISTRY.fullmatch(value):
        raise refuse(
            "is not the address of a registry", "Write host or host:port without a scheme, for example `ghcr.io`."
        )
    return value


def _memory(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    match = _MEMORY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise refuse(
            "is not an amount of memory with its unit", "Write a whole number with Mi, Gi or Ti, for example `512Mi`."
        )
    return int(match[1]) * _MEMORY_UNITS[match[2]]


def _duration(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise refuse("is not a duration with its unit", "Write a whole number with s, m, h, d or w, for example `15s`.")
    return int(match[1]) * _DURATION_UNITS[match[2]]


def _log_size(value: str) -> str:
    if not _LOG_SIZE.fullmatch(value):
        raise refuse("is not a size of a log file", "Write a whole number with k, m or g, for example `10m`.")
    return value


def _image(value: str) -> str:
    if _IMAGE_ID.fullmatch(value):
        return value
    match = _IMAGE.fullmatch(value)
    if match is None:
        raise refuse(
            "is not an image reference", "Write `registry/name:version`, for example `ghcr.io/acme/api:1.4.2`."
        )
    if _BITNAMI.match(value):
        raise refuse(
            "names an image of docker.io/bitnami, which has had no security fixes since August 2025",
            "Use the image that the project itself publishes.",
        )
    if match["digest"]:
        return value
    if match["tag"] is None:
        raise refuse("names an image without a tag, which means latest", "Add the version: `name:1.4.2`, or a digest.")
    if match["tag"] == "latest":
        raise refuse(
            "names the tag `latest`, which is another image tomorrow", "Write the version: `name:1.4.2`, or a digest."
        )
    return value


def is_pinned(image: str) -> bool:
    """The reference names one image for ever: by digest or by id."""
    return "@sha256:" in image or image.startswith("sha256:")


def _network(value: Any) -> IPv4Network:
    try:
        # A number would be taken for an address.
        return IPv4Network(value if isinstance(value, str) else "")
    except ValueError:
        raise refuse(
            "is not an IPv4 network", "Write its first address and its size, for example `10.213.0.0/16`."
        ) from None


def private_network(smallest: int, largest: int) -> AfterValidator:
    """The network is private (RFC 1918), with a prefix length from `largest` to `smallest`."""

    def check(value: IPv4Network) -> IPv4Network:
        if not any(value.subnet_of(private) for private in _PRIVATE):
            raise refuse(
                "is not a private network",
                "Choose one inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16, for example `10.213.0.0/16`.",
            )
        if not largest <= value.prefixlen <= smallest:
            raise refuse(
                f"has a prefix length of /{value.prefixlen}", f"Choose a network from /{largest} to /{smallest}."
            )
        return value

    return AfterValidator(check)


def _address(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise refuse("is not an IP address", "Write one of the host's addresses, for example `127.0.0.1`.") from None


def _docker_host(value: str) -> str:
    fix = "Write `unix:///path/of/the.sock`, `tcp://host:port` or `ssh://user@host`."
    try:
        url = urlsplit(value)
        port, password = url.port, url.password
    except ValueError:
        raise refuse("is not the address of a Docker engine", fix) from None
    if password is not None:
        raise refuse("holds a password", "Use `ssh://user@host` with a key, or TLS client certificates.")
    good = {
        "unix": not url.netloc and len(url.path) > 1,
        "tcp": bool(url.hostname) and port is not None and url.username is None and url.path in ("", "/"),
        "ssh": bool(url.hostname),
    }
    if not good.get(url.scheme, False) or url.query or url.fragment:
        raise refuse("is not the address of a Docker engine", fix)
    return value


def _service_url(value: str) -> str:
    fix = "Write scheme and host, with a port if need be, for example `https://s3.example.org`."
    try:
        url = urlsplit(value)
        port, login = url.port, url.username or url.password
    except ValueError:
        raise refuse("is not the address of a service", fix) from None
    if login is not None:
        raise refuse("holds credentials", "Put them under `secrets`, and only the address here.")
    good = url.scheme in {"http", "https"} and url.hostname and port != 0 and url.path in {"", "/"}
    if not good or url.query or url.fragment:
        raise refuse("is not the address of a service", fix)
    return value.rstrip("/")


def _env_name(value: str) -> str:
    if not _ENV_NAME.fullmatch(value):
        raise refuse(
            "is not the name of an environment variable", "Write letters, digits and _, for example `LOG_LEVEL`."
        )
    return value


def _env_value(value: str) -> str:
    if "\0" in value:
        raise refuse("holds a NUL character, which no environment variable can", "Remove it.")
    return value


def _day(value: Any) -> date:
    match = _DAY.fullmatch(value) if isinstance(value, str) else None
    try:
        return date.fromisoformat(match[1] if match else "")
    except ValueError:
        raise refuse("is not a day", "Write year, month and day, for example `2027-03-31`.") from None


def _schedule(value: str) -> str:
    if value == "off":
        return value
    fix = "Write five fields of cron, in UTC, for example `0 2 * * *` for 02:00 each day, or `off`."
    if len(value.split()) != _CRON_FIELDS:
        raise refuse("is not a cron expression of five fields", fix)
    try:
        next(CronSim(value, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration):
        # A library's words may repeat the value.
        raise refuse("is a cron expression that no time matches", fix) from None
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise refuse("is empty", "Give it a value, or remove the key to take the default.")
    return value


def matching(pattern: str, problem: str, fix: str) -> AfterValidator:
    """The text matches a pattern."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise refuse(problem, fix)
        return value

    return AfterValidator(check)


def _secret(value: SecretStr) -> SecretStr:
    _env_value(value.get_secret_value())
    if not value.get_secret_value():
        raise refuse("is empty", "Set it again with a value.")
    return value


def _schema(pattern: re.Pattern[str], title: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "pattern": f"^(?:{pattern.pattern.replace('?P<', '?<')})$", "title": title}
    )


Text = Annotated[str, AfterValidator(_not_blank), WithJsonSchema({"type": "string", "minLength": 1})]
HostName = Annotated[str, AfterValidator(_host_name), _schema(_HOST, "Host name")]
RegistryAddress = Annotated[str, AfterValidator(_registry), _schema(_REGISTRY, "Registry")]
Memory = Annotated[int, BeforeValidator(_memory), _schema(_MEMORY, "Memory")]
"""`512Mi` in the stack file, bytes in the program."""
Duration = Annotated[int, BeforeValidator(_duration), _schema(_DURATION, "Duration")]
"""`15s` in the stack file, seconds in the program."""
LogSize = Annotated[str, AfterValidator(_log_size), _schema(_LOG_SIZE, "Size of a log file")]
"""Docker's own notation: `10m` are ten megabytes."""
Image = Annotated[str, AfterValidator(_image), WithJsonSchema({"type": "string", "title": "Image reference"})]
Network = Annotated[IPv4Network, PlainValidator(_network), WithJsonSchema({"type": "string", "format": "ipv4-network"})]
Address = Annotated[str, AfterValidator(_address), WithJsonSchema({"type": "string", "title": "IP address"})]
DockerHost = Annotated[
    str, AfterValidator(_docker_host), WithJsonSchema({"type": "string", "pattern": "^(unix|tcp|ssh)://"})
]
ServiceUrl = Annotated[
    str, AfterValidator(_service_url), WithJsonSchema({"type": "string", "pattern": "^https?://[^/@?#]+/?$"})
]
"""Scheme and host of a service, without a slash at the end."""
Port = Annotated[int, Field(ge=1, le=65535)]
EnvValue = Annotated[str, AfterValidator(_env_value)]
"""Any text: other languages, quotes, `$` and new lines arrive as they are."""
EnvName = Annotated[str, AfterValidator(_env_name)]
Day = Annotated[date, PlainValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Schedule = Annotated[str, AfterValidator(_schedule), WithJsonSchema({"type": "string", "title": "Cron expression"})]
"""Five fields of cron, in UTC, or `off`."""
Secret = Annotated[
    SecretStr,
    AfterValidator(_secret),
    WithJsonSchema(
        {
            "type": "object",
            "description": "Encrypted by `pulumi config set --path --secret`.",
            "properties": {"secure": {"type": "string"}},
            "required": ["secure"],
            "additionalProperties": False,
        }
    ),
]
