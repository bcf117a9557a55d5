"""What we do to a node object: claim, hold, release, quarantine. Called by our Ansible modules.

Each patch begins with a JSON Patch `test` of the claim, or of the resourceVersion where there is none yet, and is one
patch: a node is never half claimed. Whoever lost the claim finds its `test` failing.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from knowngood.adapters.clock import pause, timestamp
from knowngood.adapters.cluster import actors, facts
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.adapters.nodes.view import View
from knowngood.model import names
from knowngood.model.errors import KnowngoodError
from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Limits, Tenant
from knowngood.model.text import printable

PATCH_TRIES = 20
"""A node's status is written by others all the time; each patch that meets one of those is built anew."""
WORKERS = 64
"""Nodes done at the same time: most of the time they are waited for, all of them by the same readings."""


class NodeFailed(Exception):
    """What was asked can't be done on this node; the message says why."""


class NotTold(NodeFailed):
    """It could not be told, or others stand in the way: nothing that speaks against the node or the version."""


class ClaimLost(NodeFailed):
    """The node's claim is not ours any more: stop touching it. That alone says nothing about who holds the cluster."""


class Overtaken(ClaimLost):
    """The node's claim is a newer Lease's: somebody else runs."""


class GivenBack(Exception):
    """A tenant's budget did not let us drain; cordon, taint and claim are off again."""


@dataclass(frozen=True)
class Task:
    """What every action gets. `fence` is our claim's value; `tell(node, text)` reports progress."""

    kube: Kube
    fence: str
    limits: Limits
    tenants: tuple[Tenant, ...] = ()
    operators: tuple[str, ...] = ("nvidia-gpu-operator", "nvidia-network-operator")
    expect: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)  # of a quarantine, by node
    keep: bool = False  # a node that can't be drained stays ours
    dry_run: bool = False
    tell: Callable[[str, str], None] = lambda _node, _text: None
    batch: tuple[str, ...] = ()  # the nodes that are done at the same time

    @cached_property
    def view(self) -> View:
        """The nodes as they are; one for all of a batch, see `each`."""
        return View(self.kube, self.batch, self.gpu_operator)

    @property
    def gpu_operator(self) -> str:
        """The namespace of the GPU operator, where the driver pods are."""
        return self.operators[0]

    @property
    def run(self) -> str:
        """The run's id."""
        return self.fence.rpartition("/")[0]

    def node(self, name: str) -> Object:
        """The node object; NodeFailed where there is none."""
        return _there(self.view.node(name))

    def held(self, name: str) -> Object:
        """The node object, if its claim is ours; ClaimLost otherwise."""
        return self._ours(self.node(name))

    def ours(self, name: str) -> Object:
        """As `held`, by a reading of its own: asked right before what no patch of the node can make conditional."""
        return self._ours(self.alone(name))

    def alone(self, name: str) -> Object:
        """The node object, by a reading of its own."""
        return _there(self.kube.find(path("v1", "nodes", name)))

    def _ours(self, node: Object) -> Object:
        holder = actors.annotation(node, names.CLAIM_ANNOTATION)
        if holder != self.fence:
            raise self.lost(holder)
        return node

    def lost(self, holder: str) -> ClaimLost:
        """What to raise where the claim is not ours: fences only grow, so a larger one is a newer Lease's."""
        if _number(holder) > _number(self.fence):
            return Overtaken(f"its claim is {holder}: a newer Lease's than {self.fence}")
        return ClaimLost(f"its claim is {holder or 'gone'}, not {self.fence}")

    def refuse_overtaken(self) -> None:
        """Overtaken where the Lease counts further than our fence: asked before a node is touched that has no claim.

        Such a node has nothing of ours to test: a runner that slept would take what another has given back.
        """
        lease = self.view.lease()
        if int((lease.get("spec") or {}).get("leaseTransitions") or 0) > _number(self.fence):
            raise Overtaken(f"the Lease was taken over: it counts further than {self.fence}")

    def snapshot(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """What the node was like when this run claimed it."""
        text = actors.annotation(node, names.SNAPSHOT_ANNOTATION)
        try:
            return dict(json.loads(text))
        except (ValueError, TypeError) as error:
            raise NodeFailed(f"annotation {names.SNAPSHOT_ANNOTATION} is missing or unreadable") from error


def _there(node: Object | None) -> Object:
    if node is None:
        raise NodeFailed("there is no such node")
    return node


@dataclass(slots=True)
class Report:
    """What became of each node of a batch; the Ansible module's result."""

    changed: bool = False
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)  # those of `failed` whose claim is a newer Lease's
    could_not: list[str] = field(default_factory=list)  # those of `failed` that say nothing of the node
    stripped: list[str] = field(default_factory=list)  # those of `failed` whose claim somebody removed
    given_back: dict[str, str] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


