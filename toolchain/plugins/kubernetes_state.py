"""What a live object says about the program's inputs, and what is recorded of it.

A refresh compares three things for every field that the program sets: the input, the object as it was recorded after
the last operation, and the object now. A field that still is as it was recorded counts as the input, in whatever form
the API server keeps it (quantities, defaults, dropped empty values); one that changed since is taken from the object.
Fields that the program does not set belong to others, except inside lists and maps that have one owner as a whole.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from toolchain.plugins.kubernetes_types import DATA, Kind, Path
from toolchain.plugins.schema import SECRET, SIGNATURE, UNKNOWN, Values

FIELD_MANAGER = "__fieldManager"
QUANTITIES = frozenset({"requests", "limits", "capacity", "hard", "sizeLimit", "averageValue", "divisor"})
WHOLE: Values = {}
"""The field ownership of a value that has one owner as a whole."""
SERVER_SET = ("uid", "resourceVersion", "generation", "creationTimestamp", "selfLink", "managedFields")


def clean(value: Any) -> Any:
    """The data without nulls, at every depth."""
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items() if item is not None}
    return [clean(item) for item in value] if isinstance(value, list) else value


def recorded(kind: Kind, live: Values, manager: str) -> Values:
    """The outputs to record: the object without the bookkeeping of field managers, a Secret's data as secrets."""
    metadata = {name: value for name, value in live["metadata"].items() if name != "managedFields"}
    outputs = {**clean(live), "metadata": clean(metadata), FIELD_MANAGER: manager}
    return guarded(kind, {**outputs, "__initialApiVersion": kind.api_version})


def guarded(kind: Kind, values: Values) -> Values:
    """The values with the data of a Secret marked as secret for the engine."""
    if kind.key != "/Secret":
        return values
    return {**values, **{name: {SIGNATURE: SECRET, "value": values[name]} for name in DATA & values.keys()}}


def planned(kind: Kind, inputs: Values) -> Values:
    """The outputs of an object that a preview would make: what the cluster will add is not known yet."""
    outputs = {"status": UNKNOWN, **inputs}
    if isinstance(inputs.get("metadata"), dict):
        outputs["metadata"] = {"uid": UNKNOWN, **inputs["metadata"]}
    if kind.key == "/Service" and isinstance(inputs.get("spec"), dict):
        outputs["spec"] = {"clusterIP": UNKNOWN, "clusterIPs": UNKNOWN, **inputs["spec"]}
    return guarded(kind, outputs)


def importable(live: Values) -> Values:
    """Inputs for an object that the program did not make."""
    metadata = {name: value for name, value in live["metadata"].items() if name not in SERVER_SET}
    return clean({**{name: value for name, value in live.items() if name != "status"}, "metadata": metadata})  # type: ignore[no-any-return]


def redacted(kind: Kind, inputs: Values, message: str) -> str:
    """A message without the data of a Secret that the API server may have quoted."""
    if kind.key == "/Secret":
        for field in DATA & inputs.keys():
            values = inputs[field].values() if isinstance(inputs[field], dict) else ()
            for value in sorted(map(str, values), key=len, reverse=True):
                for form in (value, base64.b64encode(value.encode()).decode()) if value else ():
                    message = message.replace(form, "[secret]")
    return message


def observed_inputs(kind: Kind, inputs: Values, live: Values, before: Values) -> Values:
    """The inputs as they are in the cluster now. `before` is what was recorded of the object."""
    owned: Values = {}
    for entry in live["metadata"].get("managedFields") or []:
        merge(owned, entry.get("fieldsV1") or {})
    now, then = ({**clean(values), "apiVersion": inputs.get("apiVersion")} for values in (live, before))
    if kind.key == "/Secret" and isinstance(inputs.get("stringData"), dict):
        for values in (now, then):
            values["stringData"] = decoded(values.get("data") or {}, inputs["stringData"])
    return observed_map(inputs, now, then, owned, ())


