"""What OLM v0 knows of one operator: its Subscription, its ClusterServiceVersions, plans and package. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.model.errors import UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.mover import MoverSpec, Moving
from knowngood.planner.moving import CHANNEL, STARTING, SUBSCRIPTION, shown, version_of

OLM = "operators.coreos.com/v1alpha1"
PACKAGES = "packages.operators.coreos.com/v1"
DEFINITIONS = "apiextensions.k8s.io/v1"
COPIED = "olm.copiedFrom"
SUCCEEDED, FAILED, COMPLETE = "Succeeded", "Failed", "Complete"
UNPACK, RESOLUTION = "BundleUnpackFailed", "ResolutionFailed"
CONDITIONS = (RESOLUTION, UNPACK, "CatalogSourcesUnhealthy", "InstallPlanMissing", "InstallPlanFailed")
"""Of a Subscription: those that keep it from what it asks for."""


def named(spec: MoverSpec, version: str) -> str:
    """The ClusterServiceVersion of a version, as the mover's startingCSV says."""
    return shown(spec, SUBSCRIPTION, version)[STARTING]


@dataclass(frozen=True)
class Operator:
    """One operator by its Subscription. What is not there is None or empty; silence raises."""

    kube: Kube
    component: str
    spec: MoverSpec
    at: ObjectRef

    @classmethod
    def of(cls, kube: Kube, moving: Moving) -> Operator:
        """The operator that a move is about. UsageError where no Subscription declares it."""
        at = moving.declared_by
        if at is None or at.kind != SUBSCRIPTION or STARTING not in moving.spec.fields.get(SUBSCRIPTION, {}):
            raise UsageError(
                f"{moving.component} is declared by {at or 'nothing'}, not by the {STARTING} of a Subscription",
                hint="see its mover's fields, and the cluster file's declare",
            )
        return cls(kube, moving.component, moving.spec, at)

    def __str__(self) -> str:
        return f"Subscription {self.at.namespace}/{self.at.name}"

    def path(self, plural: str, name: str = "") -> str:
        """The path of OLM's objects beside the Subscription."""
        return path(OLM, plural, name, self.at.namespace)

    def subscription(self) -> Object | None:
        """The Subscription."""
        return self.kube.find(self.path("subscriptions", self.at.name))

    def others(self) -> list[Object]:
        """The namespace's other Subscriptions: one plan serves them all."""
        found = self.kube.list(self.path("subscriptions"))
        return [sub for sub in found if name_of(sub) != self.at.name]

    def versions(self) -> list[Object]:
        """The ClusterServiceVersions of this operator, by the names that its mover gives them."""
        found = self.kube.list(self.path("clusterserviceversions"))
        return [csv for csv in found if self.version(name_of(csv)) and COPIED not in labels_of(csv)]

    def version(self, name: str) -> str:
        """The version of a ClusterServiceVersion's name; "" where it is none of this operator."""
        try:
            return version_of(self.spec, SUBSCRIPTION, {STARTING: name})
        except UsageError:
            return ""

    def plans(self) -> list[Object]:
        """The namespace's InstallPlans."""
        return self.kube.list(self.path("installplans"))

    def plan(self, sub: Object) -> Object | None:
        """The InstallPlan that its Subscription refers to: several may name the same version."""
        name = str((status_of(sub).get("installPlanRef") or {}).get("name") or "")
        return self.kube.find(self.path("installplans", name)) if name else None

    def offered(self, sub: Object) -> dict[str, set[str]]:
        """Channel -> names of ClusterServiceVersions that its catalog offers; empty where the catalog is silent."""
        spec = sub["spec"]
        try:
            found = self.kube.list(path(PACKAGES, "packagemanifests", "", spec["sourceNamespace"]))
        except ApiError as error:
            if error.missing:
                return {}
            raise
        for package in found:
            status = status_of(package)
            # Those of the cluster's own catalogs are listed in every namespace, beside one of the same name there.
            if status.get("catalogSourceNamespace") not in (None, spec["sourceNamespace"]):
                continue
            if (status.get("packageName"), status.get("catalogSource")) == (spec["name"], spec["source"]):
                return {c["name"]: set(_entries(c)) for c in status.get("channels") or ()}
        return {}

    def deployments(self) -> dict[str, Object]:
        """The namespace's Deployments, by name."""
        found = self.kube.list(path("apps/v1", "deployments", "", self.at.namespace))
        return {name_of(one): one for one in found}

    def definition(self, name: str) -> Object | None:
        """A CustomResourceDefinition."""
        return self.kube.find(path(DEFINITIONS, "customresourcedefinitions", name))


def _entries(channel: Object) -> Iterator[str]:
    """A channel's versions; servers before OpenShift 4.14 name only its head."""
    yield str(channel.get("currentCSV") or "")
    yield from (str(entry["name"]) for entry in channel.get("entries") or ())


def name_of(obj: Object) -> str:
    """An object's name."""
    return str(obj["metadata"]["name"])


def uid_of(obj: Object) -> str:
    """An object's uid."""
    return str(obj["metadata"]["uid"])


def labels_of(obj: Object) -> Object:
    """An object's labels."""
    return obj["metadata"].get("labels") or {}


def status_of(obj: Object) -> Object:
    """An object's status."""
    return obj.get("status") or {}


def phase_of(csv: Object) -> str:
    """A version's or plan's phase; "" before OLM looked at it."""
    return str(status_of(csv).get("phase") or "")


def names_in(plan: Object) -> tuple[str, ...]:
    """All ClusterServiceVersions that a plan installs, those of other Subscriptions too."""
    return tuple(plan["spec"].get("clusterServiceVersionNames") or ())


def is_approved(plan: Object) -> bool:
    """Whether somebody approved it."""
    return bool(plan["spec"].get("approved"))


def owned(csv: Object) -> list[str]:
    """The names of the definitions that a version brings."""
    return [str(d["name"]) for d in (csv["spec"].get("customresourcedefinitions") or {}).get("owned") or ()]


def troubles(sub: Object) -> dict[str, str]:
    """Condition -> reason and message of what keeps a Subscription from what it asks for."""
    found = {
        c["type"]: f"{c['type']}: {c.get('reason', '')} {c.get('message', '')}".strip()
        for c in status_of(sub).get("conditions") or ()
        if c.get("status") == "True"
    }
    return {kind: found[kind] for kind in CONDITIONS if kind in found}


def declares(sub: Object, moving: Moving) -> str:
    """What of the live Subscription is not as Git's change has it; "" where all is."""
    spec = sub["spec"]
    wanted = shown(moving.spec, SUBSCRIPTION, moving.after)
    live = {STARTING: spec.get("startingCSV"), CHANNEL: spec.get("channel")}
    other = [
        f"{path} is {live[path]}, not {text}" for path, text in wanted.items() if live.get(path, text) != text
    ]
    return "; ".join(other)
