"""What comes next: the run's script as a generator, replayed over the journal's outcomes.

The generator yields a Step and is sent its StepResult. `script.next_step` replays it with the results that the journal
holds and returns the first step without one. So a resumed run is the same code on the same records, and this file
alone decides.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace

from knowngood.engine.steps import Place, Step, Verb
from knowngood.engine.undo import (
    Back,
    Lost,
    give_back,
    judge_again,
    shut,
    stripped,
    take_out,
    told,
    undo_open_ring,
    undo_rings,
)
from knowngood.model.errors import ExitCode
from knowngood.model.plan import Plan, PlannedRing
from knowngood.model.record import Status
from knowngood.model.state import End, StepResult
from knowngood.model.steppath import StepPath

ROLLBACK = "rollback"
"""As a wave's failure policy: a human asked for all of it to be undone, whatever held the run."""

TWICE = "twice"
"""The part of a batch in which what was proven is loaded a second time."""

Flow = Generator[Step, StepResult, End]
Ask = Generator[Step, StepResult, StepResult]


@dataclass
class Stop(Exception):
    """The line stops: why, which nodes are to blame, and (`hold`) whether to freeze as it is.

    `measured` are those of `nodes` on which a gate measured a fail. `usage`: it stopped at what the user wrote (a file,
    a credential), not at what a gate or a rule said. `verb`: of the step that did not end OK. `broken`: nodes to which
    what moves did not come.
    """

    why: str
    status: Status
    nodes: dict[str, str] = field(default_factory=dict)
    passed: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    hold: bool = False
    aborted: bool = False
    usage: bool = False
    hint: str = ""
    verb: Verb | None = None

    def back(self, name: str) -> Back:
        """The way back from here, called `name` in the steps' paths."""
        return Back(self.why, self.nodes, frozenset(self.nodes if self.verb in JUDGEMENTS else ()), name)


JUDGEMENTS = (Verb.BASELINE, Verb.JUDGE, Verb.RETEST, Verb.CONFIRM, Verb.PROVE)
"""Verbs that run gates on nodes of a run: a node that fails one must pass it before it is released."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a stop means here: `on_wave_failure` of the cluster file, or ROLLBACK; `undo`: what a way back is called."""

    on_wave_failure: str
    undo: str = "undo"


def ask(step: Step) -> Ask:
    """Run a step; an abort that was asked for after it stops the line, and so does a node that was lost after it."""
    result = yield step
    if result.abort:
        raise abort_of(result)
    if result.lost:  # a node that is no longer ours must not be judged or released as if it were
        why = "; ".join(f"{n}: {why}" for n, why in result.lost.items())
        bad = {} if result.status is Status.OK else dict(result.detail.failed)
        verb = step.verb if bad else None  # who failed a gate must still pass it
        raise Stop(f"no longer ours: {why}", Status.INCONCLUSIVE, bad | dict(result.lost), verb=verb)
    return result


def abort_of(result: StepResult) -> Stop:
    """The stop that an abort after this step is."""
    why, hold = f"asked to {result.abort}", result.abort == "hold"
    return Stop(why, Status.INCONCLUSIVE, hold=hold, aborted=True)


def need(step: Step) -> Ask:
    """Run a step that must end OK."""
    result = yield from ask(step)
    if result.status is not Status.OK:
        raise stop_of(step, result)
    return result


def stop_of(step: Step, result: StepResult) -> Stop:
    """The stop that a step which did not end OK is."""
    told = result.detail
    return Stop(
        told.why or f"{step.path}: {result.status}",
        result.status,
        {**told.failed, **told.given_back},
        measured=told.measured,
        broken=did_not_come(step, result),
        usage=told.usage,
        hint=told.hint,
        verb=step.verb,
    )


def did_not_come(step: Step, result: StepResult) -> tuple[str, ...]:
    """The nodes on which it was seen that what moves did not come, and not only not told."""
    failed = result.detail.failed if step.verb is Verb.APPLY else {}
    return tuple(n for n in failed if n not in result.detail.could_not and n not in result.lost)


