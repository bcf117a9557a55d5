"""Which nodes of a ring a way back must bring back: restarted by us, running something else, or unreadable."""

from __future__ import annotations

from knowngood.engine import judging, restarts
from knowngood.engine.steps import Place, RingStep, Verb
from knowngood.engine.work import Done, Work
from knowngood.model.claims import Hold, held
from knowngood.model.context import Window
from knowngood.model.detail import Detail
from knowngood.model.node import NodeState
from knowngood.model.record import Status
from knowngood.model.steppath import StepPath


def look(work: Work, step: RingStep) -> Done:
    """Which nodes of the ring an undo must bring back: restarted by us, running something else, or unreadable.

    And which are ours: `claimed` by what they say themselves, `lost` those with something of ours but no claim. What
    this run has quarantined comes back with an undo, too; `back` is what an earlier one has brought.
    """
    # A soak that was cut short left its load; what this can't clear is found by verify.
    work.ports.load.clear(work.run, work.cancel)
    before = work.before(step.hop)
    seen = work.observe(step.nodes)
    at = step.path.parent.parent
    again = _brought_back(work, at)
    touched = _touched(work, at, step) - again
    ours = held(work.state, step.nodes, work.ports.cluster.marks())
    back = {n for n in step.nodes if step.undo and ours[n].hold is Hold.QUARANTINED}
    known = restarts.at_baseline(work, step)
    same = {n for n in step.nodes if _same_load(before[n], seen[n], known.get(n), anew=n in again)}
    changed = tuple(n for n in step.nodes if n in touched | back or n not in same)
    claimed = tuple(n for n in step.nodes if ours[n].hold is Hold.OUT)
    lost = {n: ours[n].why for n in step.nodes if ours[n].hold is Hold.MARKED}
    came_back = tuple(n for n in step.nodes if n in again and n not in changed)
    windows = judging.windows_of(seen, work.ports.clock.now())
    return Done(
        Status.OK, Detail(changed=changed, claimed=claimed, lost=lost, windows=windows, back=came_back)
    )


def _touched(work: Work, ring: StepPath, step: RingStep) -> set[str]:
    """Nodes whose driver we may have restarted: an apply on them was intended, or the commit started it.

    `step`: on all nodes of the ring.
    """
    touched: set[str] = set(step.nodes) if step.ring.at_once and _declared(work, step) else set()
    for path in (p for p in work.state.intended if p.within(ring) and not p.is_undo):
        if path.verb == Verb.APPLY:
            drained = work.state.results.get(path.sibling(Verb.DRAIN))
            touched |= set((drained and drained.detail.done) or step.nodes)
    return touched


def _declared(work: Work, step: RingStep) -> bool:
    """Whether the ring's commit is on the branch, or was: only Git knows where the answer to a push was lost."""
    forward = Place.of(step.hop, step.ring).step(Verb.DECLARE)
    return forward.path in work.state.intended and bool(reached(work, step))


def reached(work: Work, step: RingStep) -> str:
    """The commit by which a ring's change came to the branch, "" where it never did."""
    found = work.ports.gitops.find(work.trailers(Place.of(step.hop, step.ring).step(Verb.DECLARE)))
    return found or work.ports.gitops.brought(step.ring.changes, work.state.started)


def _brought_back(work: Work, ring: StepPath) -> set[str]:
    """Nodes that an earlier way back proved and gave back to their tenants, and that no later one took out again."""
    back: set[str] = set()
    for path in (p for p in work.state.intended if p.within(ring) and p.is_undo):
        result, verb = work.state.results.get(path), path.verb
        if verb == Verb.RELEASE and result:
            back |= set(result.detail.done)
        elif verb in (Verb.CLAIM, Verb.APPLY):
            back = back - set(result.detail.done) if result else set()
    return back


def _same_load(before: NodeState, now: NodeState, baseline: Window | None, *, anew: bool) -> bool:
    """Whether it runs what it ran, from the load that the run found at its start or when it measured the ring.

    `anew`: a way back has loaded it anew.
    """
    found = judging.loads_of({now.name: now}).get(now.name)
    same_load = anew or now.marks == before.marks or (found is not None and found == baseline)
    return now.reachable and same_load and now.versions == before.versions
