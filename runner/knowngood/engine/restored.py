"""What `restored` means, as a comparison of measurements. Pure.

Both sides were read by probes. A node in the rings that moved may have a newer load of the same module; a node
outside must show the very same load and boot.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from knowngood.model.node import NodeState
from knowngood.model.plan import Plan, PlannedRing
from knowngood.model.record import Status
from knowngood.model.state import RunState

VOLATILE_LABELS = frozenset({"nvidia.com/gfd.timestamp"})
"""Written anew at each start of GPU Feature Discovery, so they differ by design."""


def undone_and_kept(plan: Plan, state: RunState) -> tuple[list[PlannedRing], list[str]]:
    """The rings that were taken back, and the nodes of the others of their hop: proven, they keep what they have."""
    undone: list[PlannedRing] = []
    kept: list[str] = []
    for hop in plan.hops:
        back = [r for r in hop.rings if f"{hop.name}/{r.name}/undo/declare" in state.results]
        undone += back
        for ring in hop.rings if back else ():
            proofs = (state.results.get(f"{hop.name}/{ring.name}/{last}") for last in ("confirm", "retest"))
            if ring not in back and any(proof and proof.status is Status.OK for proof in proofs):
                kept += ring.nodes
    return undone, kept


def differences(
    before: Mapping[str, NodeState], after: Mapping[str, NodeState], moved: Collection[str]
) -> dict[str, str]:
    """Node -> what differs, in one line; empty when every node is as it was."""
    found = {}
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            found[name] = "the node is gone"
        elif not new.reachable:
            found[name] = f"can't be read: {new.trouble or 'unreachable'}"
        elif changes := list(_changes(old, new, restarted=name in moved)):
            found[name] = "; ".join(changes)
    return found


def _changes(old: NodeState, new: NodeState, *, restarted: bool) -> list[str]:
    changes = []
    for what, was, now in _pairs(old, new):
        if was != now:
            changes.append(f"{what} was {was or 'nothing'}, is {now or 'nothing'}")
    if old.load and new.load and not restarted and old.load != new.load:
        changes.append("its driver was loaded anew although the node is outside the rings that moved")
    if old.load and not new.load:
        changes.append("no load of the driver is seen in the kernel log")
    return changes


def _pairs(old: NodeState, new: NodeState) -> list[tuple[str, object, object]]:
    """What must be equal, as (what, before, after); mappings are compared key by key."""
    pairs: list[tuple[str, object, object]] = [
        ("ready", old.ready, new.ready),
        ("cordoned", old.unschedulable, new.unschedulable),
        ("GPUs", ", ".join(old.gpus), ", ".join(new.gpus)),
        ("taints", ", ".join(old.taints), ", ".join(new.taints)),
    ]
    for what, was, now in (
        ("version of", old.versions, new.versions),
        ("label", old.labels, new.labels),
        ("annotation", old.annotations, new.annotations),
        ("allocatable", old.allocatable, new.allocatable),
        ("operand", old.operands, new.operands),
        ("image of", old.images, new.images),
        ("fact", old.facts, new.facts),
    ):
        for key in sorted(set(was) | set(now)):
            if key not in VOLATILE_LABELS:
                pairs.append((f"{what} {key}", was.get(key, ""), now.get(key, "")))
    return pairs