def flow(plan: Plan, policy: Policy) -> Flow:
    """The whole run."""
    try:
        yield from need(Step(StepPath("observe"), Verb.OBSERVE))
        yield from need(Step(StepPath("preflight"), Verb.PREFLIGHT))
        yield from need(Step(StepPath("check"), Verb.CHECK, plan.nodes))
        yield from need(Step(StepPath("way-back"), Verb.WAY_BACK))
    except Stop as stop:
        return nothing_changed(stop)
    moved: list[Place] = []
    for hop in plan.hops:
        before, moved = moved, []  # an undo ends at the resting state before this hop
        for place in (Place.of(hop, part) for part in hop.parts):
            try:
                yield from begin(place, rested=bool(before) and not moved)
            except Stop as stop:
                if moved and (stop.verb is Verb.WATCH or not any(p.ring.nodes for p in moved)):
                    return (yield from stopped(stop, place, moved, policy))
                if moved and place.hop.closed:
                    return (yield from stays(stop, place))
                return (yield from at_rest(stop, moved or before, policy))
            try:
                yield from forward(place, together=plan.together(place.ring))
            except Stop as stop:
                if not moved and (yield from never_declared(stop, place, policy.undo)):
                    return (yield from at_rest(stop, before, policy))
                return (yield from stopped(stop, place, moved, policy))
            moved.append(place)
    try:
        yield from judged(Step(StepPath("prove"), Verb.PROVE), Verb.PROVE)
        yield from need(Step(StepPath("promote"), Verb.PROMOTE))
    except Stop as stop:
        return (yield from at_rest(stop, moved, policy))
    return End("done", ExitCode.DONE)


def at_rest(stop: Stop, moved: list[Place], policy: Policy) -> Flow:
    """The end of a run that stopped with no ring open: it holds, unless a human asked for all to be undone.

    `moved` are the rings of the hop that moved last; none: nothing was changed.
    """
    if not moved:
        return nothing_changed(stop)
    if policy.on_wave_failure != ROLLBACK or moved[-1].hop.closed:
        return held(stop)
    return (yield from undo_rings(parts_back(moved), stop.back(policy.undo)))


def parts_back(places: list[Place]) -> tuple[Place, ...]:
    """What a way back of these parts of a hop brings back, newest first.

    What was declared for all nodes comes first, and then every ring of the hop: who else took it must be looked for.
    """
    hop = places[0].hop
    if hop.fleet is None:
        return tuple(reversed(places))
    return (Place.of(hop, hop.fleet), *(Place.of(hop, ring) for ring in reversed(hop.rings)))


def never_declared(stop: Stop, place: Place, undo: str) -> Generator[Step, StepResult, bool]:
    """Whether the line stopped at a commit that never reached the branch: then there is nothing to bring back."""
    if stop.verb is not Verb.DECLARE:
        return False
    undone = yield place.part(undo).back(Verb.DECLARE)
    return undone.status is Status.OK and not undone.detail.commit


def nothing_changed(stop: Stop) -> End:
    """The end of a run that stopped before its first change."""
    why = f"{stop.why}; {stop.hint}" if stop.hint else stop.why
    if stop.status is Status.INCONCLUSIVE:
        return End("inconclusive", ExitCode.INCONCLUSIVE, why, stop.nodes)
    return End("refused", ExitCode.USAGE if stop.usage else ExitCode.REFUSED, why, stop.nodes)


def held(stop: Stop) -> End:
    """The end of a run that froze for a human."""
    return End("held", ExitCode.HUMAN, stop.why, stop.nodes)


def begin(place: Place, *, rested: bool) -> Generator[Step, StepResult, None]:
    """What is asked before a part of a hop is changed; `rested`: it is the first one after a resting state."""
    yield from need(place.step(Verb.WINDOW, ()))
    if rested:
        yield from need(Step(StepPath(place.hop.name).child("observe"), Verb.OBSERVE, hop=place.hop))
    if place.hop.leaky and place.ring.nodes:
        rings = place.hop.rings
        later = rings[rings.index(place.ring) :]
        yield from need(place.step(Verb.WATCH, (n for ring in later for n in ring.nodes)))
    if place.ring.nodes:
        yield from need(place.step(Verb.BASELINE))


