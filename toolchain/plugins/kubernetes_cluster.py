"""Connection of the `kubernetes` stand-in to one cluster: discovery, server-side apply, reads and deletions.

Over the dynamic client of the maintained library `kubernetes`. Its own discovery is left out: it asks for every API
group and keeps a file in the system's temporary folder, of which a CustomResourceDefinition made a moment ago is not a
part.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
import yaml
from kubernetes import client, config, dynamic
from kubernetes.dynamic.exceptions import DynamicApiError

from toolchain.plugins.kubernetes_types import PATCH_FORCE, Kind
from toolchain.plugins.provider import ProviderError
from toolchain.plugins.schema import Values

TIMEOUTS = (10, 60)
"""Seconds to connect, and to answer one request: webhooks have up to 30."""
CONNECTIONS = 64
UNREACHABLE = 0
NOT_FOUND, CONFLICT = 404, 409
WEBHOOK = "failed calling webhook"
TERMINATING = "being terminated"


class ApiError(ProviderError):
    """A request that the API server refused, or could not be asked. `status` is the HTTP status, 0 without one."""

    def __init__(self, message: str, status: int = UNREACHABLE, causes: Sequence[Values] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.causes = causes

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.status in (UNREACHABLE, 429, 503, 504) or WEBHOOK in str(self)

    @property
    def early(self) -> bool:
        """Whether what the object needs is not there yet, or not gone yet."""
        return self.status == NOT_FOUND or TERMINATING in str(self)


@dataclass(frozen=True)
class Endpoint:
    """Where the API server serves a kind."""

    base: str
    plural: str
    namespaced: bool
    has_status: bool


def settings_of(values: Values) -> Values:
    """The parsed kubeconfig that the provider's settings name. Raises ProviderError naming the file."""
    given = values.get("kubeconfig") or ""
    if "\n" in given or given.lstrip().startswith("{"):
        source, text = "kubeconfig", given
    else:
        places = (given or config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION).split(":")
        file = next((place for place in (Path(item).expanduser() for item in places) if place.is_file()), None)
        if file is None:
            raise ProviderError(f"kubeconfig: there is no file {' or '.join(places)}")
        source, text = str(file), file.read_text(encoding="utf-8")
    try:
        parsed = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ProviderError(f"{source} is not YAML: {getattr(error, 'problem', 'unreadable')}") from None
    if not isinstance(parsed, dict) or not parsed.get("clusters"):
        raise ProviderError(f"{source} is no kubeconfig: it has no clusters")
    if isinstance(values.get("context"), str):
        parsed["current-context"] = values["context"]
    if values.get("cluster"):
        for entry in parsed.get("contexts") or []:
            if entry["name"] == parsed.get("current-context"):
                entry["context"]["cluster"] = values["cluster"]
    return {**parsed, "__folder": str(Path(source).parent)}


