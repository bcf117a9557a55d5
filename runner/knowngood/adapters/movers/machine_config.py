"""The class machine-config: the pool of a drained node is let go, and its operator boots the node into the new config.

A node is held by the taint alone for that time: the operator skips every cordoned node and counts it as one that is
out. It cordons, drains by force and uncordons the node itself, so whoever has a budget must be gone before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from knowngood.adapters.cluster import actors, facts, held
from knowngood.adapters.cluster.actors import MCO_CURRENT, MCO_DESIRED, MCO_STATE, annotation
from knowngood.adapters.kubernetes.client import ApiError, Object, path
from knowngood.adapters.movers import pools
from knowngood.adapters.movers.base import Arrived, Turn
from knowngood.adapters.movers.boots import boot_of
from knowngood.adapters.movers.pools import Pool
from knowngood.adapters.movers.watch import NOT_READY, Watch
from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import NodeFailed, NotTold, Task
from knowngood.model import names
from knowngood.model.mover import Mark, Moving
from knowngood.planner.eviction import Action, decide
from knowngood.planner.holding import pool_of
from knowngood.planner.version import TEXT, runs

MCO_REASON = "machineconfiguration.openshift.io/reason"
GAVE_UP = frozenset({"Degraded", "Unreconcilable"})
DONE = "Done"
KERNEL_LABEL = "feature.node.kubernetes.io/kernel-version.full"
BUILD_LABEL = "feature.node.kubernetes.io/system-os_release.OSTREE_VERSION"
TRIES = 5


def apply(task: Task, name: str, turn: Turn) -> Arrived:
    """Let the node's pool go, unless the node has its config, and wait until it is booted into it."""
    (moving,) = turn.moves
    node, pool = task.held(name), _pool(task, name)
    others = -(-pool.count // pool.most) - 1  # the operator takes so many before it, each with its own boot
    watch = Watch(task, name, turn.ends_at + task.limits.apply * others, cordoned=False)
    due = not _has(node, pool)
    if due and not _at_work(node):
        claiming.hold(task, name, node, cordoned=False)
    if due:
        _let_go(task, name, moving.spec.users)

    def look() -> tuple[Mapping[str, Mark] | None, str]:
        return _look(task, name, watch.node, moving)

    marks = watch.until(look, "the new config", later=due, age=task.limits.apply * others)
    return Arrived(due, watch.held, marks)


def _look(task: Task, name: str, node: Object, moving: Moving) -> tuple[Mapping[str, Mark] | None, str]:
    """Its config is the pool's, and so is the kernel that it runs."""
    state = annotation(node, MCO_STATE)
    if state in GAVE_UP:
        raise NodeFailed(
            f"its machine-config daemon says {state}: {annotation(node, MCO_REASON) or 'no why'}"
        )
    if not facts.node_ready(node):
        return None, NOT_READY
    pool = _pool(task, name)
    if not _has(node, pool):
        if pool.paused:
            return None, f"pool {pool.name} is paused: it does not move on"
        return None, f"its config is not pool {pool.name}'s yet ({state or 'no state'})"
    kernel = str((node["status"].get("nodeInfo") or {}).get("kernelVersion") or "")
    if not runs(moving.spec.scheme or TEXT, moving.after, kernel):
        return None, f"it runs {moving.component} {kernel or 'of no version'}, not {moving.after}"
    if late := _late(node):
        return None, late
    return {moving.component: Mark(kernel, boot_of(node), 0.0, pool.config)}, ""


def _late(node: Object) -> str:
    """What NFD has not looked at since the boot: by its labels the drivers' pods are made, and made anew."""
    labels, info = node["metadata"].get("labels") or {}, node["status"]["nodeInfo"]
    kernel, build = labels.get(KERNEL_LABEL), labels.get(BUILD_LABEL)
    if kernel and kernel != info["kernelVersion"]:
        return f"its labels still say kernel {kernel}"
    if build and build not in str(info.get("osImage")):
        return f"its labels still say build {build}"
    return ""


def _at_work(node: Object) -> bool:
    """Whether the operator has begun with it: the cordon is its own then."""
    return annotation(node, MCO_CURRENT) != annotation(node, MCO_DESIRED)


def _has(node: Object, pool: Pool) -> bool:
    current, desired = annotation(node, MCO_CURRENT), annotation(node, MCO_DESIRED)
    return current == desired == pool.config and annotation(node, MCO_STATE) == DONE


def _object(task: Task, name: str) -> Object:
    found = pools.objects(task.kube)
    selectors = {str(p["metadata"]["name"]): (p.get("spec") or {}).get("nodeSelector") or {} for p in found}
    which = pool_of(selectors, task.node(name)["metadata"].get("labels") or {})
    pool = next((p for p in found if p["metadata"]["name"] == which), None)
    if pool is None:
        raise NotTold("it belongs to no MachineConfigPool")
    return pool


def _pool(task: Task, name: str) -> Pool:
    """Its pool. NotTold where the operator has not counted the node into it yet: what it says is of other nodes."""
    pool = Pool.of(_object(task, name))
    if not pool.count:
        raise NotTold(f"pool {pool.name} counts no node, so what it says is not of this one")
    return pool


def _refuse_in_use(task: Task, pool: Object, users: Collection[str]) -> None:
    """NotTold where letting the pool go would boot a node that this run has not taken out of service and drained.

    A budget may have kept one of the batch, which was given back then; and the operator's own drain deletes by force.
    """
    nodes = {n["metadata"]["name"]: n for n in task.kube.list(path("v1", "nodes"), keep=_slim)}
    its = Pool.of(pool)
    its_nodes = pools.members(pools.objects(task.kube), nodes.values()).get(its.name, ())
    if not its_nodes:
        raise NotTold(f"pool {its.name} is not let go: which nodes it would boot can't be told")
    if in_use := [why for name in its_nodes if (why := _in_use(task, nodes[name], its, users))]:
        raise NotTold(f"pool {its.name} is not let go: it would boot {'; '.join(in_use)}")


def _in_use(task: Task, node: Object, pool: Pool, users: Collection[str]) -> str:
    """Why a node must not boot now; "" where it may: it is ours and drained.

    Nor does one boot that has the config already, or is quarantined: the operator skips a cordoned node.
    """
    name, marks = str(node["metadata"]["name"]), actors.marks(node)
    if _has(node, pool) or (marks.quarantine and marks.cordoned):
        return ""
    if not (marks.claim and marks.run == task.run):
        return f"{name}, which is not out of service by this run"
    left = ", ".join(_at_work_on(task, name, users))
    return f"{name}, on which {left} is still at work" if left else ""


def _at_work_on(task: Task, name: str, users: Collection[str]) -> Iterator[str]:
    """The pods that a drain would have taken off the node."""
    pods = facts.pods_of_node(task.kube, name)
    for one in decide(pods, task.tenants, task.operators, task.limits.drain, users):
        if one.action is not Action.SKIP:
            yield f"{one.namespace}/{one.name}"


def _slim(node: Object) -> Object:
    metadata, spec = node["metadata"], node.get("spec") or {}
    return {
        "metadata": {key: metadata.get(key) for key in ("name", "labels", "annotations")},
        "spec": {key: spec.get(key) for key in ("taints", "unschedulable")},
    }


def _let_go(task: Task, name: str, users: Collection[str]) -> None:
    """Unpause the node's pool, which this run holds: the mark stays and says that it rolls by our doing.

    One that nobody paused rolls already; one that somebody else paused is not ours to unpause.
    """
    for _ in range(TRIES):
        found = _object(task, name)
        if not (found.get("spec") or {}).get("paused"):
            return
        hold = held.term(found)
        if hold is None or hold.run != task.run:
            raise NotTold(f"pool {found['metadata']['name']} is paused by somebody else, not by this run")
        task.held(name)
        _refuse_in_use(task, found, users)
        metadata = {
            "resourceVersion": found["metadata"]["resourceVersion"],
            "annotations": {names.ROLLS_ANNOTATION: task.run},
        }
        where = held.POOL.where(str(found["metadata"]["name"]))
        try:
            task.kube.merge(where, {"metadata": metadata, "spec": {"paused": False}})
        except ApiError as error:
            if error.code != 409:
                raise
        else:
            task.tell(name, f"pool {found['metadata']['name']} goes on")
            return
    raise NotTold(f"the pool changed {TRIES} times while we tried to let it go")