def forward(place: Place, *, together: bool = False) -> Generator[Step, StepResult, None]:
    """Move one part of a hop. Raises Stop.

    A ring: declare, batch by batch, nodes given back once more, soak, confirm. The fleet part: declare, have it
    approved, wait for it, and judge every node as it stands. `together`: a batch moves as a whole or not at all.
    """
    if place.ring.changes:
        yield from need(place.step(Verb.DECLARE))
        yield from need(place.step(Verb.DELIVER))
    if not place.ring.nodes:
        yield from need(place.step(Verb.APPROVE))
        yield from need(place.step(Verb.SETTLE))
        return (yield from judged(place.step(Verb.CONFIRM), Verb.CONFIRM))
    given_back: list[str] = []
    for number, nodes in enumerate(place.ring.batches, start=1):
        left = yield from batch(place.part(f"batch-{number}"), nodes, together=together)
        given_back += nodes if left and together else left
    for number, nodes in enumerate(once_more(place.ring, given_back), start=1):
        name = "again" if number == 1 else f"again-{number}"
        left = yield from batch(place.part(name), nodes, together=together)
        if left:
            why = "a tenant's disruption budget did not let us drain"
            raise Stop(f"{place.path}: {why}", Status.INCONCLUSIVE, dict.fromkeys(left, why))
    yield from need(place.step(Verb.SOAK))
    yield from judged(place.step(Verb.CONFIRM), Verb.CONFIRM)


def once_more(ring: PlannedRing, nodes: list[str]) -> list[tuple[str, ...]]:
    """Nodes that were given back, in batches no larger than the ring's: no more are out at once than it allows."""
    size = max(len(batch) for batch in ring.batches)
    return [tuple(nodes[i : i + size]) for i in range(0, len(nodes), size)]


def batch(
    place: Place, nodes: tuple[str, ...], *, together: bool = False
) -> Generator[Step, StepResult, list[str]]:
    """Take nodes out, move, judge and give them back; returns the ones whose tenants did not let us drain.

    `together`: where one of them stays, the others are given back unmoved.
    """
    yield from need(place.step(Verb.CLAIM, nodes))
    drained = yield from ask(place.step(Verb.DRAIN, nodes))
    given_back, failed = drained.detail.given_back, drained.detail.failed
    if drained.status is not Status.OK and not (given_back and not failed):
        raise Stop(drained.detail.why or "the drain failed", drained.status, {**failed, **given_back})
    out = tuple(n for n in nodes if n not in given_back)
    if out and given_back and together:
        yield from need(place.step(Verb.RELEASE, out))
    elif out:
        yield from need(place.step(Verb.BASELINE, out, drained=True))
        yield from need(place.step(Verb.APPLY, out))
        yield from judged(place.step(Verb.JUDGE, out), Verb.RETEST)
        if place.hop.again and place.ring.name in place.hop.again.rings:
            yield from twice(place.part(TWICE), out)
        yield from need(place.step(Verb.RELEASE, out))
    return list(given_back)


def twice(place: Place, nodes: tuple[str, ...]) -> Generator[Step, StepResult, None]:
    """Load once more what these nodes were proven to run, and judge that too: many faults show at the second load.

    Where it did not come as it must, the gates say what is there instead; that they find nothing is no proof.
    """
    step = place.step(Verb.SECOND_LOAD, nodes)
    loaded = yield from ask(step)
    if loaded.status is Status.INCONCLUSIVE:
        raise stop_of(step, loaded)
    yield from judged(place.step(Verb.JUDGE, nodes), Verb.RETEST)
    if loaded.status is not Status.OK:
        raise stop_of(step, replace(loaded, status=Status.INCONCLUSIVE))


def judged(step: Step, retest: Verb) -> Generator[Step, StepResult, None]:
    """Judge. Nodes that did not pass are tested once more (`retest`), with the same parameters, before the line stops.

    But for a fail that the profile lists as one that needs no second look.
    """
    last = yield from ask(step)
    if last.status is Status.OK:
        return
    bad = failed_in(last, step.nodes)
    if not last.detail.at_once:
        suspects = tuple(n for n in step.nodes if n in bad) or tuple(bad)
        last = yield from ask(replace(step, path=step.path.sibling("retest"), verb=retest, nodes=suspects))
        if last.status is Status.OK:
            return
        bad = failed_in(last, suspects)
    good = tuple(n for n in step.nodes if n not in bad)
    why = last.detail.why or "a gate said no"
    raise Stop(why, last.status, bad, good, last.detail.measured, verb=step.verb)


def failed_in(result: StepResult, nodes: tuple[str, ...]) -> dict[str, str]:
    """Node -> why it did not pass; all of them where none is named."""
    return dict(result.detail.failed) or dict.fromkeys(nodes, "")


