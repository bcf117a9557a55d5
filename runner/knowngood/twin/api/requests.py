"""What a request asks for: the path taken apart, the query read as Go reads it, the answer's form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from knowngood.twin.api.cluster import Options
from knowngood.twin.api.errors import bad_request, no_such_path
from knowngood.twin.api.resources import Resources, ResourceType

Query = Mapping[str, str]
Form = Literal["object", "table", "partial"]

DRY_RUN_ALL = "All"
_VALIDATIONS = frozenset({"", "Ignore", "Warn", "Strict"})


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names. `name` is empty for a collection; `rest` is what follows a proxy subresource."""

    resource: ResourceType
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: tuple[str, ...] = ()


def parse_path(path: str, resources: Resources) -> Target:
    """Take /api/v1/... or /apis/<group>/<version>/... apart. ApiError 404 where nothing is served."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"]:
        group, version, parts = "", parts[1] if len(parts) > 1 else "", parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 2:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        raise no_such_path()
    namespace = ""
    if parts[:1] == ["namespaces"] and len(parts) > 2 and parts[2] not in {"status", "finalize"}:
        namespace, parts = parts[1], parts[2:]
    resource = resources.at(group, version, parts[0]) if parts else None
    if resource is None or (namespace and not resource.namespaced):
        raise no_such_path()
    name = parts[1] if len(parts) > 1 else ""
    if name and resource.namespaced and not namespace:
        raise no_such_path()
    subresource = parts[2] if len(parts) > 2 else ""
    if subresource and not resource.has(subresource):
        raise no_such_path()
    if len(parts) > 3 and subresource != "proxy":
        raise no_such_path()
    return Target(resource, namespace, name, subresource, tuple(parts[3:]))


def flag(query: Query, name: str) -> bool:
    """Read a boolean as the real server does: present and neither `0` nor `false`."""
    value = query.get(name)
    return value is not None and value.lower() not in {"0", "false"}


def number(query: Query, name: str) -> int | None:
    """Read a whole number, or None."""
    value = query.get(name)
    if not value:
        return None
    if not value.lstrip("-").isdigit():
        raise bad_request(f"{name} is not a number: {value!r}")
    return int(value)


def write_options(query: Query, user_agent: str) -> Options:
    """Read what every write may carry."""
    dry_run = query.get("dryRun", "")
    if dry_run not in {"", DRY_RUN_ALL}:
        raise bad_request(f'invalid dryRun {dry_run!r}: supported values: "All"')
    validation = query.get("fieldValidation", "")
    if validation not in _VALIDATIONS:
        raise bad_request(f"invalid fieldValidation {validation!r}")
    return Options(
        dry_run=dry_run == DRY_RUN_ALL,
        validation=validation or "Warn",
        manager=query.get("fieldManager") or user_agent.partition("/")[0] or "unknown",
        force=flag(query, "force"),
    )


def form_of(accept: str) -> Form:
    """Return the form of answer that the Accept header asks for first."""
    for clause in accept.split(","):
        parameters = {part.strip() for part in clause.split(";")[1:]}
        if "v=v1" not in parameters:
            if not any(one.startswith("as=") for one in parameters):
                return "object"
            continue
        if "as=Table" in parameters:
            return "table"
        if "as=PartialObjectMetadata" in parameters or "as=PartialObjectMetadataList" in parameters:
            return "partial"
    return "object"
