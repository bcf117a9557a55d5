"""The steps of an InstallPlan: what a bundle brings, in the order in which it is made. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from knowngood.twin.behaviours import olm_objects as objects
from knowngood.twin.behaviours.olm_resolver import Choice
from knowngood.twin.values import Object

CLUSTER_SCOPED = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "PriorityClass"}
_FIRST = ("CustomResourceDefinition", "ClusterServiceVersion")


def steps_of(choice: Choice, namespace: str) -> list[Object]:
    """The steps of one bundle."""
    return [
        objects.step(choice.bundle.name, manifest, choice.source)
        for manifest in _manifests(choice, namespace)
    ]


def in_order(steps: list[Object]) -> list[Object]:
    """Definitions first, then ClusterServiceVersions, then what these need: so a version waits for a moment."""
    return sorted(steps, key=lambda entry: _rank(entry["resource"]["kind"]))


def _rank(kind: str) -> int:
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST)


def _manifests(choice: Choice, namespace: str) -> Iterator[Object]:
    for manifest in choice.bundle.manifests:
        made = copy.deepcopy(manifest)
        if made["kind"] not in CLUSTER_SCOPED:
            made["metadata"]["namespace"] = namespace
        if made["kind"] == objects.SERVICE_VERSION[1]:
            if choice.replaces:
                made["spec"]["replaces"] = choice.replaces
            made["metadata"]["finalizers"] = [objects.CLEANUP]
        yield made
    for name in objects.service_accounts_of(choice.bundle.service_version):
        yield {
            "apiVersion": "v1",
            "kind": objects.SERVICE_ACCOUNT[1],
            "metadata": {"name": name, "namespace": namespace},
        }
