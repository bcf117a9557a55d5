"""What Git and the live objects declare now, beside what a run left or wants there: others write both, too."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.engine.work import Work
from knowngood.model.field import FieldChange, Place
from knowngood.model.moved import EVERYWHERE
from knowngood.model.plan import PlannedRing


def otherwise(work: Work, change: FieldChange, wanted: str) -> Iterator[str]:
    """Where a field holds something else than `wanted`, in words."""
    for where, value in (
        ("Git", work.ports.gitops.value(change)),
        ("the live object", work.ports.cluster.live_value(change)),
    ):
        if value != wanted:
            yield f"{where} holds {change.path} {value}, not {wanted}"


def taken_back(work: Work) -> dict[str, str]:
    """Node -> what is declared for it otherwise than this run declared it last: the next driver pod would take that."""
    last: dict[Place, tuple[PlannedRing, FieldChange]] = {}
    for part in (part for hop in work.plan.hops for part in hop.parts):
        last |= {change.place: (part, change) for change in part.changes}
    found: dict[str, str] = {}
    for part, change in last.values():
        if other := [*otherwise(work, change, change.after)]:
            found |= dict.fromkeys(part.nodes or (EVERYWHERE,), other[0])
    return found