class Cluster:
    """One cluster, connected to at the first use."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.lock = threading.Lock()
        self.connection: dynamic.DynamicClient | None = None
        self.refusal = ""
        """Why there is no connection, once that is known."""
        self.groups: dict[str, dict[str, Endpoint]] = {}

    def connect(self) -> dynamic.DynamicClient:
        """The client. Raises ProviderError naming the server that does not answer, once for all resources."""
        with self.lock:
            if self.refusal:
                raise ProviderError(self.refusal)
            if self.connection is None:
                try:
                    self.connection = self.open()
                except ProviderError as error:
                    self.refusal = str(error)
                    raise
        return self.connection

    def open(self) -> dynamic.DynamicClient:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        settings, options = settings_of(self.values), client.Configuration()
        folder = settings.pop("__folder")
        try:
            loader = config.kube_config.KubeConfigLoader(settings, config_base_path=folder)
            loader.load_and_set(options)
        except config.ConfigException as error:
            raise ProviderError(f"kubeconfig: {error}") from None
        options.connection_pool_maxsize, options.retries = CONNECTIONS, 1
        connection = dynamic.DynamicClient(client.ApiClient(options), discoverer=lambda *_: None)
        try:
            ask(connection, "GET", "/version")
        except ApiError as error:
            if error.status == UNREACHABLE:
                raise ProviderError(f"the cluster at {options.host} does not answer: {error}") from None
            raise ProviderError(f"the cluster at {options.host} refuses: {error}") from None
        return connection

    def request(self, method: str, path: str, **options: Any) -> tuple[Values, list[str]]:
        """One request: what the API server answered, and its warnings. Raises ApiError."""
        return ask(self.connect(), method, path, **options)

    def get(self, path: str) -> Values | None:
        """An object, or None when there is none."""
        try:
            return self.request("GET", path)[0]
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def items(self, path: str, **selectors: str) -> list[Values]:
        """The objects of a list that the label and field selectors choose."""
        query = [(f"{name}Selector", value) for name, value in selectors.items()]
        return list(self.request("GET", path, query=query)[0].get("items") or [])

    def find(self, kind: Kind) -> Endpoint:
        """Where a kind is served. Raises ApiError (404) when it is not, or not yet."""
        base = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
        known = self.groups.get(base, {})
        if kind.name not in known:
            listed = (self.get(base) or {}).get("resources") or []
            names = {entry["name"] for entry in listed}
            known = self.groups[base] = {
                entry["kind"]: Endpoint(base, entry["name"], entry["namespaced"], f"{entry['name']}/status" in names)
                for entry in listed
                if "/" not in entry["name"]
            }
        if kind.name not in known:
            raise ApiError(f"the cluster does not serve {kind.api_version} {kind.name}", NOT_FOUND)
        return known[kind.name]

    def path(self, kind: Kind, metadata: Values) -> str:
        """The path of an object. Raises ApiError (404) when its kind is not served."""
        endpoint = self.find(kind)
        namespace = metadata.get("namespace") or self.values.get("namespace") or "default"
        place = f"namespaces/{namespace}/" if endpoint.namespaced else ""
        return f"{endpoint.base}/{place}{endpoint.plural}/{metadata['name']}"

    def look(self, kind: Kind, metadata: Values) -> Values | None:
        """An object as it is now; None when there is none, or no such kind."""
        try:
            return self.get(self.path(kind, metadata))
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def apply(
        self, path: str, inputs: Values, manager: str, *, force: bool = False, dry_run: bool = False
    ) -> tuple[Values, list[str]]:
        """Server-side apply. Returns the object and the API server's warnings. Raises ApiError."""
        query = [("fieldManager", manager), ("fieldValidation", "Strict"), ("force", str(force).lower())]
        query += [("dryRun", "All")] if dry_run else []
        return self.request("PATCH", path, body=inputs, query=query, content_type="application/apply-patch+yaml")

    def log(self, namespace: str, pod: str, container: str, *, previous: bool, lines: int) -> str:
        """The last log lines of a container, or why there are none."""
        query = [("container", container), ("tailLines", str(lines)), ("previous", str(previous).lower())]
        try:
            path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
            response = self.connect().request(
                "GET", path, query_params=query, serialize=False, _request_timeout=TIMEOUTS
            )
            return str(response.data.decode(errors="replace")).rstrip()
        except (DynamicApiError, urllib3.exceptions.HTTPError) as error:
            return f"(no log: {error.reason if isinstance(error, DynamicApiError) else type(error).__name__})"


def ask(
    connection: dynamic.DynamicClient,
    method: str,
    path: str,
    *,
    body: Values | None = None,
    query: Iterable[tuple[str, str]] = (),
    content_type: str = "application/json",
) -> tuple[Values, list[str]]:
    """One request. Returns what the API server answered and its warnings. Raises ApiError."""
    try:
        response = connection.request(
            method,
            path,
            body=body,
            query_params=list(query),
            content_type=content_type,
            serialize=False,
            _request_timeout=TIMEOUTS,
        )
        answer = json.loads(response.data)
    except client.ApiException as error:
        raise refused(error) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        cause = getattr(error, "reason", None) or error
        raise ApiError(re.sub(r"^.*?>: ", "", str(cause)) or type(cause).__name__) from None
    warnings = [
        re.sub(r'^299 \S+ "(.*)"$', r"\1", text).replace('\\"', '"') for text in response.headers.getlist("Warning")
    ]
    return answer, warnings


def refused(error: Any) -> ApiError:
    """The API server's refusal in its own words."""
    try:
        status = json.loads(error.body or "")
    except ValueError:
        return ApiError(str(error.body or error.reason or "").strip(), error.status or UNREACHABLE)
    causes = (status.get("details") or {}).get("causes") or []
    return ApiError(status.get("message") or error.reason or "", error.status, causes)


def conflict_text(error: ApiError) -> str:
    """What to do about fields that somebody else manages."""
    found = [
        f"  {cause.get('field')}: {re.sub(r'^conflict with ', 'managed by ', cause.get('message', ''))}"
        for cause in error.causes
    ]
    return "\n".join([
        "fields that the program sets are managed by somebody else:",
        *found,
        "Leave such a field out of the program if the other one shall keep it (an autoscaler's replicas). Otherwise "
        "`pulumi refresh` shows the other value, and the next `up` takes the field back; or annotate the object with "
        f'{PATCH_FORCE}: "true" to take it at once.',
    ])  # fmt: skip
