"""What the machine-config operator sees in nodes and pools, and what follows from it. Pure.

A node that anybody cordoned counts as unavailable: it uses up maxUnavailable, and while it does nobody else moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from knowngood.twin.behaviours.kube import (
    Kind,
    annotations_of,
    condition,
    is_true,
    labels_of,
    merge_conditions,
    name_of,
)
from knowngood.twin.values import Object

GROUP = "machineconfiguration.openshift.io"
POOL: Kind = (f"{GROUP}/v1", "MachineConfigPool")
CONFIG: Kind = (f"{GROUP}/v1", "MachineConfig")
CURRENT, DESIRED, STATE = f"{GROUP}/currentConfig", f"{GROUP}/desiredConfig", f"{GROUP}/state"
REASON = f"{GROUP}/reason"
RELEASE = f"{GROUP}/release-image-version"
"""On a rendered config: of which OpenShift version it is."""
REQUIRED = f"operator.{GROUP}/required-for-upgrade"
DRAIN, DRAINED = f"{GROUP}/desiredDrain", f"{GROUP}/lastAppliedDrain"
DONE, WORKING = "Done", "Working"
BROKEN = {"Degraded", "Unreconcilable"}
TAINT: Object = {"key": "UpdateInProgress", "effect": "PreferNoSchedule"}
ZONE = "topology.kubernetes.io/zone"
ROLE = "node-role.kubernetes.io"


def pool_of(node: Object, pools: Iterable[Object]) -> str:
    """The one pool that a node belongs to: the control plane's, else a custom one, else worker; "" for none."""
    found = [name_of(pool) for pool in pools if _selects(pool, node)]
    custom = sorted(name for name in found if name not in {"master", "worker"})
    for name in ("master", *custom, "worker"):
        if name in found:
            return name
    return ""


def _selects(pool: Object, node: Object) -> bool:
    wanted = (pool["spec"].get("nodeSelector") or {}).get("matchLabels") or {}
    labels = labels_of(node)
    return bool(wanted) and all(labels.get(name) == value for name, value in wanted.items())


def target(pool: Object) -> str:
    """The rendered config that a pool's nodes should have."""
    return str((pool["spec"].get("configuration") or {}).get("name", ""))


def is_required(pool: Object) -> bool:
    """Whether an update of OpenShift waits for it: those are the control plane's."""
    return REQUIRED in labels_of(pool)


def is_target(node: Object, pool: Object) -> bool:
    """Whether the node was told already."""
    return annotations_of(node).get(DESIRED) == target(pool)


def is_done(node: Object) -> bool:
    """Whether a node has what it was told, and rests."""
    said = annotations_of(node)
    return said.get(STATE) == DONE and said.get(CURRENT) == said.get(DESIRED)


def is_ready(node: Object) -> bool:
    """Whether the operator counts it as one that works: a cordon, whoever set it, is a no."""
    return is_true(node, "Ready") and not node["spec"].get("unschedulable")


def is_broken(node: Object) -> bool:
    """Whether its daemon gave up."""
    return annotations_of(node).get(STATE) in BROKEN


def is_unavailable(node: Object) -> bool:
    """Whether it counts against maxUnavailable."""
    return not is_ready(node) or not (is_done(node) or is_broken(node))


def tainted(node: Object) -> bool:
    """Whether it carries the mark of a node that is to be updated."""
    return any(taint["key"] == TAINT["key"] for taint in node["spec"].get("taints") or ())


def allowed_out(pool: Object, count: int) -> int:
    """MaxUnavailable as a number; 1 where nothing is said, and never none."""
    said = pool["spec"].get("maxUnavailable", 1)
    if isinstance(said, str) and said.endswith("%"):
        said = count * int(said[:-1]) // 100
    return max(int(said), 1)


def candidates(pool: Object, nodes: Sequence[Object]) -> list[Object]:
    """The nodes to tell now: zone by zone, the oldest first, as many as may be out. A cordoned one is skipped."""
    if all(is_target(node, pool) for node in nodes):
        return []
    room = allowed_out(pool, len(nodes)) - sum(map(is_unavailable, nodes))
    room -= sum(is_broken(node) and is_target(node, pool) for node in nodes)
    waiting = [node for node in nodes if not is_target(node, pool) and is_ready(node)]
    return sorted(waiting, key=_turn)[: max(room, 0)]


def _turn(node: Object) -> tuple[bool, str, str, str]:
    zone = labels_of(node).get(ZONE, "")
    return not zone, zone, str(node["metadata"].get("creationTimestamp", "")), name_of(node)


def status_of(pool: Object, nodes: Sequence[Object]) -> Object:
    """A pool's status. A paused one says that it is not updating, even while a node of it is."""
    counts = _counts(pool, nodes)
    total, config = counts["machineCount"], f"MachineConfig {target(pool)}"
    if counts["readyMachineCount"] == total and not counts["unavailableMachineCount"]:
        said = [_said("Updated", "True", f"All nodes are updated with {config}"), _said("Updating", "False")]
        counts["configuration"] = pool["spec"].get("configuration") or {}
    elif pool["spec"].get("paused"):
        paused = f"Pool is paused; will not update to {config}"
        said = [_said("Updated", "False"), _said("Updating", "False", paused)]
    else:
        said = [_said("Updated", "False"), _said("Updating", "True", f"All nodes are updating to {config}")]
    broken = counts["degradedMachineCount"]
    why = f"{broken} nodes are reporting degraded status on sync" if broken else ""
    said += [_said("NodeDegraded", str(bool(broken)), why), _said("Degraded", str(bool(broken)))]
    old = (pool.get("status") or {}).get("conditions") or ()
    generation = {"observedGeneration": pool["metadata"].get("generation", 1)}
    return {**counts, **generation, "conditions": merge_conditions(old, said)}


def _counts(pool: Object, nodes: Sequence[Object]) -> Object:
    """One look at each node: a pool may have a thousand."""
    updated = ready = unavailable = broken = 0
    for node in nodes:
        works, gave_up = is_ready(node), is_broken(node)
        rests = is_done(node)
        if rests and is_target(node, pool):
            updated += 1
            ready += works
        unavailable += not works or not (rests or gave_up)
        broken += gave_up
    return {
        "machineCount": len(nodes),
        "updatedMachineCount": updated,
        "readyMachineCount": ready,
        "unavailableMachineCount": unavailable,
        "degradedMachineCount": broken,
    }


def _said(kind: str, status: str, message: str = "") -> Object:
    return condition(kind, status, "", message)
