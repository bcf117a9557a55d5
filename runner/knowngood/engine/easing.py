"""What stands in the way of a way back gives way for its time: one commit before the revert, one once all is back.

Some declarations refuse what a revert asks for, unless they are told to take it. What a mover `eases` says which fields
and how; until the way back they are as it requires. Both commits are found again by their trailers.
"""

from __future__ import annotations

from dataclasses import replace

from knowngood.engine.steps import RingStep
from knowngood.engine.work import Work
from knowngood.model import names
from knowngood.model.field import FieldChange

EASED, TIGHTENED = "eased", "tightened"


def changes(work: Work, step: RingStep) -> tuple[FieldChange, ...]:
    """The fields that give way for this part, from what its movers require to what lets it pass."""
    found: dict[object, FieldChange] = {}
    for change in step.ring.changes:
        spec = work.plan.movers.get(change.component)
        kind = change.object.kind
        for path, text in (spec.eases.get(kind, {}) if spec else {}).items():
            before = spec.require.get(kind, {}).get(path, "") if spec else ""
            one = replace(change, path=path, written="", before=before, after=text)
            found.setdefault(one.place, one)
    return tuple(found.values())


def ease(work: Work, step: RingStep) -> None:
    """Have them give way, and wait until that is delivered: the revert after it would be refused without."""
    if which := changes(work, step):
        _bring(work, step, which, EASED)


def tighten(work: Work, step: RingStep) -> None:
    """What had given way is as it was, once all is back."""
    which = changes(work, step) if step.undo else ()
    if which and work.ports.gitops.find(_trailers(work, step, EASED)):
        _bring(work, step, tuple(c.inverse() for c in which), TIGHTENED)


def told(work: Work, step: RingStep) -> str:
    """What Git still has after a way back that did not come to its end, in words; "" where nothing gave way."""
    which = changes(work, step) if step.undo else ()
    return "; Git still has " + ", ".join(f"{c.path} {c.after}" for c in which) if which else ""


def _bring(work: Work, step: RingStep, which: tuple[FieldChange, ...], what: str) -> None:
    subject = f"{work.plan.cluster} {step.ring.name}: {what} for the way back"
    commit = work.ports.gitops.declare(which, subject, _trailers(work, step, what))
    work.ports.delivery.wait(commit, which, work.cluster.limits.deliver, work.cancel)


def _trailers(work: Work, step: RingStep, what: str) -> dict[str, str]:
    return {**work.trailers(step), names.TRAILER_UNDOES: f"{step.ring.name}, {what}"}
