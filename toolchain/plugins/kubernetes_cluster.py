"""Connection of the `kubernetes` stand-in to one cluster: discovery, server-side apply, reads and deletions.

Over the dynamic client of the maintained library `kubernetes`. Its own discovery is left out: it asks for every API
group and keeps a file in the system's temporary folder, of which a CustomResourceDefinition made a moment ago is not a
part.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

import urllib3
import yaml
from kubernetes import client, config, dynamic

from toolchain.plugins.kubernetes_types import PATCH_FORCE, Kind
from toolchain.plugins.provider import ProviderError
from toolchain.plugins.schema import Values

TIMEOUTS = (10, 60)
"""Seconds to connect, and to answer one request: webhooks have up to 30."""
UNREACHABLE = 0
CONFLICT, NOT_FOUND = 409, 404
WEBHOOK, TERMINATING, ACCOUNT = "failed calling webhook", "being terminated", "error looking up service account"
CONFLICT_ADVICE = (
    "Leave such a field out of the program if the other one shall keep it (an autoscaler's replicas). Otherwise "
    "`pulumi refresh` shows the other value, and the next `up` takes the field back; or annotate the object with "
    f'{PATCH_FORCE}: "true" to take it at once.'
)


class ApiError(ProviderError):
    """A request that the API server refused, or could not be asked. `status` is the HTTP status, 0 without one."""

    def __init__(self, message: str, status: int = UNREACHABLE, causes: Sequence[Values] = ()) -> None:
        super().__init__(message)
        self.status, self.causes = status, causes

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.status in (UNREACHABLE, 429, 503, 504) or WEBHOOK in str(self)

    @property
    def early(self) -> bool:
        """Whether what the object needs is not there yet, or not gone yet."""
        return isinstance(self, NotFound) or TERMINATING in str(self) or ACCOUNT in str(self)


class NotFound(ApiError):
    """What was asked for is not there, or its namespace or kind is not."""


class Cluster:
    """One cluster, connected to at the first use."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.lock = threading.Lock()
        self.connection: dynamic.DynamicClient | None = None
        self.refusal = ""
        """Why there is no connection, once that is known."""
        self.groups: dict[str, dict[str, Values]] = {}
        """Where kinds are served, by the path of their group and their name."""

    def connect(self) -> dynamic.DynamicClient:
        """The client. Raises ProviderError naming the server that does not answer, once for all resources."""
        with self.lock:
            try:
                self.connection = self.connection or (None if self.refusal else self.open())
            except ProviderError as error:
                self.refusal = str(error)
            if self.connection is None:
                raise ProviderError(self.refusal)
            return self.connection

    def open(self) -> dynamic.DynamicClient:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        given, context = self.values.get("kubeconfig") or "", self.values.get("context")
        content, options = "\n" in given or given.lstrip().startswith("{"), client.Configuration()
        try:
            if content:
                config.load_kube_config_from_dict(yaml.safe_load(given), context, options)
            else:
                config.load_kube_config(given or None, context, options, persist_config=False)
        except (config.ConfigException, yaml.YAMLError) as error:
            file = "its content" if content else given or config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION
            reason = getattr(error, "problem", error)  # the whole text of a YAML error quotes the file
            raise ProviderError(f"kubeconfig ({file}) cannot be used: {reason}") from None
        options.connection_pool_maxsize, options.retries = 64, 1
        connection = dynamic.DynamicClient(client.ApiClient(options), discoverer=lambda *_: None)
        try:
            ask(connection, "GET", "/version")
        except ApiError as error:
            verb = "does not answer" if error.status == UNREACHABLE else "refuses"
            raise ProviderError(f"the cluster at {options.host} {verb}: {error}") from None
        return connection

    def request(self, method: str, path: str, **options: Any) -> tuple[Values, list[str]]:
        """One request: what the API server answered, and its warnings. Raises ApiError."""
        return ask(self.connect(), method, path, **options)

    def get(self, path: str) -> Values | None:
        """An object, or None when there is none."""
        with contextlib.suppress(NotFound):
            return self.request("GET", path)[0]
        return None

    def items(self, path: str, **selectors: str) -> list[Values]:
        """The objects of a list that the label and field selectors choose."""
        query = [(f"{name}Selector", value) for name, value in selectors.items()]
        return list(self.request("GET", path, query=query)[0].get("items") or [])

    def find(self, kind: Kind) -> Values:
        """Where and how a kind is served. Raises NotFound when it is not, or not yet."""
        base = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
        known = self.groups.get(base, {})
        if kind.name not in known:
            listed = (self.get(base) or {}).get("resources") or []
            names = {entry["name"] for entry in listed}
            known = self.groups[base] = {
                entry["kind"]: {**entry, "base": base, "status": f"{entry['name']}/status" in names}
                for entry in listed
                if "/" not in entry["name"]
            }
        if kind.name not in known:
            raise NotFound(f"the cluster does not serve {kind.api_version} {kind.name}")
        return known[kind.name]

    def path(self, kind: Kind, metadata: Values) -> str:
        """The path of an object. Raises NotFound when its kind is not served."""
        served, namespace = self.find(kind), metadata.get("namespace") or self.values.get("namespace") or "default"
        place = f"namespaces/{namespace}/" if served["namespaced"] else ""
        return f"{served['base']}/{place}{served['name']}/{metadata['name']}"

    def look(self, kind: Kind, metadata: Values) -> Values | None:
        """An object as it is now; None when there is none, or no such kind."""
        with contextlib.suppress(NotFound):
            return self.get(self.path(kind, metadata))
        return None

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
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        try:
            return str(ask(self.connect(), "GET", path, query, read=bytes.decode)[0]).rstrip()
        except ApiError as error:
            return f"(no log: {error})"


def ask(
    connection: dynamic.DynamicClient,
    method: str,
    path: str,
    query: Sequence[tuple[str, str]] = (),
    *,
    read: Callable[[bytes], Any] = json.loads,
    **options: Any,
) -> tuple[Any, list[str]]:
    """One request. Returns what the API server answered and its warnings. Raises ApiError."""
    try:
        response = connection.request(
            method, path, serialize=False, _request_timeout=TIMEOUTS, query_params=[*query], **options
        )
        answer = read(response.data)
    except client.ApiException as error:
        raise refused(error) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        cause = getattr(error, "reason", None) or error
        raise ApiError(re.sub(r"^.*?>: ", "", str(cause)) or type(cause).__name__) from None
    warnings = response.headers.getlist("Warning")
    return answer, [re.sub(r'^299 \S+ "(.*)"$', r"\1", text).replace('\\"', '"') for text in warnings]


def refused(error: Any) -> ApiError:
    """The API server's refusal in its own words."""
    try:
        status = json.loads(error.body or "")
    except ValueError:
        status = {"message": str(error.body or error.reason or "").strip()}
    causes = (status.get("details") or {}).get("causes") or []
    kind = NotFound if error.status == NOT_FOUND else ApiError
    return kind(status.get("message") or error.reason or "", error.status or UNREACHABLE, causes)


def conflict_text(error: ApiError) -> str:
    """What to do about fields that somebody else manages."""
    found = [
        f"  {entry['field']}: {entry['message'].replace('conflict with', 'managed by', 1)}" for entry in error.causes
    ]
    return "\n".join(["fields that the program sets are managed by somebody else:", *found, CONFLICT_ADVICE])
