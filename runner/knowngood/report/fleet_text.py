"""Many clusters on one screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowngood.model.matrix import UndoClass
from knowngood.model.plan import Plan
from knowngood.model.stages import Stage
from knowngood.model.text import Page, page
from knowngood.report.columns import columns
from knowngood.report.plan_text import UNDOS

HEAD = ("stage", "cluster", "hardware", "release")


@dataclass(frozen=True, slots=True)
class Row:
    """One cluster: `told` is what there is to say of it, "" for nothing. `note`: what a human must see to, or why."""

    cluster: str
    profile: str
    release: str
    told: str = ""
    note: str = ""


def fleet_text(stages: Sequence[Stage], rows: Mapping[str, Row], told: str) -> Page:
    """A line a cluster, by stage; what must be seen to comes below its line. `told` heads the last column."""
    table = [(*HEAD, told)]
    table += [
        (stage.name if first else "", row.cluster, row.profile, row.release, row.told)
        for stage in stages
        for first, row in ((name == stage.clusters[0], rows[name]) for name in stage.clusters)
    ]
    head, *lines = columns(table, "")
    notes = {row.cluster: row.note for row in rows.values() if row.note}
    shown = [head]
    for line, row in zip(lines, (rows[n] for s in stages for n in s.clusters), strict=True):
        shown += [line, *([f"    {row.cluster}: {notes[row.cluster]}"] if row.cluster in notes else [])]
    return page(shown)


def move_text(plan: Plan) -> str:
    """What a plan does to its cluster, in one line."""
    if not plan.hops:
        return "nothing to do: Git declares it already"
    order = list(UndoClass)
    hardest = max((hop.undo for hop in plan.hops), key=order.index)
    hops = f"{len(plan.hops)} hop{'s' if len(plan.hops) > 1 else ''}"
    return f"→ {plan.to_release}: {hops}, {UNDOS[hardest]}"
