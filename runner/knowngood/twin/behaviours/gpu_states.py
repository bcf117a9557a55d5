"""What both of the GPU Operator's controllers do with their objects: apply DaemonSets, judge them, write states."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.driver_manifests import Surroundings
from knowngood.twin.behaviours.kube import (
    DAEMON_SET,
    annotations_of,
    condition,
    deleting,
    digest,
    labels_of,
    merge_conditions,
    name_of,
    namespace_of,
    owner_reference,
    service_account,
)
from knowngood.twin.objects import operating_system
from knowngood.twin.values import Object

OPERATOR_CAME = {"operator-installed", "operator-removed", "release-begun", "release-completed"}
"""Events after which another version of the operator runs, or none, or the same on another OpenShift."""
SPEC_HASH = "nvidia.com/last-applied-hash"
MESSAGE_MAX = 32768


def surroundings(twin: Twin) -> Surroundings:
    """What the operator finds out about its cluster, and its own version: "" while OLM has none of it installed."""
    seed = twin.seed
    version = twin.operator_version("gpu-operator", seed.gpu_operator.version)
    minor = ".".join(twin.openshift.split(".")[:2])
    builds = frozenset(operating_system(release)[1] for release in twin.releases)
    driver = seed.gpu_operator.drivers.get(version, "")
    return Surroundings(seed.gpu_operator.namespace, minor, builds, version, driver)


async def apply(twin: Twin, owner: Object, wanted: Object) -> Object:
    """Create the DaemonSet, or bring it to what is wanted; returns it as it is then."""
    seen = digest(wanted["spec"])
    live = twin.cache.get(DAEMON_SET, name_of(wanted), wanted["metadata"]["namespace"])
    if live is None or deleting(live):
        wanted["metadata"]["annotations"] = {SPEC_HASH: seen}
        wanted["metadata"]["ownerReferences"] = [owner_reference(owner)]
        if account := wanted["spec"]["template"]["spec"].get("serviceAccountName"):
            await twin.api.ensure(service_account(account, namespace_of(wanted)))
        return await twin.api.create(wanted)
    if annotations_of(live).get(SPEC_HASH) == seen and labels_of(live) == labels_of(wanted):
        return live
    # The selector is immutable and never changes; the template is replaced whole.
    replaced = {
        "/spec/template": wanted["spec"]["template"],
        "/spec/updateStrategy": wanted["spec"]["updateStrategy"],
        "/metadata/labels": wanted["metadata"]["labels"],
    }
    patch = [{"op": "replace", "path": path, "value": value} for path, value in replaced.items()]
    patch.append({"op": "add", "path": "/metadata/annotations", "value": {SPEC_HASH: seen}})
    return await twin.api.patch(live, patch, kind="json")


async def remove_others(twin: Twin, owner: Object, kept: Collection[str]) -> None:
    """Delete what DaemonSets an object has beside these."""
    for daemon_set in twin.cache.owned(DAEMON_SET, owner):
        if name_of(daemon_set) not in kept and not deleting(daemon_set):
            await twin.api.delete(daemon_set)


def is_observed(daemon_set: Object) -> bool:
    """Whether its status is of its present template."""
    seen = (daemon_set.get("status") or {}).get("observedGeneration", 0)
    return bool(seen >= daemon_set["metadata"].get("generation", 1))


def is_ready(daemon_set: Object) -> bool:
    """All pods there, ready, of the newest template, by its status. Zero desired pods count as ready, as upstream."""
    status = daemon_set.get("status") or {}
    desired = status.get("desiredNumberScheduled", 0)
    counts = {status.get("numberReady", 0), status.get("updatedNumberScheduled", 0)}
    return is_observed(daemon_set) and counts == {desired}


def ready(message: str) -> Sequence[Object]:
    """The conditions of an object that is what it should be."""
    return condition("Ready", True, "Reconciled", message), condition("Error", False, "Ready")  # noqa: FBT003


def error(reason: str, message: str) -> Sequence[Object]:
    """The conditions of an object that is not."""
    said = message[:MESSAGE_MAX]
    return condition("Ready", False, "Error"), condition("Error", True, reason, said)  # noqa: FBT003


async def write_state(twin: Twin, obj: Object, state: str, conditions: Sequence[Object], **more: str) -> None:
    """Write an object's state and conditions, where they are not so already."""
    old = obj.get("status") or {}
    status = {
        "state": state,
        "conditions": merge_conditions(old.get("conditions") or (), conditions),
        **more,
    }
    if {name: old.get(name) for name in status} != status:
        await twin.api.status(obj, status)
