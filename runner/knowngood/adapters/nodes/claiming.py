"""What we do to a node object: claim, hold, release, quarantine. Called by our Ansible modules.

Each patch begins with a JSON Patch `test` of the claim, or of the resourceVersion where there is none yet, and is one
patch: a node is never half claimed. Whoever lost the claim finds its `test` failing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from knowngood.adapters.clock import pause, timestamp
from knowngood.adapters.cluster import actors, facts, node_state, redfish
from knowngood.adapters.kubernetes.client import ApiError, Object, path
from knowngood.adapters.nodes.batch import SEEN, ClaimLost, NodeFailed, NotTold, Task, fence_number
from knowngood.model import names
from knowngood.model.errors import Unreachable
from knowngood.model.jsonable import to_json
from knowngood.model.node import NodeState
from knowngood.model.text import printable

GPU_DOMAIN, PLUGIN = "nvidia.com/", "nvidia-device-plugin-daemonset"
PATCH_TRIES = 20
"""A node's status is written by others all the time; each patch that meets one of those is built anew."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a node object should be. An annotation of None goes away; of labels only those are changed that it names."""

    taints: Sequence[Object]
    unschedulable: bool
    annotations: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str | None] = field(default_factory=dict)


def change(
    task: Task, name: str, want: Callable[[Object], Wanted | None], seen: Object | None = None
) -> bool:
    """Bring a node to what `want` asks, conditionally on its claim; False if it is so already.

    `want` sees the node as it is, again after each conflict, and raises where we must not touch it. `seen`: the node
    where it was read just now.
    """
    for attempt in range(PATCH_TRIES):
        node = (seen or task.node(name)) if attempt == 0 else task.alone(name)
        wanted = want(node)
        operations = _operations(node, wanted) if wanted else []
        if not operations:
            return attempt > 0
        try:
            task.kube.patch(path("v1", "nodes", name), operations)
        except ApiError as error:
            if not error.conflict:
                raise
            time.sleep(pause(attempt / 2, 1.0))
        else:
            return True
    raise NotTold(f"its object changed {PATCH_TRIES} times while we tried to patch it")


def _operations(node: Object, wanted: Wanted) -> list[Object]:
    """The JSON Patch from a node to what is wanted, its tests first; empty if nothing differs."""
    held = actors.annotation(node, names.CLAIM_ANNOTATION)
    before = actors.taints(node)
    operations: list[Object] = []
    if list(wanted.taints) != before:
        if "taints" in node["spec"]:
            operations.append({"op": "test", "path": "/spec/taints", "value": before})
        if wanted.taints:
            operations.append({"op": "add", "path": "/spec/taints", "value": list(wanted.taints)})
        else:
            operations.append({"op": "remove", "path": "/spec/taints"})
    if wanted.unschedulable != bool(node["spec"].get("unschedulable")):
        if wanted.unschedulable:
            operations.append({"op": "add", "path": "/spec/unschedulable", "value": True})
        else:
            operations.append({"op": "remove", "path": "/spec/unschedulable"})
    operations += _keyed(node, "annotations", wanted.annotations)
    operations += _keyed(node, "labels", wanted.labels)
    if not operations:
        return []
    version = {
        "op": "test",
        "path": "/metadata/resourceVersion",
        "value": node["metadata"]["resourceVersion"],
    }
    claim = {"op": "test", "path": _pointer(names.CLAIM_ANNOTATION), "value": held}
    return [claim if held else version, *operations]


def _keyed(node: Object, part: str, wanted: Mapping[str, str | None]) -> list[Object]:
    """Annotations or labels."""
    present = node["metadata"].get(part)
    operations: list[Object] = []
    if present is None and any(wanted.values()):
        operations.append({"op": "add", "path": f"/metadata/{part}", "value": {}})
    for key, value in wanted.items():
        if value is None and key in (present or {}):
            operations.append({"op": "remove", "path": _pointer(key, part)})
        elif value is not None and (present or {}).get(key) != value:
            operations.append({"op": "add", "path": _pointer(key, part), "value": value})
    return operations


def _pointer(key: str, part: str = "annotations") -> str:
    return f"/metadata/{part}/" + key.replace("~", "~0").replace("/", "~1")


def _taint(key: str, run: str) -> Object:
    return {"key": key, "value": run, "effect": "NoSchedule"}


def _with(node: Object, key: str, run: str, *, without: Sequence[str] = ()) -> list[Object]:
    """The node's taints with one of ours, and without some."""
    kept = [t for t in actors.taints(node) if t["key"] not in (key, *without)]
    ours = next((t for t in actors.taints(node) if t["key"] == key and t.get("value") == run), None)
    if ours is not None:
        return [t for t in actors.taints(node) if t["key"] not in without]
    return [*kept, _taint(key, run)]


