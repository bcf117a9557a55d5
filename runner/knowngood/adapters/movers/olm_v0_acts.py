"""The class olm-v0, done: approve exactly the plan of one version, and the way back, which OLM has no edge for.

The ClusterServiceVersion goes first: with it gone the Subscription makes no other plan, so nothing races. Then the
Subscription goes; Argo CD makes it anew, and only such a one looks at startingCSV. Plans are never deleted: that can
wedge a whole namespace (operator-lifecycle-manager PR 3883).
"""

from __future__ import annotations

import time

from knowngood.adapters.kubernetes.client import ApiError, Object
from knowngood.adapters.movers import olm_definitions
from knowngood.adapters.movers.fleet_task import FleetTask
from knowngood.adapters.movers.olm_operator import (
    COMPLETE,
    FAILED,
    Operator,
    declares,
    is_approved,
    name_of,
    named,
    names_in,
    phase_of,
    status_of,
    troubles,
    uid_of,
)
from knowngood.model.errors import CouldNot, Refused
from knowngood.model.mover import Moving
from knowngood.model.names import APPROVED_ANNOTATION

INHERITED = 30.0
"""Seconds after which a Subscription that is made anew no longer takes over the deleted one's status (#3010)."""
TRIES = 3
"""How often a Subscription is deleted until one without another's status is there."""
SELF_HEAL = "have Argo CD sync it, or apply the committed Subscription"
OFFER = "see the Subscription's conditions and the catalog's pod"


class OlmV0Acts:
    """See `fleet_task.FleetActor`."""

    def start(self, task: FleetTask, moving: Moving) -> str:
        """Approve the plan of the Subscription if it carries this version and nothing else; wait for it first.

        What no catalog offers as an update is removed and installed anew, as on the way back.
        """
        operator = Operator.of(task.kube, moving)
        _declared(operator, moving)
        if any(name_of(csv) == named(moving.spec, moving.after) for csv in operator.versions()):
            return ""
        olm_definitions.keep(task, operator)
        if moving.reinstall:
            return _replaced(task, operator, moving, operator.versions())
        return _approve(task, operator, named(moving.spec, moving.after))

    def back(self, task: FleetTask, moving: Moving) -> str:
        """Take the newer version and the Subscription away, wait until both are made anew as Git says, and approve."""
        operator = Operator.of(task.kube, moving)
        older = named(moving.spec, moving.after)
        sub = operator.subscription()
        if sub is not None:
            _declared(operator, moving)
        newer = named(moving.spec, moving.before)
        task.until(lambda: _carried_out(operator, newer), f"what was approved of {newer}")
        versions = operator.versions()
        if [name_of(csv) for csv in versions] == [older]:
            return ""
        told = [*olm_definitions.checked(task, operator, versions)] if versions else []
        return "; ".join([*told, _replaced(task, operator, moving, versions)])


def _replaced(task: FleetTask, operator: Operator, moving: Moving, versions: list[Object]) -> str:
    """Take these versions and the Subscription away, wait until it is made anew as Git says, and approve.

    Nothing goes before the catalog is seen to hold what is to come: it may have changed since the run began.
    """
    if versions:
        task.until(lambda: _held(operator, named(moving.spec, moving.after)), "the catalog", OFFER)
    told = [_delete_version(task, operator, csv) for csv in versions]
    task.until(lambda: _gone(operator), f"the end of {moving.component} {moving.before}")
    return "; ".join(filter(None, (*told, _anew(task, operator, moving))))


def _held(operator: Operator, target: str) -> tuple[bool | None, str]:
    """Whether the version can be installed from the Subscription's catalog. Refused where that one says no."""
    sub = operator.subscription()
    if sub is None:
        return None, f"there is no {operator}"
    channel, where = (
        sub["spec"]["channel"],
        f"CatalogSource {sub['spec']['sourceNamespace']}/{sub['spec']['source']}",
    )
    offered = operator.offered(sub)
    if not offered:
        return None, f"{where} offers no package {sub['spec']['name']}"
    if target not in offered.get(channel, ()):
        raise Refused(
            f"channel {channel} of {where} does not hold {target}: nothing is deleted, or nobody could install it",
            hint="mirror the bundle, or point it at an index that has it, then resume",
        )
    return True, ""


def _declared(operator: Operator, moving: Moving) -> None:
    """CouldNot unless the live Subscription carries what Git declares."""
    sub = operator.subscription()
    if sub is None:
        raise CouldNot(f"there is no {operator}", hint=SELF_HEAL)
    if other := declares(sub, moving):
        raise CouldNot(f"{operator}: {other}", hint="wait until Argo CD has brought the commit")


def _approve(task: FleetTask, operator: Operator, target: str) -> str:
    return task.until(lambda: _tried(task, operator, target), f"the InstallPlan of {target}", OFFER)


def _tried(task: FleetTask, operator: Operator, target: str) -> tuple[str | None, str]:
    """Approve the plan if it is there, conditional on the very one that was looked at."""
    plan, state = _offer(operator, target)
    if plan is None:
        return None, state
    if is_approved(plan):
        return f"InstallPlan {name_of(plan)} of {target} was approved already", ""
    task.alone()
    try:
        task.kube.patch(operator.path("installplans", name_of(plan)), _approval(task, plan))
    except ApiError as error:
        if not error.conflict:
            raise
        return None, f"InstallPlan {name_of(plan)} changed meanwhile"
    return f"InstallPlan {name_of(plan)} of {target} approved", ""


