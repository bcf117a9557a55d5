"""A plan as text: what moves, whom it disturbs, how it is undone."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.model.matrix import Disruption, UndoClass
from knowngood.model.plan import Hop, Plan
from knowngood.report.columns import columns

DISRUPTIONS = {
    Disruption.NONE: "disturbs nobody",
    Disruption.PODS: "restarts pods",
    Disruption.DRAIN: "drains each node once",
    Disruption.REBOOT: "drains and reboots each node",
    Disruption.POWER_CYCLE: "drains and power-cycles each node",
}
UNDOS = {
    UndoClass.REVERT: "undone by a Git revert",
    UndoClass.REVERT_DISRUPTIVE: "undone by a Git revert and one more drain",
    UndoClass.PROCEDURE: "undone by a procedure",
    UndoClass.FORWARD_ONLY: "can't be undone",
}


def plan_text(plan: Plan) -> str:
    """One screen."""
    lines = [f"{plan.cluster}: {plan.from_release} → {plan.to_release}   profile {plan.profile}"]
    if not plan.hops:
        lines.append(f"  nothing to do: Git declares {plan.to_release} already")
    for hop in plan.hops:
        lines += ["", *_hop(hop)]
    lines += ["", "gates"]
    lines += columns(
        [
            ("active, on drained nodes", ", ".join(plan.active_gates) or "none"),
            ("passive, any time", ", ".join(plan.passive_gates) or "none"),
            *((f"not applicable: {gate}", why) for gate, why in plan.not_applicable.items()),
        ]
    )
    if plan.warnings:
        lines += ["", "warnings", *(f"  {w}" for w in plan.warnings)]
    lines += ["", *_point_of_no_return(plan)]
    return "\n".join(lines) + "\n"


def _hop(hop: Hop) -> Iterator[str]:
    moves = ", ".join(f"{m.component} {m.from_version} → {m.to_version}" for m in hop.moves)
    yield f"{hop.name}  {moves}"
    yield f"  scope {hop.scope}, {DISRUPTIONS[hop.disruption]}, {UNDOS[hop.undo]} ({hop.undo})"
    rows = []
    for index, ring in enumerate(hop.rings):
        batches = " then ".join(", ".join(batch) for batch in ring.batches)
        note = "canary" if index == 0 else ""
        rows.append((ring.name, note, batches, "; ".join(f"{c.file}: {c.path}" for c in ring.changes)))
    yield from columns(rows)


def _point_of_no_return(plan: Plan) -> list[str]:
    closed = [h.name for h in plan.hops if h.undo is UndoClass.FORWARD_ONLY]
    if closed:
        return [f"point of no return: {closed[0]}; nothing before it can be undone once it began"]
    return ["no point of no return: a gate that says no takes it back"] if plan.hops else []
