"""Preflight: what must be so before the first commit, forward and back. It changes nothing.

Each finding says what, where, and what to do next. A measured no refuses the run (exit 1); what could not be asked
leaves it inconclusive (exit 3). Rights are asked first: every other look needs some.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from knowngood.engine.steps import Step
from knowngood.engine.work import Done, Work
from knowngood.model.detail import Detail
from knowngood.model.errors import DeadlineExceeded
from knowngood.model.field import FieldChange
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.progress import Progress
from knowngood.model.record import Status
from knowngood.model.verdict import Verdict, worst
from knowngood.planner.pace import run_and_undo
from knowngood.planner.readiness.required import unmet_in_git, wanted

SETTLES = 20.0
"""Seconds that controllers get to settle what is likely to pass by itself: an operator looks again every few seconds,
and so does an Application that a push has just made OutOfSync."""
SHOWN = 5  # findings in the reason; all of them are in the detail
STATUS = {Verdict.FAIL: Status.FAIL, Verdict.INCONCLUSIVE: Status.INCONCLUSIVE}


def preflight(work: Work, step: Step) -> Done:
    """We may do all of it, nothing is left over, nobody else works on the nodes, and both ways are open."""
    of_hops = [[c for part in hop.parts for c in part.changes] for hop in work.plan.hops]
    # What a later hop starts from is what an earlier one brings.
    changes = tuple(of_hops[0]) if of_hops else ()
    missing = tuple(work.ports.readiness.rights([c for of_hop in of_hops for c in of_hop]))
    if missing:
        return ended(missing, Detail())
    busy = dict(work.ports.cluster.quiet(work.plan.nodes))
    unproven: list[str] = []
    found = [*_left_over(work), *_busy(busy), *_images(work, unproven)]
    found += _required(work)
    found += _settled(work, changes)
    found += _fleet(work)
    for text in unproven:
        for observer in work.ports.observers:
            observer.progress(Progress(step.path, step.verb.value, "not proven", text))
    unsure = "" if found else work.ports.promotion.ready(work.plan.to_release, work.plan.cluster)
    return ended(found, Detail(failed=busy, not_proven=tuple(unproven), record=unsure))


def _required(work: Work) -> Iterator[Finding]:
    """What Git must say beside the versions, of all hops: Argo CD may bring it at any time."""
    required = wanted(work.plan)
    if required:
        yield from unmet_in_git(required, work.ports.gitops.texts(required))


def _fleet(work: Work) -> Iterator[Finding]:
    """What stands in the way of a fleet part, or of its way back later."""
    for number, hop in enumerate(work.plan.hops):
        if hop.fleet is None:
            continue
        # What a later hop needs may be what an earlier one brings; its way back leads to where that one ends.
        if number == 0:
            yield from work.ports.fleet.ready(work.plan.moving(hop.fleet))
        yield from work.ports.fleet.ready(work.plan.moving(hop.fleet, undo=True), undo=True)


def ended(found: Sequence[Finding], detail: Detail) -> Done:
    """How preflight ends with these findings: measured ones first."""
    if not found:
        return Done(Status.OK, detail)
    texts = [str(f) for f in sorted(found, key=lambda f: f.verdict is not Verdict.FAIL)]
    more = f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    why = "; ".join(texts[:SHOWN]) + more
    return Done(STATUS[worst(f.verdict for f in found)], replace(detail, why=why, findings=tuple(texts)))


HINTS = {
    "claim": "once it is well: knowngood clear {where}",
    "taint": "once it is well: knowngood clear {where}",
    "hold": "once its run has ended: knowngood clear --holds",
}
"""What helps against what was left over, by its kind."""


def _left_over(work: Work) -> Iterator[Finding]:
    for left in (*work.ports.cluster.leftovers(), *work.ports.holds.standing()):
        if left.of_others(work.run):
            yield unknown(f"job {left.where}", f"a probe is at work: {left.detail}", "wait until it is done")
        elif left.kind != "lease":
            hint = HINTS.get(left.kind, "knowngood status").format(where=left.where)
            yield refused(f"{left.kind} at {left.where}", f"left over from before: {left.detail}", hint)


def _busy(busy: Mapping[str, str]) -> Iterator[Finding]:
    """One finding a reason: what keeps one node from us often keeps them all."""
    for reason in dict.fromkeys(busy.values()):
        nodes = [node for node, why in busy.items() if why == reason]
        named = ", ".join(nodes[:SHOWN]) + (f" and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else "")
        yield refused(
            f"node {named}", f"somebody else works on it: {reason}", "wait until it is done, or clear it"
        )


def _images(work: Work, unproven: list[str]) -> Iterator[Finding]:
    """The way back pulls what runs now. What nobody could tell does not stop a run, and is told."""
    before = work.before()
    images = sorted({i for n in work.cluster.gpu if n in before for i in before[n].images.values()})
    answer = work.ports.registry.look(images)
    for image, why in answer.missing.items():
        yield refused(f"image {image}", f"it runs now and can't be pulled any more: {why}", "mirror it again")
    for why in dict.fromkeys(answer.unproven.values()):
        count = list(answer.unproven.values()).count(why)
        unproven.append(f"{count} images of the present release can still be pulled: {why}")


def _settled(work: Work, changes: Sequence[FieldChange]) -> list[Finding]:
    """What Git, Argo CD and the declaring objects say; looked at again where all of it is likely to pass."""
    found = _declared(work, changes)

    def over() -> bool:
        nonlocal found
        found = _declared(work, changes)
        return not all(f.passes for f in found) or not found

    if found and all(f.passes for f in found):
        with suppress(DeadlineExceeded):
            what = f"{found[0].where} to settle"
            work.ports.clock.wait_for(over, deadline=SETTLES, what=what, cancel=work.cancel, every=2.0)
    return found


def _declared(work: Work, changes: Sequence[FieldChange]) -> list[Finding]:
    found: list[Finding] = []
    for change in changes:
        value = work.ports.gitops.value(change)
        if value != change.before:
            what = f"{change.path} is {value}, the plan starts from {change.before}"
            found.append(refused(change.file, what, "plan again"))
    found += work.ports.readiness.declared(changes)
    found += work.ports.delivery.ready()
    found += work.ports.delivery.windows(run_and_undo(work.plan))
    return found