class Restarting(NotTold):
    """What the node offers can't be remembered now: its device plugin is there and offers nothing."""


def claim(task: Task, name: str, *, patient: bool = False) -> tuple[bool, Object]:
    """Claim a quiet node: snapshot, claim, taint and cordon in one patch. Our run's older fence is replaced.

    A node that is newly ours was measured for its snapshot, right before: the judgement's window opens there.
    `patient`: a device plugin that seems to restart is waited for (Restarting); else nothing is remembered of it.
    """
    seen: list[NodeState] = []

    def snapshot(node: Object, *, unschedulable: bool) -> str:
        seen[:] = [_measured(task, node)]
        return _snapshot(node, seen[0], unschedulable=unschedulable)

    def want(node: Object) -> Wanted:
        holder = actors.annotation(node, names.CLAIM_ANNOTATION)
        if not holder:
            task.refuse_overtaken()
        fresh: dict[str, str | None] = {names.CLAIM_ANNOTATION: task.fence}
        if holder.rpartition("/")[0] == task.run:
            if fence_number(holder) > fence_number(task.fence):
                raise task.lost(holder)
        elif not holder and _quarantined_by(
            node, task.run
        ):  # a held run that is rolled back: the cordon is ours
            fresh[names.REASON_ANNOTATION] = None
            before = bool(actors.marks(node).cordoned_before)
            fresh[names.SNAPSHOT_ANNOTATION] = snapshot(node, unschedulable=before)
        elif reason := actors.busy(node, task.fence):
            raise NotTold(reason)
        elif patient and _restarts(task, node):
            raise Restarting("its device plugin offers no GPU, as one that restarts")
        else:
            cordoned = bool(node["spec"].get("unschedulable"))
            fresh[names.SNAPSHOT_ANNOTATION] = snapshot(node, unschedulable=cordoned)
        without = (names.QUARANTINE_TAINT,) if _quarantined_by(node, task.run) else ()
        taints = _with(node, names.MAINTENANCE_TAINT, task.run, without=without)
        return Wanted(taints, unschedulable=True, annotations=fresh)

    changed = change(task, name, want)
    found = {SEEN: seen[0]} if seen and seen[0].reachable else {}
    return changed, {"claim": task.fence, **found}


def _restarts(task: Task, node: Object) -> bool:
    """Whether the operator's device plugin belongs on the node, and the kubelet has nothing of it."""
    offered = _remembered(node)
    if any(resource.startswith(GPU_DOMAIN) for resource in offered):
        return False
    return any(d["metadata"]["name"] == PLUGIN and facts.selects(d, node) for d in task.view.daemonsets())


def _remembered(node: Object) -> dict[str, str]:
    """What a node offers of extended resources; 0 is not kept: a plugin that restarts says so, too."""
    offered = facts.extended((node.get("status") or {}).get("allocatable") or {})
    return {resource: amount for resource, amount in offered.items() if amount != "0"}


def _quarantined_by(node: Object, run: str) -> bool:
    return any(t["key"] == names.QUARANTINE_TAINT and t.get("value") == run for t in actors.taints(node))


def _measured(task: Task, node: Object) -> NodeState:
    """The node's boot, uptime, load and versions; a node that runs no driver tells what its kernel log says."""
    name = str(node["metadata"]["name"])
    drivers = dict.fromkeys(((facts.DRIVER_LABEL, task.gpu_operator), *task.drivers))
    pods = [pod for label, namespace in drivers for pod in task.view.labelled(name, label, namespace)]
    by = node_state.reading(task.kube, redfish.running(task.bmcs))
    found = node_state.measure(by, node, pods, task.specs, gpu=True)
    if not found.boot_id:
        raise Unreachable(f"{name} can't be read: {found.trouble}")
    return NodeState(
        name,
        reachable=found.reachable,
        boot_id=found.boot_id,
        uptime_seconds=found.uptime_seconds,
        marks=found.marks,
        versions=found.versions,
    )


def _snapshot(node: Object, seen: NodeState, *, unschedulable: bool) -> str:
    """What release puts back (`unschedulable`) and what apply compares with, as the annotation's JSON."""
    snapshot = {
        "unschedulable": unschedulable,
        "allocatable": _remembered(node),
        "marks": to_json(seen.marks),
        "time": timestamp(),
    }
    return json.dumps(snapshot, sort_keys=True)