Action = Callable[[Task, str], tuple[bool, dict[str, Any]]]
"""Does one node; returns whether it changed anything, and small JSON about it."""


def each(task: Task, nodes: Sequence[str], action: Action) -> Report:
    """Do an action on all nodes of a batch at the same time."""
    report, lock = Report(), threading.Lock()
    task = replace(task, batch=tuple(nodes))

    def one(name: str) -> None:
        began = time.monotonic()
        try:
            changed, detail = action(task, name)
        except GivenBack as error:
            with lock:
                report.changed = True
                report.given_back[name] = str(error)
        except (NodeFailed, KnowngoodError) as error:
            with lock:
                report.failed[name] = str(error)
                if isinstance(error, Overtaken):
                    report.lost.append(name)
                elif isinstance(error, ClaimLost):
                    report.stripped.append(name)
                elif isinstance(error, (NotTold, KnowngoodError)):
                    report.could_not.append(name)
        else:
            with lock:
                report.changed |= changed
                report.done.append(name)
                report.detail[name] = {**detail, "seconds": round(time.monotonic() - began, 3)}

    with ThreadPoolExecutor(max_workers=max(1, min(len(nodes), WORKERS))) as pool:
        for result in [pool.submit(one, name) for name in dict.fromkeys(nodes)]:
            result.result()
    report.done = [name for name in nodes if name in report.done]
    return report


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a node object should be. An annotation of None goes away."""

    taints: Sequence[Object]
    unschedulable: bool
    annotations: Mapping[str, str | None] = field(default_factory=dict)


def change(task: Task, name: str, want: Callable[[Object], Wanted | None]) -> bool:
    """Bring a node to what `want` asks, conditionally on its claim; False if it is so already.

    `want` sees the node as it is, again after each conflict, and raises where we must not touch it.
    """
    for attempt in range(PATCH_TRIES):
        node = task.node(name) if attempt == 0 else task.alone(name)
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
    operations += _annotate(node, wanted.annotations)
    if not operations:
        return []
    version = {
        "op": "test",
        "path": "/metadata/resourceVersion",
        "value": node["metadata"]["resourceVersion"],
    }
    claim = {"op": "test", "path": _pointer(names.CLAIM_ANNOTATION), "value": held}
    return [claim if held else version, *operations]


def _annotate(node: Object, wanted: Mapping[str, str | None]) -> list[Object]:
    present = node["metadata"].get("annotations")
    operations: list[Object] = []
    if present is None and any(wanted.values()):
        operations.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    for key, value in wanted.items():
        if value is None and key in (present or {}):
            operations.append({"op": "remove", "path": _pointer(key)})
        elif value is not None and (present or {}).get(key) != value:
            operations.append({"op": "add", "path": _pointer(key), "value": value})
    return operations


def _pointer(annotation: str) -> str:
    return "/metadata/annotations/" + annotation.replace("~", "~0").replace("/", "~1")


def _taint(key: str, run: str) -> Object:
    return {"key": key, "value": run, "effect": "NoSchedule"}


def _with(node: Object, key: str, run: str, *, without: Sequence[str] = ()) -> list[Object]:
    """The node's taints with one of ours, and without some."""
    kept = [t for t in actors.taints(node) if t["key"] not in (key, *without)]
    ours = next((t for t in actors.taints(node) if t["key"] == key and t.get("value") == run), None)
    if ours is not None:
        return [t for t in actors.taints(node) if t["key"] not in without]
    return [*kept, _taint(key, run)]


