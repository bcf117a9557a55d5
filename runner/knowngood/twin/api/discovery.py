"""Which groups, versions and resources there are: the plain documents and the aggregated one."""

from __future__ import annotations

from knowngood.twin.api.errors import no_such_path
from knowngood.twin.api.resources import Resources, ResourceType
from knowngood.twin.api.schemas import KUBERNETES_MINOR
from knowngood.twin.values import Object

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

DEFAULT_VERSION = f"v1.{KUBERNETES_MINOR}.2"


def version_document(git_version: str) -> Object:
    """Return what /version answers for a version such as `v1.34.2`."""
    major, minor, *_ = git_version.removeprefix("v").split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": git_version,
        "gitCommit": "0" * 40,
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "go1.24.9",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


# Subresources that speak of another kind than their parent, with the verbs they take.
_SUBRESOURCES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "eviction": ("policy", "v1", "Eviction", ("create",)),
    "binding": ("", "v1", "Binding", ("create",)),
    "exec": ("", "v1", "PodExecOptions", ("create", "get")),
    "log": ("", "v1", "Pod", ("get",)),
    "proxy": ("", "v1", "NodeProxyOptions", ("get",)),
    "scale": ("autoscaling", "v1", "Scale", ("get", "patch", "update")),
    "token": ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    "finalize": ("", "v1", "Namespace", ("update",)),
}


def wants_aggregated(accept: str) -> bool:
    """Whether the client would take the whole discovery in one document."""
    return "as=APIGroupDiscoveryList" in accept and "v=v2" in {
        part.strip() for clause in accept.split(",") for part in clause.split(";")
    }


def document(path: str, resources: Resources, accept: str) -> tuple[Object, str] | None:
    """Return the discovery document at a path with its content type, or None where the path is no such."""
    parts = [part for part in path.split("/") if part]
    if parts in (["api"], ["apis"]):
        if wants_aggregated(accept):
            return _aggregated(resources, core=parts == ["api"]), AGGREGATED
        return (_core_versions() if parts == ["api"] else _groups(resources)), "application/json"
    if len(parts) == 2 and parts[0] == "apis":
        return _group(resources, parts[1]), "application/json"
    if len(parts) == 2 and parts[0] == "api":
        return _resources(resources, "", parts[1]), "application/json"
    if len(parts) == 3 and parts[0] == "apis":
        return _resources(resources, parts[1], parts[2]), "application/json"
    return None


def _core_versions() -> Object:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}],
    }


def _describe_group(name: str, versions: list[str]) -> Object:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _groups(resources: Resources) -> Object:
    groups = [_describe_group(name, versions) for name, versions in resources.groups().items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _group(resources: Resources, name: str) -> Object:
    versions = resources.groups().get(name)
    if versions is None:
        raise no_such_path()
    return {"kind": "APIGroup", "apiVersion": "v1", **_describe_group(name, versions)}


def _resources(resources: Resources, group: str, version: str) -> Object:
    served = resources.in_version(group, version)
    if not served:
        raise no_such_path()
    entries = [entry for resource in served for entry in _entries(resource)]
    group_version = f"{group}/{version}" if group else version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": entries,
    }


def _entries(resource: ResourceType) -> list[Object]:
    main: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        main["shortNames"] = list(resource.short_names)
    if resource.categories:
        main["categories"] = list(resource.categories)
    entries = [main]
    for name in resource.subresources:
        group, version, kind, verbs = _subresource(resource, name)
        entry: Object = {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": kind,
            "verbs": list(verbs),
        }
        if (group, version) != (resource.group, resource.version):
            entry |= {"group": group, "version": version}
        entries.append(entry)
    return entries


def _subresource(resource: ResourceType, name: str) -> tuple[str, str, str, tuple[str, ...]]:
    own = (resource.group, resource.version, resource.kind, ("get", "patch", "update"))
    return _SUBRESOURCES.get(name, own)


def _aggregated(resources: Resources, *, core: bool) -> Object:
    groups = {"": ["v1"]} if core else resources.groups()
    items = [
        {
            "metadata": {"name": name, "creationTimestamp": None},
            "versions": [
                {
                    "version": version,
                    "resources": [_aggregated_entry(one) for one in resources.in_version(name, version)],
                    "freshness": "Current",
                }
                for version in versions
            ],
        }
        for name, versions in groups.items()
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated_entry(resource: ResourceType) -> Object:
    entry: Object = {
        "resource": resource.plural,
        "responseKind": _kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [
            {"subresource": name, "responseKind": _kind(group, version, kind), "verbs": list(verbs)}
            for name in resource.subresources
            for group, version, kind, verbs in [_subresource(resource, name)]
        ]
    return entry


def _kind(group: str, version: str, kind: str) -> Object:
    return {"group": group, "version": version, "kind": kind}
