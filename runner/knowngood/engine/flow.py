"""What comes next: the run's script as a generator, replayed over the journal's outcomes.

The generator yields a Step and is sent its StepResult. `script.next_step` replays it with the results that the journal
holds and returns the first step without one. So a resumed run is the same code on the same records, and this file
alone decides.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace

from knowngood.engine.line import JUDGEMENTS, Stop, failed_in, judged, need
from knowngood.engine.parts import begin, forward
from knowngood.engine.steps import Place, Step, Verb
from knowngood.engine.undo import (
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
from knowngood.model.plan import Plan
from knowngood.model.record import Status
from knowngood.model.state import End, StepResult
from knowngood.model.steppath import StepPath

ROLLBACK = "rollback"
"""As a wave's failure policy: a human asked for all of it to be undone, whatever held the run."""

Flow = Generator[Step, StepResult, End]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a stop means here: `on_wave_failure` of the cluster file, or ROLLBACK; `undo`: what a way back is called.

    `proven`: of a batch that is done once more, the nodes that passed already and are at work.
    """

    on_wave_failure: str
    undo: str = "undo"
    proven: Mapping[StepPath, tuple[str, ...]] = field(default_factory=dict)


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
                how = {"together": plan.together(place.ring), "delivers": plan.delivers(place.ring)}
                yield from forward(place, proven=policy.proven, strands=plan.strands, **how)
            except Stop as stop:
                untaken = not moved and not place.ring.at_once  # whose nodes are taken after the commit only
                if untaken and (yield from never_declared(stop, place, policy.undo)):
                    return (yield from at_rest(stop, before, policy))
                end = yield from stopped(stop, place, moved, policy)
                back = (
                    not moved and place.ring.at_once and end.name == "restored"
                )  # a ring taken out before its commit
                if back and (yield from undeclared(place, policy.undo)):
                    return (yield from at_rest(stop, before, policy))
                return end
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
    hop = moved[-1].hop
    if policy.on_wave_failure != ROLLBACK or hop.closed:
        return replace(
            held(stop), within=hop.name if hop.paused else ""
        )  # its nodes would go on by themselves
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
    return stop.verb is Verb.DECLARE and (yield from undeclared(place, undo))


def undeclared(place: Place, undo: str) -> Generator[Step, StepResult, bool]:
    """Whether no commit of a part is on the branch, so that nothing of it was changed."""
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