def stopped(stop: Stop, place: Place, moved: list[Place], policy: Policy) -> Flow:
    """What a stopped line means: freeze, undo the canary, hold a later ring, or undo all where the policy says so.

    An abort takes a later ring back before it holds; what was declared for all nodes can only go back for all.
    """
    if stop.hold and policy.on_wave_failure != ROLLBACK:
        return replace(held(stop), within=place.hop.name if place.hop.closed else "")
    if place.hop.closed:
        return (yield from stays(stop, place))
    back, fleet = stop.back(policy.undo), place.hop.fleet is not None
    canary = not any(p.ring.nodes for p in moved)
    if canary or policy.on_wave_failure in ("undo", ROLLBACK) or (stop.aborted and fleet):
        return (yield from undo_rings(parts_back([*moved, place]), back))
    if stop.verb is Verb.WATCH:
        leaked = yield from hold_leaked(place.part("hold"), stop)
        return End("held", ExitCode.HUMAN, stop.why, leaked)
    if stop.aborted:
        stay = tuple(p.ring.name for p in moved)
        return (yield from undo_open_ring(place, back, stay))
    named = yield from hold_ring(place.part("hold"), stop)
    return End("held", ExitCode.HUMAN, stop.why, named)


def stays(stop: Stop, place: Place) -> Flow:
    """The end of a run inside a hop that can't be undone: the rest stays on what it has, whoever asked to stop."""
    named = stop.nodes
    if stop.verb is Verb.WATCH:
        named = yield from hold_leaked(place.part("hold"), stop)
    elif place.ring.nodes and stop.verb not in (Verb.WINDOW, Verb.DECLARE):
        named = yield from hold_ring(place.part("hold"), stop, broken=stop.broken)
    why = f"{stop.why}; {place.hop.name} can't be undone, what it has not come to stays as it is"
    return End("held", ExitCode.HUMAN, why, named, within=place.hop.name)


def hold_leaked(place: Place, stop: Stop) -> Generator[Step, StepResult, dict[str, str]]:
    """Nodes that took what is declared for all before their turn: what fails is quarantined, the rest is taken out."""
    nodes, lost = tuple(stop.nodes), Lost(held=dict(stop.nodes))
    result = yield place.step(Verb.CONFIRM, nodes)
    failed = {n: w for n, w in failed_in(result, nodes).items() if n in result.detail.measured}
    yield from take_out(place, nodes, lost)
    if failed:
        yield from shut(place, failed, lost)
    return lost.nodes


def hold_ring(
    place: Place, stop: Stop, broken: tuple[str, ...] = ()
) -> Generator[Step, StepResult, dict[str, str]]:
    """Hold a later ring: what passed or was never touched goes back to work, what measurably failed is quarantined.

    What failed a gate before anything was applied is judged again first; what moved and is not proven stays claimed.
    `broken` are quarantined as well. Returns the nodes a human must look at.
    """
    ring = place.ring
    seen = yield place.step(Verb.LOOK)
    known = seen.status is Status.OK
    changed = seen.detail.changed if known else ring.nodes
    claimed = seen.detail.claimed if known else ring.nodes
    lost, failed = Lost(), {n: w for n, w in stop.nodes.items() if n in changed and n in stop.measured}
    failed |= stripped(seen) | {n: stop.nodes[n] for n in broken}
    unproven = dict.fromkeys((n for n in claimed if n in changed), "moved, but not proven")
    blamed = {n: w for n, w in stop.nodes.items() if n in changed}
    lost.held |= {n: w for n, w in (unproven | blamed).items() if n not in (*stop.passed, *failed)}
    sick = tuple(n for n in claimed if n not in changed and n in stop.nodes and stop.verb in JUDGEMENTS)
    if sick:
        yield from judge_again(place.back(Verb.JUDGE, sick), lost, failed)
    good = tuple(n for n in claimed if n not in lost.held and n not in failed)
    moved = tuple(n for n in good if n in changed)
    yield from give_back(place, tuple(n for n in good if n not in changed), lost)
    if moved:
        released = yield place.part("proven").step(Verb.RELEASE, moved)
        lost.held |= told(released, moved, "could not be given back")
    yield from take_out(place, tuple(n for n in lost.held if n in changed and n not in claimed), lost)
    if failed:
        yield from shut(place, failed, lost)
    return stop.nodes | lost.nodes
