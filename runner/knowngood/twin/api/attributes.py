"""What a request would do, as the authorizer is asked.

Read from its path alone, whether anything is served there or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_SPACE_SUBRESOURCES = frozenset({"status", "finalize"})
NAME_FIELD = "metadata.name="


@dataclass(frozen=True, slots=True)
class Attributes:
    """One act: on a resource, or where `path` is given on something that is none. Empty where it doesn't matter."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def what(self) -> str:
        """`pods` or `pods/eviction`, as rules name it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def sentence(self) -> str:
        """What somebody can't do, in the real server's words."""
        if self.path:
            return f'cannot {self.verb} path "{self.path}"'
        where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        return f'cannot {self.verb} resource "{self.what}" in API group "{self.group}" {where}'


def of_request(method: str, path: str, query: Mapping[str, str]) -> Attributes:
    """Read a request's act from its path, as upstream does: three parts at least make a resource."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, parts = "", parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, parts = parts[1], parts[3:]
    else:
        return Attributes(method.lower(), path=path or "/")
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _SPACE_SUBRESOURCES:
            parts = parts[2:]
    resource, name, subresource = [*parts, "", ""][:3]
    return Attributes(
        _verb(method, name, query), group, resource, subresource, namespace, name or _named(query)
    )


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    if method in _VERBS:
        return _VERBS[method]
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    if query.get("watch", "false").lower() not in {"false", "0"}:
        return "watch"
    return "get" if name else "list"


def _named(query: Mapping[str, str]) -> str:
    """A list of one object, by its name in the field selector, counts as that object."""
    for clause in query.get("fieldSelector", "").split(","):
        if clause.startswith(NAME_FIELD):
            return clause.removeprefix(NAME_FIELD).lstrip("=")
    return ""
