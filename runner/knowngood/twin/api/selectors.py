"""Label and field selectors, as query strings and as objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from knowngood.twin.api.errors import bad_request
from knowngood.twin.values import Object

Labels = Mapping[str, str]
Match = Callable[[Labels], bool]

_SET_TERM = re.compile(r"(?P<key>[^\s,!=()]+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)")
_PLAIN_TERM = re.compile(r"(?P<key>[^\s,!=()]+)\s*(?P<op>==|!=|=)\s*(?P<value>[^\s,()]*)")
_FIELD_TERM = re.compile(r"(?P<key>[^\s!=]+)\s*(?P<op>==|!=|=)\s*(?P<value>.*)")
_EXISTS_TERM = re.compile(r"(?P<no>!?)\s*(?P<key>[^\s,!=()]+)")


def _requirement(key: str, operator: str, values: frozenset[str]) -> Match:
    """Return one requirement; NotIn is met by a missing key too, as upstream has it."""
    match operator:
        case "In":
            return lambda labels: labels.get(key) in values
        case "NotIn":
            return lambda labels: labels.get(key) not in values
        case "Exists":
            return lambda labels: key in labels
        case "DoesNotExist":
            return lambda labels: key not in labels
    raise bad_request(f"{operator!r} is not a valid label selector operator")


def _all(requirements: Iterable[Match]) -> Match:
    terms = tuple(requirements)
    return lambda labels: all(term(labels) for term in terms)


def parse_labels(text: str) -> Match:
    """Read a labelSelector query string."""
    terms: list[Match] = []
    rest = text.strip()
    while rest:
        if found := _SET_TERM.match(rest):
            operator = "In" if found["op"] == "in" else "NotIn"
            values = frozenset(value.strip() for value in found["values"].split(","))
            terms.append(_requirement(found["key"], operator, values))
        elif found := _PLAIN_TERM.match(rest):
            operator = "NotIn" if found["op"] == "!=" else "In"
            terms.append(_requirement(found["key"], operator, frozenset({found["value"].strip()})))
        elif found := _EXISTS_TERM.match(rest):
            terms.append(_requirement(found["key"], "DoesNotExist" if found["no"] else "Exists", frozenset()))
        else:
            raise bad_request(f"unable to parse requirement: {rest!r}")
        rest = rest[found.end() :].strip()
        if rest and not rest.startswith(","):
            raise bad_request(f"unable to parse requirement: found {rest!r}, expected ','")
        rest = rest.removeprefix(",").strip()
    return _all(terms)


def from_object(selector: Object | None) -> Match:
    """Read a LabelSelector object; None selects nothing, an empty one everything."""
    if selector is None:
        return lambda _: False
    terms = [
        _requirement(key, "In", frozenset({value}))
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    terms += [
        _requirement(one["key"], one["operator"], frozenset(one.get("values") or ()))
        for one in selector.get("matchExpressions") or ()
    ]
    return _all(terms)


# What each kind can be selected by, beside its name and namespace.
_COMMON_FIELDS = frozenset({"metadata.name", "metadata.namespace"})
_EVENT_FIELDS = frozenset(
    {f"involvedObject.{field}" for field in ("kind", "namespace", "name", "uid", "apiVersion", "fieldPath")}
    | {f"regarding.{field}" for field in ("kind", "namespace", "name", "uid", "apiVersion", "fieldPath")}
    | {"involvedObject.resourceVersion", "reason", "type", "source", "reportingComponent"}
)
_FIELDS: Mapping[str, frozenset[str]] = {
    "Pod": frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        }
    ),
    "Node": frozenset({"spec.unschedulable"}),
    "Namespace": frozenset({"status.phase"}),
    "Secret": frozenset({"type"}),
    "Job": frozenset({"status.successful"}),
    "ReplicaSet": frozenset({"status.replicas"}),
    "Service": frozenset({"spec.clusterIP", "spec.type"}),
    "Event": _EVENT_FIELDS,
}


def parse_fields(text: str, kind: str, extra: Iterable[str] = ()) -> Callable[[Object], bool]:
    """Read a fieldSelector query string for a kind; `extra` are a custom resource's selectableFields."""
    known = _COMMON_FIELDS | _FIELDS.get(kind, frozenset()) | frozenset(extra)
    terms: list[tuple[list[str], bool, str]] = []
    for term in filter(None, (part.strip() for part in text.split(","))):
        found = _FIELD_TERM.fullmatch(term)
        if found is None:
            raise bad_request(f"invalid selector: {text!r}; can't understand {term!r}")
        if found["key"] not in known:
            raise bad_request(f"field label not supported: {found['key']}")
        path = found["key"].replace("regarding.", "involvedObject.").split(".")
        terms.append((path, found["op"] != "!=", found["value"].strip()))
    return lambda obj: all((_field(obj, path) == value) is wanted for path, wanted, value in terms)


def demanded(text: str, key: str) -> str:
    """The value that a fieldSelector query string wants a field to have; "" where it wants none."""
    for term in text.split(","):
        found = _FIELD_TERM.fullmatch(term.strip())
        if found is not None and found["key"] == key and found["op"] != "!=":
            return found["value"].strip()
    return ""


def _field(obj: Object, path: list[str]) -> str:
    """Return the field as field selectors see it: text, the zero value where it is absent."""
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if path[-1] in {"unschedulable", "hostNetwork"}:
        return "true" if value else "false"
    if path == ["source"] and isinstance(value, dict):
        return str(value.get("component", ""))
    return "" if value is None else str(value)
