"""The class olm-v0, read: a Subscription asks for a version, a Manual InstallPlan waits, versions go through phases.

`installedCSV`, AtLatestKnown and a plan's Complete may come before the ClusterServiceVersion has succeeded, so each of
them alone proves nothing. What is done (approve, the way back) is in `olm_v0_acts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowngood.adapters.kubernetes.client import Kube, Object
from knowngood.adapters.movers import delivering, olm_ready
from knowngood.adapters.movers.olm_operator import (
    FAILED,
    SUCCEEDED,
    Operator,
    is_approved,
    name_of,
    named,
    names_in,
    owned,
    phase_of,
    status_of,
    troubles,
)
from knowngood.adapters.movers.rollout import ending
from knowngood.model.finding import Finding
from knowngood.model.matrix import Cluster
from knowngood.model.mover import FleetState, Look, Moving
from knowngood.model.node import Leftover

FINAL = frozenset(
    {
        "InterOperatorGroupOwnerConflict",
        "InvalidStrategy",
        "NoOperatorGroup",
        "TooManyOperatorGroups",
        "UnsupportedOperatorGroup",
    }
)
"""Reasons of a Failed version that OLM does not try again by itself; from the others it comes back."""


class OlmV0:
    """Operators that OLM v0 installs, each by the Subscription that declares it."""

    def __init__(self, kube: Kube, cluster: Cluster) -> None:
        self._kube = kube
        self._cluster = cluster

    def state(self, moving: Moving) -> FleetState:
        """What the Subscription asks for and which version has succeeded, alone."""
        operator = Operator.of(self._kube, moving)
        sub = operator.subscription()
        if sub is None:
            return FleetState(trouble=f"there is no {operator}")
        declared = operator.version(str(sub["spec"].get("startingCSV") or ""))
        versions = operator.versions()
        pending = tuple(left.where for left in _stale(operator, moving))
        going = any(map(ending, (sub, *versions)))
        if len(versions) == 1 and phase_of(versions[0]) == SUCCEEDED and not going:
            return FleetState(declared, operator.version(name_of(versions[0])), pending)
        busy = ", ".join(f"{name_of(csv)} is {_phase(csv)}" for csv in versions)
        return FleetState(declared, "", pending, busy, busy or "no version of it is installed")

    def ready(self, moving: Moving, *, undo: bool) -> Sequence[Finding]:
        """See `olm_ready`."""
        operator = Operator.of(self._kube, moving)
        if undo:
            return list(olm_ready.back(operator, moving, self._cluster))
        return list(olm_ready.forth(operator, moving, self._cluster))

    def look(self, moving: Moving) -> Look:
        """Whether the version has succeeded, is alone, and what it brought is there."""
        operator = Operator.of(self._kube, moving)
        target = named(moving.spec, moving.after)
        sub = operator.subscription()
        if sub is None:
            return Look(waiting=f"there is no {operator}")
        plan = operator.plan(sub)
        if plan and phase_of(plan) == FAILED and target in names_in(plan):
            return Look(failed=f"InstallPlan {name_of(plan)} Failed: {status_of(plan).get('message', '')}")
        versions = {name_of(csv): csv for csv in operator.versions()}
        csv = versions.pop(target, None)
        if csv is None:
            why = "; ".join(troubles(sub).values())
            return Look(waiting=f"{target} is not there{': ' if why else ''}{why}")
        if gone := next((one for one in (sub, csv) if ending(one)), None):
            return Look(waiting=f"{name_of(gone)} is being deleted")
        if phase_of(csv) != SUCCEEDED:
            return _on_its_way(csv)
        waits = [f"{name} is still there, {phase_of(left)}" for name, left in sorted(versions.items())]
        if status_of(sub).get("installedCSV") != target:
            waits.append(f"its Subscription has {status_of(sub).get('installedCSV') or 'nothing'} installed")
        waits += [*_deployments(operator, csv), *_definitions(operator, csv)]
        if moving.spec.delivers and not waits:
            spaces = (application.namespace for application in self._cluster.gitops.applications)
            waits += delivering.late(self._kube, spaces, csv)
        return Look(waiting="; ".join(waits)) if waits else Look(done=f"{target} has succeeded")

    def residue(self, moving: Moving) -> Sequence[Leftover]:
        """Plans that wait still and would install a version of this move if somebody approved them now."""
        return list(_stale(Operator.of(self._kube, moving), moving))


def _phase(csv: Object) -> str:
    return "being deleted" if ending(csv) else phase_of(csv) or "new"


def _on_its_way(csv: Object) -> Look:
    status = status_of(csv)
    reason = str(status.get("reason") or "")
    said = f"{name_of(csv)} is {phase_of(csv) or 'new'} ({reason}): {status.get('message', '')}"
    return Look(failed=said) if phase_of(csv) == FAILED and reason in FINAL else Look(waiting=said)


def _deployments(operator: Operator, csv: Object) -> Iterator[str]:
    """Which of its Deployments does not run what the version says, or is not available."""
    there = operator.deployments()
    for wanted in (csv["spec"]["install"].get("spec") or {}).get("deployments") or ():
        name = wanted["name"]
        live = there.get(name)
        if live is None:
            yield f"Deployment {name} is not there"
            continue
        status, spec = status_of(live), live["spec"]
        if ending(live):
            yield f"Deployment {name} is being deleted"
            continue
        least = min(int(wanted["spec"].get("replicas", 1)), 1)
        images = [_images(one["template"]["spec"]) for one in (spec, wanted["spec"])]
        if images[0] != images[1]:
            yield f"Deployment {name} runs other images than the version's"
        if int(spec.get("replicas", 1)) < least:
            yield f"Deployment {name} is scaled to none"
        elif status.get("observedGeneration") != live["metadata"].get("generation"):
            yield f"Deployment {name} is not observed yet"
        elif (
            status.get("updatedReplicas", 0) < spec.get("replicas", 1)
            or status.get("unavailableReplicas")
            or not any(
                c["type"] == "Available" and c["status"] == "True" for c in status.get("conditions") or ()
            )
        ):
            yield f"Deployment {name} is not available"


def _images(pod: Object) -> list[str]:
    return [str(container["image"]) for container in pod["containers"]]


def _definitions(operator: Operator, csv: Object) -> Iterator[str]:
    """Which of its kinds the API server does not serve."""
    for name in owned(csv):
        live = operator.definition(name)
        established = live and any(
            c["type"] == "Established" and c["status"] == "True"
            for c in status_of(live).get("conditions") or ()
        )
        if not established or (live and ending(live)):
            yield f"definition {name} is not served, or is being deleted"


def _stale(operator: Operator, moving: Moving) -> Iterator[Leftover]:
    """Unapproved plans with a version of this move that no channel in use offers as the next one.

    What the Subscription's own channel offers next waits on every cluster with Manual approval, and is no leftover.
    """
    sub = operator.subscription()
    ours = {named(moving.spec, version) for version in (moving.before, moving.after)}
    current = str((status_of(sub).get("installPlanRef") or {}).get("name") or "") if sub else ""
    for plan in operator.plans():
        carried = ours & {*names_in(plan)}
        if is_approved(plan) or not carried:
            continue
        if (
            name_of(plan) == current
            and sub
            and carried <= operator.offered(sub).get(sub["spec"]["channel"], set())
        ):
            continue
        what = f"it would install {', '.join(names_in(plan))}: leave it unapproved, or approve it knowingly"
        yield Leftover("install-plan", f"{operator.at.namespace}/{name_of(plan)}", what)
