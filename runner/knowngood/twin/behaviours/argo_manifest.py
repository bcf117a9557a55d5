"""Manifests as Argo CD reads, compares and applies them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from knowngood.twin.values import Object

FORBIDDEN = {"Node"}  # an Application that manages Nodes would revert cordons and taints
CLUSTER_SCOPED = {
    "NVIDIADriver",
    "ClusterPolicy",
    "NicClusterPolicy",
    "NicNodePolicy",
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "PriorityClass",
    "MachineConfigPool",
    "ClusterVersion",
}


class ManifestError(Exception):
    """A file can't be read as manifests; the message names it."""


def parse(files: Mapping[str, bytes], app: Object) -> list[Object]:
    """All objects of the files, in the destination's namespace where they name none."""
    objects: list[Object] = []
    for name, content in sorted(files.items()):
        try:
            documents = [d for d in yaml.load_all(content, Loader=_Loader) if d]
        except yaml.YAMLError as error:
            raise ManifestError(f"failed to unmarshal {name}: {error}") from error
        for document in documents:
            items = (
                document.get("items", [])
                if isinstance(document, dict) and "items" in document
                else [document]
            )
            objects += [_object(item, name, app) for item in items]
    return objects


def _object(item: Any, name: str, app: Object) -> Object:
    if not isinstance(item, dict) or not {"apiVersion", "kind", "metadata"} <= set(item):
        raise ManifestError(f"{name}: Object 'Kind' is missing")
    if item["kind"] in FORBIDDEN:
        raise ManifestError(f"{name}: resource {item['kind']} is not permitted in project default")
    namespace = app["spec"]["destination"].get("namespace", "")
    if namespace and item["kind"] not in CLUSTER_SCOPED:
        item["metadata"].setdefault("namespace", namespace)
    return item


def identity(obj: Object) -> tuple[str, str, str, str]:
    """apiVersion, kind, namespace, name."""
    metadata = obj["metadata"]
    return obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"]


def listed_identity(entry: Object) -> tuple[str, str, str, str]:
    """The identity of an entry in status.resources."""
    api_version = f"{entry['group']}/{entry['version']}" if entry.get("group") else entry["version"]
    return api_version, entry["kind"], entry.get("namespace", ""), entry["name"]


def as_applied(wanted: Object) -> str:
    """The object as last-applied-configuration keeps it."""
    return json.dumps(wanted, sort_keys=True, separators=(",", ":"))


def three_way(applied: str, wanted: Object, live: Object) -> Object:
    """The merge patch that brings live to wanted; what was applied before and is wanted no longer goes."""
    try:
        before = json.loads(applied) if applied else {}
    except ValueError:
        before = {}
    return _difference(before, wanted, live)


def _difference(before: Any, wanted: Object, live: Object) -> Object:
    patch: Object = {}
    for key, value in wanted.items():
        current = live.get(key)
        if isinstance(value, dict) and isinstance(current, dict):
            old = before.get(key) if isinstance(before, dict) else None
            if inner := _difference(old or {}, value, current):
                patch[key] = inner
        elif value != current and not (value in ({}, None) and current is None):
            patch[key] = value
    for key in before if isinstance(before, dict) else ():
        if key not in wanted and key in live:
            patch[key] = None
    return patch


class _Loader(yaml.SafeLoader):
    """Safe YAML whose times stay text, as in JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