def _approval(task: FleetTask, plan: Object) -> list[Object]:
    metadata = plan["metadata"]
    notes = {**(metadata.get("annotations") or {}), APPROVED_ANNOTATION: task.key}
    return [
        {"op": "test", "path": "/metadata/uid", "value": uid_of(plan)},
        {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
        {"op": "test", "path": "/spec/approved", "value": False},
        {"op": "add", "path": "/metadata/annotations", "value": notes},
        {"op": "replace", "path": "/spec/approved", "value": True},
    ]


def _offer(operator: Operator, target: str) -> tuple[Object | None, str]:
    """The plan by which OLM would install the version, or why there is none yet. Refused where it carries others."""
    sub = operator.subscription()
    if sub is None:
        return None, f"there is no {operator}"
    plan = operator.plan(sub)
    why = "; ".join(troubles(sub).values())
    if plan is None:
        return None, why or "OLM has made no InstallPlan"
    names = names_in(plan)
    if target not in names:
        if is_approved(plan):
            return None, why or "OLM has made no new InstallPlan"
        raise Refused(
            f"InstallPlan {name_of(plan)} carries {', '.join(names)}, not {target}",
            hint="the catalog moved, or it waits since before: plan again from what it offers; never delete the plan",
        )
    if phase_of(plan) == FAILED:
        raise Refused(f"InstallPlan {name_of(plan)} of {target} Failed: {status_of(plan).get('message', '')}")
    if others := [name for name in names if name != target]:
        raise Refused(
            f"InstallPlan {name_of(plan)} carries {', '.join(others)} beside {target}: approving it moves them too",
            hint=f"approve or move {', '.join(others)} first, by the Subscription that wants it, and plan again",
        )
    return plan, ""


def _carried_out(operator: Operator, version: str) -> tuple[bool | None, str]:
    """Whether no approved plan is still making the version: what is not there yet can't be taken away."""
    for plan in operator.plans():
        if version in names_in(plan) and is_approved(plan) and phase_of(plan) not in {COMPLETE, FAILED}:
            return None, f"InstallPlan {name_of(plan)} is {phase_of(plan) or 'new'}"
    return True, ""


def _delete_version(task: FleetTask, operator: Operator, csv: Object) -> str:
    if csv["metadata"].get("deletionTimestamp"):
        return ""
    if (csv["spec"].get("cleanup") or {}).get("enabled"):
        raise Refused(
            f"{name_of(csv)} has spec.cleanup enabled: deleting it would delete every object of its kinds",
            hint="switch it off in the ClusterServiceVersion, then resume",
        )
    task.alone()
    task.kube.delete(operator.path("clusterserviceversions", name_of(csv)), uid=uid_of(csv))
    task.tell(f"{name_of(csv)} deleted")
    return f"{name_of(csv)} deleted"


def _gone(operator: Operator) -> tuple[bool | None, str]:
    left = operator.versions()
    return (None, f"{name_of(left[0])} is ending") if left else (True, "")


def _anew(task: FleetTask, operator: Operator, moving: Moving) -> str:
    """Delete the Subscription until one without another's status is there; then approve its plan."""
    target, deleted = named(moving.spec, moving.after), set[str]()

    def tried() -> tuple[tuple[Object, str] | None, str]:
        sub = operator.subscription()
        if sub is None or uid_of(sub) in deleted:
            return None, f"Argo CD has not made {operator} anew"
        if other := declares(sub, moving):
            return None, f"{operator}: {other}"
        if _inherited(operator, sub, target):
            return (sub, ""), ""
        done, state = _tried(task, operator, target)
        return ((sub, done), "") if done else (None, state)

    while True:
        sub, done = task.until(tried, f"{moving.component} {moving.after}", SELF_HEAL)
        if done:
            return f"{operator} made anew; {done}" if deleted else done
        why = _inherited(operator, sub, target)
        if len(deleted) > TRIES:
            raise CouldNot(
                f"{operator} was made anew {TRIES} times and still has another's status: {why}",
                hint="delete it, wait a minute, have Argo CD make it anew (operator-lifecycle-manager #3010)",
            )
        if deleted:
            task.tell(f"it took over the status of the one before: {why}")
            time.sleep(min(INHERITED, task.limits.operand_age / 10))
        task.alone()
        task.kube.delete(operator.path("subscriptions", operator.at.name), uid=uid_of(sub))
        deleted.add(uid_of(sub))
        task.tell(f"{operator} deleted")


def _inherited(operator: Operator, sub: Object, target: str) -> str:
    """What of its status is of another version or of a plan that is gone; "" where it is its own, or has none yet."""
    status = status_of(sub)
    for key in ("installedCSV", "currentCSV"):
        if status.get(key) not in (None, "", target):
            return f"{key} is {status[key]}"
    reference = str((status.get("installPlanRef") or {}).get("name") or "")
    return f"InstallPlan {reference} is gone" if reference and operator.plan(sub) is None else ""