def is_ours(task: Task, name: str) -> bool:
    """Whether this run has claimed the node, under whatever fence, or quarantined it."""
    node = task.node(name)
    holder = actors.annotation(node, names.CLAIM_ANNOTATION).rpartition("/")[0]
    return holder == task.run or (not holder and _quarantined_by(node, task.run))


def hold(task: Task, name: str, seen: Object | None = None, *, cordoned: bool | None = True) -> bool:
    """Put our cordon and taint back where somebody took them off (driver-manager uncordons); whether it had to.

    `seen`: see `change`. `cordoned` False: held by the taint alone, since somebody else schedules there; None: whatever
    cordon there is stays.
    """

    def want(node: Object) -> Wanted:
        if (holder := actors.annotation(node, names.CLAIM_ANNOTATION)) != task.fence:
            raise task.lost(holder)
        as_it_is = bool(node["spec"].get("unschedulable"))
        taints = _with(node, names.MAINTENANCE_TAINT, task.run)
        return Wanted(taints, unschedulable=as_it_is if cordoned is None else cordoned)

    return change(task, name, want, seen)


def label(task: Task, name: str, key: str, value: str) -> bool:
    """Write a label of a node that is ours; whether it was otherwise. Taints, cordon and annotations stay."""

    def want(node: Object) -> Wanted:
        if (holder := actors.annotation(node, names.CLAIM_ANNOTATION)) != task.fence:
            raise task.lost(holder)
        as_it_is = bool(node["spec"].get("unschedulable"))
        return Wanted(actors.taints(node), as_it_is, labels={key: value})

    return change(task, name, want)


def note(task: Task, name: str, key: str, value: str | None) -> bool:
    """Write an annotation of a node that is ours, or take it off; whether it was otherwise. All else stays."""

    def want(node: Object) -> Wanted:
        if (holder := actors.annotation(node, names.CLAIM_ANNOTATION)) != task.fence:
            raise task.lost(holder)
        as_it_is = bool(node["spec"].get("unschedulable"))
        return Wanted(actors.taints(node), as_it_is, annotations={key: value})

    return change(task, name, want)


def release(task: Task, name: str) -> tuple[bool, Object]:
    """Put back what the snapshot says; taint, claim and snapshot go.

    A node with nothing of ours was released before. One whose claim somebody removed while our taint stays is not.
    NotTold where a flash was begun of which no end was seen: tenants would be there when it comes.
    """

    def want(node: Object) -> Wanted | None:
        holder = actors.annotation(node, names.CLAIM_ANNOTATION)
        if not holder:
            marks = actors.marks(node)
            if marks.quarantine:
                raise NodeFailed("it is quarantined: only a human gives it back")
            if marks.maintenance == task.run or marks.snapshot or marks.cordoned:
                raise ClaimLost("its claim is gone, but taint, snapshot or cordon stay")
            return None
        if holder != task.fence:
            raise task.lost(holder)
        taints = [t for t in actors.taints(node) if t["key"] != names.MAINTENANCE_TAINT]
        if any(t["key"] == names.QUARANTINE_TAINT for t in taints):
            raise NodeFailed("it is quarantined: only a human gives it back")
        if coming := actors.flash_to_come(node):
            raise NotTold(coming)
        before = bool(task.snapshot(node).get("unschedulable"))
        gone = dict.fromkeys((names.CLAIM_ANNOTATION, names.SNAPSHOT_ANNOTATION))
        return Wanted(taints, before, gone)

    return change(task, name, want), {}


def quarantine(task: Task, name: str) -> tuple[bool, Object]:
    """Taint and cordon a node for a human; the claim and the maintenance taint go."""

    def want(node: Object) -> Wanted:
        holder = actors.annotation(node, names.CLAIM_ANNOTATION)
        if holder and holder != task.fence:
            raise task.lost(holder)
        if not holder:
            task.refuse_overtaken()
        gone: dict[str, str | None] = dict.fromkeys((names.CLAIM_ANNOTATION, names.SNAPSHOT_ANNOTATION))
        marks = actors.marks(node)
        if marks.cordoned and not marks.any:
            # Somebody's own cordon: whoever gives the node back must leave it.
            gone[names.SNAPSHOT_ANNOTATION] = json.dumps({"unschedulable": True})
        elif marks.quarantine:
            del gone[names.SNAPSHOT_ANNOTATION]
        why = {names.REASON_ANNOTATION: printable(task.reasons.get(name, ""), 500)}
        taints = _with(node, names.QUARANTINE_TAINT, task.run, without=(names.MAINTENANCE_TAINT,))
        return Wanted(taints, unschedulable=True, annotations={**why, **gone})

    return change(task, name, want), {}