def claim(task: Task, name: str) -> tuple[bool, dict[str, Any]]:
    """Claim a quiet node: snapshot, claim, taint and cordon in one patch. Our run's older fence is replaced."""

    def want(node: Object) -> Wanted:
        holder = actors.annotation(node, names.CLAIM_ANNOTATION)
        if not holder:
            task.refuse_overtaken()
        fresh: dict[str, str | None] = {names.CLAIM_ANNOTATION: task.fence}
        if holder.rpartition("/")[0] == task.run:
            if _number(holder) > _number(task.fence):
                raise task.lost(holder)
        elif _quarantined_by(node, task.run):  # a held run that is rolled back: the cordon is ours
            fresh[names.REASON_ANNOTATION] = None
            before = bool(actors.marks(node).cordoned_before)
            fresh[names.SNAPSHOT_ANNOTATION] = _snapshot(task, node, unschedulable=before)
        elif reason := actors.busy(node, task.fence):
            raise NotTold(reason)
        else:
            cordoned = bool(node["spec"].get("unschedulable"))
            fresh[names.SNAPSHOT_ANNOTATION] = _snapshot(task, node, unschedulable=cordoned)
        without = (names.QUARANTINE_TAINT,) if _quarantined_by(node, task.run) else ()
        taints = _with(node, names.MAINTENANCE_TAINT, task.run, without=without)
        return Wanted(taints, unschedulable=True, annotations=fresh)

    changed = change(task, name, want)
    return changed, {"claim": task.fence}


def _number(claim_value: str) -> int:
    tail = claim_value.rpartition("/")[2]
    return int(tail) if tail.isdecimal() else -1


def _quarantined_by(node: Object, run: str) -> bool:
    return any(t["key"] == names.QUARANTINE_TAINT and t.get("value") == run for t in actors.taints(node))


def _snapshot(task: Task, node: Object, *, unschedulable: bool) -> str:
    """What release puts back (`unschedulable`) and what apply compares with, as the annotation's JSON."""
    load = facts.module_load(task.kube, node["metadata"]["name"])
    snapshot = {
        "unschedulable": unschedulable,
        "allocatable": facts.extended((node.get("status") or {}).get("allocatable") or {}),
        "load": to_json(load),
        "time": timestamp(),
    }
    return json.dumps(snapshot, sort_keys=True)


def is_ours(task: Task, name: str) -> bool:
    """Whether this run has claimed the node, under whatever fence, or quarantined it."""
    node = task.node(name)
    holder = actors.annotation(node, names.CLAIM_ANNOTATION).rpartition("/")[0]
    return holder == task.run or (not holder and _quarantined_by(node, task.run))


def hold(task: Task, name: str) -> bool:
    """Put our cordon and taint back where somebody took them off (driver-manager uncordons); whether it had to."""

    def want(node: Object) -> Wanted:
        if (holder := actors.annotation(node, names.CLAIM_ANNOTATION)) != task.fence:
            raise task.lost(holder)
        return Wanted(_with(node, names.MAINTENANCE_TAINT, task.run), unschedulable=True)

    return change(task, name, want)


def release(task: Task, name: str) -> tuple[bool, dict[str, Any]]:
    """Put back what the snapshot says; taint, claim and snapshot go.

    A node with nothing of ours was released before. One whose claim somebody removed while our taint stays is not.
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
        before = bool(task.snapshot(node).get("unschedulable"))
        gone = dict.fromkeys((names.CLAIM_ANNOTATION, names.SNAPSHOT_ANNOTATION))
        return Wanted(taints, before, gone)

    return change(task, name, want), {}


def quarantine(task: Task, name: str) -> tuple[bool, dict[str, Any]]:
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
