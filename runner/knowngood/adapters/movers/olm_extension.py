"""A ClusterExtension, and what it made: read only.

What its status says counts at its present generation only, and together with what it made: Deployments that are new
and available, definitions that are served. (operator-framework/operator-controller api/v1, ClusterExtension.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from knowngood.adapters.cluster.reader import scalar_at
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.movers import rollout
from knowngood.model.errors import UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.mover import Moving
from knowngood.planner.moving import shown

KIND = "ClusterExtension"
API = "olm.operatorframework.io/v1"
OWNER_KIND, OWNER_NAME = "olm.operatorframework.io/owner-kind", "olm.operatorframework.io/owner-name"
"""On whatever an extension made (operator-controller internal/operator-controller/labels)."""
DEFINITIONS = "apiextensions.k8s.io/v1"
INSTALLED, PROGRESSING = "Installed", "Progressing"
SUCCEEDED = "Succeeded"
LONG = 300
"""Characters of a message that a sentence takes."""


@dataclass(frozen=True)
class Extension:
    """One component, by the ClusterExtension that declares it."""

    kube: Kube
    at: ObjectRef
    moving: Moving

    @classmethod
    def of(cls, kube: Kube, moving: Moving) -> Extension:
        """UsageError where no ClusterExtension declares it."""
        at = moving.declared_by
        if at is None or at.kind != KIND or KIND not in moving.spec.fields:
            raise UsageError(
                f"{moving.component} is declared by {at or 'nothing'}, not by {KIND}",
                hint="see the cluster file's declare",
            )
        return cls(kube, at, moving)

    def live(self) -> Object | None:
        """The object."""
        return self.kube.find(path(API, "clusterextensions", self.at.name))

    def asks_otherwise(self, obj: Object, version: str) -> str:
        """Which field of it does not ask for this version; "" where all do."""
        for where, wanted in shown(self.moving.spec, KIND, version).items():
            if (found := scalar_at(obj, where)) != wanted:
                return f"{self.at} has {where} {found or 'not set'}, not {wanted}"
        return ""

    def definitions(self) -> list[Object]:
        """The definitions that it made."""
        where = path(DEFINITIONS, "customresourcedefinitions")
        return self.kube.list(where, f"{OWNER_KIND}={KIND},{OWNER_NAME}={self.at.name}")

    def late(self, obj: Object) -> Iterator[str]:
        """What of all that it made is not new and ready."""
        where = path("apps/v1", "deployments", "", str(obj["spec"]["namespace"]))
        owned = self.kube.list(where, f"{OWNER_KIND}={KIND},{OWNER_NAME}={self.at.name}")
        if not owned:
            yield f"{self.at} has made no Deployment in {obj['spec']['namespace']}"
        for one in owned:
            if why := rollout.late(self.kube, "Deployment", one):
                yield why
            elif rollout.idle("Deployment", one):
                yield f"Deployment {one['metadata']['name']} is scaled to none, so nothing shows that it runs"
        for definition in self.definitions():
            if not _true(definition, "Established") or rollout.ending(definition):
                yield f"{definition['metadata']['name']} is not served, or is being deleted"


def installed(obj: Object) -> str:
    """The version that is installed, "" where none is."""
    bundle = ((obj.get("status") or {}).get("install") or {}).get("bundle") or {}
    return str(bundle.get("version") or "") if _true(obj, INSTALLED) else ""


def unrest(obj: Object) -> str:
    """What keeps its status from being an answer, in words; "" where it is one."""
    named = f"{KIND} {obj['metadata']['name']}"
    if rollout.ending(obj):
        return f"{named} is being deleted"
    for kind in (PROGRESSING, INSTALLED):
        said = condition(obj, kind)
        if not seen(obj, said):
            return f"{named} says nothing of {kind} at its present generation"
        if (said.get("status"), said.get("reason")) != ("True", SUCCEEDED):
            return f"{named}: {kind} is {said.get('status')}, {said.get('reason')}: {message(said)}"
    return ""


def condition(obj: Object, kind: str) -> Object:
    """One of its conditions, empty where it has none."""
    found = (obj.get("status") or {}).get("conditions") or ()
    return next((c for c in found if c.get("type") == kind), {})


def seen(obj: Object, condition: Object) -> bool:
    """Whether a condition is of what it asks for now."""
    generation = int(obj["metadata"].get("generation") or 0)
    return bool(condition) and int(condition.get("observedGeneration") or 0) >= generation


def _true(obj: Object, kind: str) -> bool:
    return condition(obj, kind).get("status") == "True"


def message(condition: Object) -> str:
    """What it says, as much as a sentence takes."""
    return str(condition.get("message") or "")[:LONG]
