"""The verbs of a hop's fleet part: what is declared once for all nodes, approved, settled, and its own way back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from knowngood.engine import easing
from knowngood.engine.steps import RingStep
from knowngood.engine.work import Done, Work, named
from knowngood.model.detail import Detail
from knowngood.model.errors import DeadlineExceeded
from knowngood.model.finding import Finding
from knowngood.model.mover import FleetState, Look, Mark, Moving, Starts
from knowngood.model.node import NodeState
from knowngood.model.plan import Hop, Plan, PlannedRing
from knowngood.model.record import Status
from knowngood.planner.version import TEXT, runs

EVERY = 2.0
"""Seconds between two looks at a fleet part on its way."""
SETTLES = 20.0
"""Seconds that controllers get before a later hop to settle what is likely to pass by itself after the one before."""


def approve(work: Work, step: RingStep) -> Done:
    """Approve what the commit only asked for; a class whose commit starts it has nothing to do here."""
    told = [work.ports.fleet.start(m, _key(work, step), work.cancel) for m in work.moving(step)]
    return Done(Status.OK, Detail(why="; ".join(filter(None, told))))


def back(work: Work, step: RingStep) -> Done:
    """The class's own way back, now that Git and the live object hold what was before."""
    told = [work.ports.fleet.back(m, _key(work, step), work.cancel) for m in reversed(work.moving(step))]
    return Done(Status.OK, Detail(why="; ".join(filter(None, told))))


def _key(work: Work, step: RingStep) -> str:
    """By what a class finds again what it began: a resume repeats at most one step."""
    return f"{work.run}/{step.hop.name}/{work.state.undo if step.undo else 'forward'}"


@dataclass
class _Ageing:
    """Looks at one component until it is there, said no, or stands still for too long."""

    work: Work
    moving: Moving
    state: str = ""
    since: float = 0.0

    def over(self) -> Look | None:
        """The last look, None while it is worth waiting."""
        found = self.work.ports.fleet.look(self.moving)
        if found.done or found.failed:
            return found
        now = self.work.ports.clock.monotonic()
        if found.waiting != self.state:
            self.state, self.since = found.waiting, now
        return found if now - self.since >= max(self.work.cluster.limits.operand_age, found.stands) else None


def settle(work: Work, step: RingStep) -> Done:
    """Wait until what was declared once for all nodes is there; a state that stands still too long ends the wait."""
    began = work.ports.clock.monotonic()
    for moving in work.moving(step):
        watch = _Ageing(work, moving)
        what = f"{moving.component} {moving.after}"
        try:
            look = work.ports.clock.wait_for(
                watch.over, deadline=work.cluster.limits.settle, what=what, cancel=work.cancel, every=EVERY
            )
        except DeadlineExceeded:
            look = Look(waiting=watch.state)
        if look.failed:
            return Done(Status.FAIL, Detail(why=f"{what}: {look.failed}{easing.told(work, step)}"))
        if not look.done:
            waited = work.ports.clock.monotonic() - began
            why = f"{what}: {watch.state}, after {waited:.0f} s{easing.told(work, step)}"
            return Done(Status.INCONCLUSIVE, Detail(why=why))
    easing.tighten(work, step)
    return Done(Status.OK, Detail(seconds=round(work.ports.clock.monotonic() - began, 3)))


def watch(work: Work, step: RingStep) -> Done:
    """Whether a node that this hop has not come to has taken what is declared for all; a mere reboot is no leak."""
    before, seen = work.before(step.hop), work.loads(step.nodes)
    moved = {m.component for ring in step.hop.rings if {*ring.nodes} & {*step.nodes} for m in ring.moves}
    found = {n: why for n in step.nodes if (why := _leak(before[n], seen[n], moved))}
    unread = {n: why for n in step.nodes if (why := _unread(before[n], seen[n], moved))}
    if found:
        why = named("it took what is declared for all nodes before its turn", found)
        return Done(Status.FAIL, Detail(why=why, failed=found))
    if unread:
        why = named("whether it took what is declared can't be read", unread)
        return Done(Status.INCONCLUSIVE, Detail(why=why, failed=unread))
    return Done(Status.OK)


def _leak(before: NodeState, now: NodeState, moved: set[str]) -> str:
    """What came to a node: another version, or the same one anew without a reboot."""
    for component in sorted(moved & now.marks.keys()):
        was, mark = before.marks.get(component), now.marks[component]
        if was is not None and mark != was and (mark.version != was.version or mark.boot_id == was.boot_id):
            return f"{component} {_of(mark)}, it was {_of(was)}"
    return ""


def _unread(before: NodeState, now: NodeState, moved: set[str]) -> str:
    """Why nothing can be said of a node: it, or when one of these came there, can't be read."""
    if not now.reachable:
        return now.trouble or "unreachable"
    silent = sorted(c for c in moved if c not in now.marks or c not in before.marks)
    return f"when {', '.join(silent)} came can't be told" if silent else ""


def _of(mark: Mark) -> str:
    return f"{mark.version} came {mark.at:.1f} s after boot"


def in_the_way(work: Work, hop: Hop | None) -> Sequence[Finding]:
    """Why a later hop must not begin now: what the run's start asked for the first hop alone.

    Of one that can't be undone, of what is declared for all nodes, and of rings that their commits start: a fail is no
    ring's fault then. And its way back: what the start was told of it may have been true before an earlier hop.
    """
    if hop is None:
        return ()
    parts = [p for p in hop.parts if hop.closed or p.at_once or not p.nodes]
    ways = (False,) if hop.closed or hop.name == work.plan.hops[0].name else (False, True)
    found: list[Finding] = []

    def over() -> bool:
        found[:] = [
            finding
            for undo in ways
            for p in parts
            for finding in work.ports.fleet.ready(by_commit(work.plan, p, undo=undo), undo=undo)
        ]
        return not found or not all(f.passes for f in found)

    with suppress(DeadlineExceeded):
        what = f"what {hop.name} needs to settle"
        work.ports.clock.wait_for(over, deadline=SETTLES, what=what, cancel=work.cancel, every=EVERY)
    return found


def by_commit(plan: Plan, part: PlannedRing, *, undo: bool = False) -> Sequence[Moving]:
    """What of a part its commit starts or asks for by itself: all of a fleet part; of a ring what starts at once."""
    moving = plan.moving(part, undo=undo)
    if not part.nodes:
        return moving
    declared = {change.component for change in part.changes}
    return [m for m in moving if m.component in declared and m.spec.starts is Starts.DECLARE]


def otherwise(work: Work, hops: Sequence[Hop], *, undone: bool = False) -> tuple[list[str], list[str]]:
    """What of these hops' fleet parts does not run as it did before them: (measured, could not be read).

    `undone`: after a way back, when nothing may wait for an approval either.
    """
    first: dict[str, Moving] = {}  # of each component: what the first of the hops moves it from
    for hop in hops:
        for moving in work.plan.moving(hop.fleet) if hop.fleet else ():
            if moving.component in hop.without_canary:
                first.setdefault(moving.component, moving)
    states = work.ports.fleet.states(tuple(first.values())) if first else {}
    differs, unread = [], []
    for name, moving in first.items():
        state = states.get(name, FleetState(trouble="nobody told"))
        if not state.running:
            unread.append(f"{name}: {state.trouble or 'what runs can not be read'}")
        elif not runs(work.plan.schemes.get(name, TEXT), moving.before, state.running):
            differs.append(f"{name} {state.running} runs, not {moving.before}")
        if undone and state.pending:
            differs.append(f"{name}: {', '.join(state.pending)} still waits for an approval")
    return differs, unread