def merge(into: Values, fields: Values) -> None:
    """Add one manager's fields to those of the others."""
    for name, below in fields.items():
        merge(into.setdefault(name, {}), below)


def decoded(data: Values, names: Iterable[str]) -> Values:
    """The named entries of a Secret's data as text."""
    return {name: base64.b64decode(data[name]).decode(errors="replace") for name in names if name in data}


def observed(wanted: Any, live: Any, before: Any, owned: Values | None, path: Path) -> Any:
    """One input as it is in the cluster now."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        return observed_map(wanted, live, before if isinstance(before, dict) else {}, owned, path)
    if isinstance(wanted, list) and isinstance(live, list):
        return observed_list(wanted, live, before if isinstance(before, list) else [], owned, path)
    return wanted if live == before or same(wanted, live, path) else live


def same(wanted: Any, live: Any, path: Path) -> bool:
    """Whether two values mean the same."""
    try:
        quantity = not QUANTITIES.isdisjoint(path)
        return wanted == live or (quantity and bool(parse_quantity(wanted) == parse_quantity(live)))
    except ValueError:
        return False


def observed_map(wanted: Values, live: Values, before: Values, owned: Values | None, path: Path) -> Values:
    found = {}
    for name, value in wanted.items():
        if name in live:
            below = WHOLE if owned == WHOLE else (owned or {}).get(f"f:{name}")
            found[name] = observed(value, live[name], before.get(name), below, (*path, name))
        elif name not in before:
            found[name] = value  # the API server dropped it when it was applied: an empty value
    if owned == WHOLE:
        found.update({name: value for name, value in live.items() if name not in {*wanted, *before}})
    return found


def observed_list(wanted: list[Any], live: list[Any], before: list[Any], owned: Values | None, path: Path) -> list[Any]:
    keys = next((list(json.loads(entry[2:])) for entry in owned or {} if entry.startswith("k:")), None)
    if keys:
        found = []
        for item in wanted:
            now, then = (partner(item, items, keys) for items in (live, before))
            if now is not None:
                entries = ((json.loads(name[2:]), fields) for name, fields in (owned or {}).items() if name[:2] == "k:")
                below = next((fields for named, fields in entries if partner(item, [named], keys)), None)
                found.append(observed(item, now, then, below, (*path, 0)))
            elif then is None:
                found.append(item)
        return found
    if any(entry.startswith("v:") for entry in owned or {}):
        return [item for item in wanted if item in live or item not in before]
    if live == before or len(live) != len(wanted):
        return wanted if live == before else live
    befores = before if len(before) == len(live) else [None] * len(live)
    below = WHOLE if owned == WHOLE else None
    return [observed(*items, below, (*path, 0)) for items in zip(wanted, live, befores, strict=True)]


def partner(item: Any, items: list[Any], keys: list[str]) -> Any:
    """The item of a list that has the same keys; keys that the program leaves out are defaulted by the server."""
    return next((other for other in items if all(other.get(key) == item[key] for key in keys if key in item)), None)


def at(values: Any, field: str) -> Any:
    """The value at a path as the API server writes it in a conflict; None when there is none."""
    while field and values is not None:
        if field[0] == "." and isinstance(values, dict):
            fits = (name for name in values if re.match(rf"{re.escape(name)}([.[]|$)", field[1:]))
            name = max(fits, key=len, default="")
            values, field = values.get(name), field[1 + len(name) :]
        elif (match := re.match(r"\[([^]]*)\]", field)) and isinstance(values, list):
            keys = dict(re.findall(r'(\w*)=("(?:[^"\\]|\\.)*"|[^,]+)', match[1]))
            wanted = {name: json.loads(value) for name, value in keys.items()}
            fitting = (one for one in values if isinstance(one, dict) and partner(one, [wanted], [*wanted]))
            values, field = next(fitting, None), field[match.end() :]
        else:
            return None
    return values
