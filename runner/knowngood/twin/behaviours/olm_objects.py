"""The objects of OLM v0 as its operators write them: kinds, plans, conditions, what a bundle brings. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from knowngood.twin.behaviours.kube import Kind, digest, name_of, namespace_of, random_suffix, stamp, uid_of
from knowngood.twin.values import Object

API = "operators.coreos.com/v1alpha1"
CATALOG: Kind = (API, "CatalogSource")
SUBSCRIPTION: Kind = (API, "Subscription")
PLAN: Kind = (API, "InstallPlan")
SERVICE_VERSION: Kind = (API, "ClusterServiceVersion")
OPERATOR_GROUP: Kind = ("operators.coreos.com/v1", "OperatorGroup")
DEFINITION: Kind = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
SERVICE_ACCOUNT: Kind = ("v1", "ServiceAccount")
EVENT: Kind = ("v1", "Event")

WAITS, INSTALLING, COMPLETE, FAILED = "RequiresApproval", "Installing", "Complete", "Failed"
PENDING, LATEST = "UpgradePending", "AtLatestKnown"
CLEANUP = "operators.coreos.com/csv-cleanup"
OWNER_LABEL = "olm.owner"


def owned_by_several(owner: Object) -> Object:
    """An ownerReference beside others: it controls nothing and holds up nobody's deletion."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": False,
        "blockOwnerDeletion": False,
    }


def install_plan(
    namespace: str, generation: int, names: Sequence[str], owners: Iterable[Object], *, approved: bool
) -> Object:
    """A plan before anybody looked at it; all Subscriptions of the namespace own it."""
    return {
        "apiVersion": API,
        "kind": PLAN[1],
        "metadata": {
            "name": f"install-{random_suffix()}",
            "namespace": namespace,
            "ownerReferences": [owned_by_several(owner) for owner in owners],
        },
        "spec": {
            "approval": "Automatic" if approved else "Manual",
            "approved": approved,
            "clusterServiceVersionNames": list(names),
            "generation": generation,
        },
    }


def step(resolving: str, manifest: Object, source: tuple[str, str]) -> Object:
    """One thing that a plan will make; the manifest is in it, so that a plan can be carried out much later."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    return {
        "resolving": resolving,
        "resource": {
            "group": group,
            "version": version,
            "kind": manifest["kind"],
            "name": name_of(manifest),
            "manifest": json.dumps(manifest),
            "sourceNamespace": source[0],
            "sourceName": source[1],
        },
        "status": "Unknown",
    }


def manifest_of(entry: Object) -> Object:
    """What a step makes."""
    found: Object = json.loads(entry["resource"]["manifest"])
    return found


def refers_to(plan: Object) -> Object:
    """What a Subscription's status says about its plan."""
    reference = {
        "apiVersion": API,
        "kind": PLAN[1],
        "name": name_of(plan),
        "namespace": namespace_of(plan),
        "resourceVersion": plan["metadata"]["resourceVersion"],
        "uid": uid_of(plan),
    }
    older = {"apiVersion": API, "kind": PLAN[1], "name": name_of(plan), "uuid": uid_of(plan)}
    return {
        "installPlanRef": reference,
        "installplan": older,
        "installPlanGeneration": plan["spec"]["generation"],
    }


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Object:
    """A Subscription's condition; one that is False is taken away, but for the catalogs' health."""
    made = {"type": kind, "status": status, "lastTransitionTime": stamp()}
    return {**made, **({"reason": reason} if reason else {}), **({"message": message} if message else {})}


def with_conditions(old: Iterable[Object], new: Mapping[str, Object | None]) -> list[Object]:
    """The conditions with some set, some (None) taken away; one that says the same keeps its time."""
    said = {entry["type"]: entry for entry in old}
    for kind, entry in new.items():
        if entry is None:
            said.pop(kind, None)
        elif not _same(said.get(kind), entry):
            said[kind] = entry
    return list(said.values())


def _same(old: Object | None, new: Object) -> bool:
    fields = ("status", "reason", "message")
    return old is not None and all(old.get(field) == new.get(field) for field in fields)


def service_version(name: str, package: str, version: str, beside: Iterable[Object]) -> Object:
    """The ClusterServiceVersion of a bundle that brought none: one Deployment, the kinds that lie beside it."""
    image = f"registry.example.com/{package}:v{version}"
    pod = {"serviceAccountName": package, "containers": [{"name": "manager", "image": image}]}
    labels = {"app": package, "control-plane": package}
    deployment = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    owned = [
        {"name": name_of(d), "kind": d["spec"]["names"]["kind"], "version": d["spec"]["versions"][0]["name"]}
        for d in beside
        if d["kind"] == DEFINITION[1]
    ]
    return {
        "apiVersion": API,
        "kind": SERVICE_VERSION[1],
        "metadata": {"name": name},
        "spec": {
            "displayName": package,
            "version": version,
            "install": {
                "strategy": "deployment",
                "spec": {"deployments": [{"name": package, "spec": deployment}]},
            },
            "customresourcedefinitions": {"owned": owned},
            "relatedImages": [{"name": package, "image": image}],
        },
    }


def package_of(csv: Object) -> str:
    """The package of a version, as bundles are named: `<package>.v<version>`."""
    return name_of(csv).partition(".")[0]


def deployments_of(csv: Object) -> list[Object]:
    """The Deployments that a ClusterServiceVersion asks for, owned by it."""
    space = namespace_of(csv)
    labels = {
        OWNER_LABEL: name_of(csv),
        "olm.owner.kind": SERVICE_VERSION[1],
        "olm.owner.namespace": space,
        "olm.managed": "true",
    }
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": entry["name"],
                "namespace": space,
                "labels": {**entry.get("label", {}), **labels, "olm.deployment-spec-hash": digest(entry)},
                "ownerReferences": [owned_by_several(csv)],
            },
            "spec": entry["spec"],
        }
        for entry in csv["spec"]["install"].get("spec", {}).get("deployments", ())
    ]


def service_accounts_of(csv: Object) -> list[str]:
    """The ServiceAccounts that its Deployments and permissions name; `default` is everybody's."""
    install = csv["spec"]["install"].get("spec", {})
    pods = [entry["spec"]["template"]["spec"] for entry in install.get("deployments", ())]
    named = [pod.get("serviceAccountName", "") for pod in pods]
    named += [
        rights["serviceAccountName"]
        for kind in ("permissions", "clusterPermissions")
        for rights in install.get(kind, ())
    ]
    return sorted({name for name in named if name and name != "default"})


def event(csv: Object, reason: str, message: str) -> Object:
    """What OLM tells of a ClusterServiceVersion."""
    now = stamp()
    return {
        "apiVersion": "v1",
        "kind": EVENT[1],
        "metadata": {"name": f"{name_of(csv)}.{random_suffix()}", "namespace": namespace_of(csv)},
        "involvedObject": {
            "apiVersion": API,
            "kind": SERVICE_VERSION[1],
            "name": name_of(csv),
            "namespace": namespace_of(csv),
            "uid": uid_of(csv),
        },
        "reason": reason,
        "message": message,
        "type": "Warning" if reason in {"ComponentUnhealthy", "RequirementsNotMet"} else "Normal",
        "source": {"component": "operator-lifecycle-manager"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
