"""What comes next: the run's script as a generator, replayed over the journal's outcomes.

The generator yields a Step and is sent its StepResult. `next_step` replays it with the results that the journal holds
and returns the first step without one. So a resumed run is the same code on the same records, and this file is the only
place that decides.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace

from knowngood.engine.steps import Step, Verb
from knowngood.engine.undo import lost, told, undo_open_ring, undo_rings
from knowngood.model.errors import ExitCode
from knowngood.model.plan import Hop, Plan, PlannedRing
from knowngood.model.record import Status
from knowngood.model.state import End, RunState, StepResult

ROLLBACK = "rollback"
"""As a wave's failure policy: a human asked for all of it to be undone, whatever held the run."""

Flow = Generator[Step, StepResult, End]
Ask = Generator[Step, StepResult, StepResult]


@dataclass
class Stop(Exception):
    """The line stops: why, which nodes are to blame, and (`hold`) whether to freeze as it is.

    `usage`: it stopped at what the user wrote (a file, a credential), not at what a gate or a rule said. `verb`: of
    the step that did not end OK.
    """

    why: str
    status: Status
    nodes: dict[str, str] = field(default_factory=dict)
    passed: tuple[str, ...] = ()
    hold: bool = False
    aborted: bool = False
    usage: bool = False
    hint: str = ""
    verb: Verb | None = None


def next_step(plan: Plan, state: RunState, on_wave_failure: str) -> Step | End:
    """The next step of a run, or how it ends. Pure: the same records give the same answer."""
    script = flow(plan, on_wave_failure)
    try:
        step = next(script)
        while (result := state.results.get(step.path)) is not None:
            step = script.send(result)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]
    return step


def ask(step: Step) -> Ask:
    """Run a step; an abort that was asked for after it stops the line, and so does a node that was lost after it."""
    result = yield step
    if result.abort:
        raise Stop(
            f"abort asked ({result.abort})", Status.INCONCLUSIVE, hold=result.abort == "hold", aborted=True
        )
    if result.lost:  # a node that is no longer ours must not be judged or released as if it were
        why = "; ".join(f"{n}: {why}" for n, why in result.lost.items())
        raise Stop(f"no longer ours: {why}", Status.INCONCLUSIVE, dict(result.lost))
    return result


def need(step: Step) -> Ask:
    """Run a step that must end OK."""
    result = yield from ask(step)
    if result.status is not Status.OK:
        nodes = dict(result.detail.get("failed", {})) | dict(result.detail.get("given_back", {}))
        detail = result.detail
        why, hint = str(detail.get("why", f"{step.path}: {result.status}")), str(detail.get("hint", ""))
        raise Stop(why, result.status, nodes, usage="usage" in detail, hint=hint, verb=step.verb)
    return result


def flow(plan: Plan, on_wave_failure: str) -> Flow:
    """The whole run."""
    try:
        yield from need(Step("observe", Verb.OBSERVE))
        yield from need(Step("preflight", Verb.PREFLIGHT))
        yield from need(Step("check", Verb.CHECK, nodes=plan.nodes))
        yield from need(Step("way-back", Verb.WAY_BACK))
    except Stop as stop:
        return nothing_changed(stop)
    moved: list[tuple[Hop, PlannedRing]] = []
    for hop in plan.hops:
        before, moved = moved, []  # an undo ends at the resting state before this hop
        for ring in hop.rings:
            try:
                yield from need(Step(f"{hop.name}/{ring.name}/window", Verb.WINDOW, hop, ring))
                if before and not moved:
                    yield from need(Step(f"{hop.name}/observe", Verb.OBSERVE, hop))
                yield from need(
                    Step(f"{hop.name}/{ring.name}/baseline", Verb.BASELINE, hop, ring, ring.nodes)
                )
            except Stop as stop:
                return (yield from at_rest(stop, moved or before, on_wave_failure))
            try:
                yield from forward(hop, ring, canary=not moved)
            except Stop as stop:
                if not moved and (yield from never_declared(stop, hop, ring)):
                    return (yield from at_rest(stop, before, on_wave_failure))
                return (yield from stopped(stop, hop, ring, moved, on_wave_failure))
            moved.append((hop, ring))
    try:
        yield from need(Step("prove", Verb.PROVE))
        yield from need(Step("promote", Verb.PROMOTE))
    except Stop as stop:
        return (yield from at_rest(stop, moved, on_wave_failure))
    return End("done", ExitCode.DONE)


def at_rest(stop: Stop, moved: list[tuple[Hop, PlannedRing]], on_wave_failure: str) -> Flow:
    """The end of a run that stopped with no ring open: it holds, unless a human asked for all to be undone.

    `moved` are the rings of the hop that moved last; none: nothing was changed.
    """
    if not moved:
        return nothing_changed(stop)
    if on_wave_failure != ROLLBACK:
        return held(stop)
    return (yield from undo_rings(tuple(reversed(moved)), stop.why, stop.nodes))


def never_declared(stop: Stop, hop: Hop, ring: PlannedRing) -> Generator[Step, StepResult, bool]:
    """Whether the line stopped at a commit that never reached the branch: then there is nothing to bring back."""
    if stop.verb is not Verb.DECLARE:
        return False
    undone = yield Step(
        f"{hop.name}/{ring.name}/undo/declare", Verb.DECLARE, hop, ring, ring.nodes, undo=True
    )
    return undone.status is Status.OK and not undone.detail.get("commit")


def nothing_changed(stop: Stop) -> End:
    """The end of a run that stopped before its first change."""
    why = f"{stop.why}; {stop.hint}" if stop.hint else stop.why
    if stop.status is Status.INCONCLUSIVE:
        return End("inconclusive", ExitCode.INCONCLUSIVE, why, stop.nodes)
    return End("refused", ExitCode.USAGE if stop.usage else ExitCode.REFUSED, why, stop.nodes)


def held(stop: Stop) -> End:
    """The end of a run that froze for a human."""
    return End("held", ExitCode.HUMAN, stop.why, stop.nodes)


def forward(hop: Hop, ring: PlannedRing, *, canary: bool) -> Generator[Step, StepResult, None]:
    """Move one ring: declare, batch by batch, nodes given back once more, soak, confirm. Raises Stop."""
    at = f"{hop.name}/{ring.name}"
    yield from need(Step(f"{at}/declare", Verb.DECLARE, hop, ring, ring.nodes))
    yield from need(Step(f"{at}/deliver", Verb.DELIVER, hop, ring, ring.nodes))
    given_back: list[str] = []
    for number, nodes in enumerate(ring.batches, start=1):
        given_back += yield from batch(f"{at}/batch-{number}", hop, ring, nodes, canary=canary)
    if given_back:
        left = yield from batch(f"{at}/again", hop, ring, tuple(given_back), canary=canary)
        if left:
            why = "a tenant's disruption budget did not let us drain"
            raise Stop(f"{at}: {why}", Status.INCONCLUSIVE, dict.fromkeys(left, why))
    yield from need(Step(f"{at}/soak", Verb.SOAK, hop, ring, ring.nodes))
    yield from judged(Step(f"{at}/confirm", Verb.CONFIRM, hop, ring, ring.nodes), Verb.CONFIRM, canary=canary)


def batch(
    at: str, hop: Hop, ring: PlannedRing, nodes: tuple[str, ...], *, canary: bool
) -> Generator[Step, StepResult, list[str]]:
    """Take nodes out, move, judge and give them back; returns the ones whose tenants did not let us drain."""
    yield from need(Step(f"{at}/claim", Verb.CLAIM, hop, ring, nodes))
    drained = yield from ask(Step(f"{at}/drain", Verb.DRAIN, hop, ring, nodes))
    given_back = dict(drained.detail.get("given_back", {}))
    if drained.status is not Status.OK and not (given_back and not drained.detail.get("failed")):
        failed = dict(drained.detail.get("failed", {})) | given_back
        raise Stop(str(drained.detail.get("why", "the drain failed")), drained.status, failed)
    out = tuple(n for n in nodes if n not in given_back)
    if out:
        yield from need(Step(f"{at}/baseline", Verb.BASELINE, hop, ring, out, drained=True))
        yield from need(Step(f"{at}/apply", Verb.APPLY, hop, ring, out))
        yield from judged(Step(f"{at}/judge", Verb.JUDGE, hop, ring, out), Verb.RETEST, canary=canary)
        yield from need(Step(f"{at}/release", Verb.RELEASE, hop, ring, out))
    return list(given_back)


def judged(step: Step, retest: Verb, *, canary: bool) -> Generator[Step, StepResult, None]:
    """Judge. A bad verdict stops the line; after the canary the bad nodes are tested once more first (`retest`)."""
    first = yield from ask(step)
    if first.status is Status.OK:
        return
    bad = {n: str(w) for n, w in dict(first.detail.get("failed", {})).items()} or dict.fromkeys(
        step.nodes, ""
    )
    if not canary:
        suspects = tuple(n for n in step.nodes if n in bad)
        at = step.path.rsplit("/", 1)[0]
        again = yield from ask(replace(step, path=f"{at}/retest", verb=retest, nodes=suspects))
        if again.status is Status.OK:
            return
        bad = {n: str(w) for n, w in dict(again.detail.get("failed", {})).items()} or bad
    good = tuple(n for n in step.nodes if n not in bad)
    raise Stop(str(first.detail.get("why", "a gate said no")), first.status, bad, good)


def pairs(why: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """A mapping as the hashable pairs a Step carries."""
    return tuple((str(k), str(v)) for k, v in why.items())


def stopped(
    stop: Stop, hop: Hop, ring: PlannedRing, moved: list[tuple[Hop, PlannedRing]], on_wave_failure: str
) -> Flow:
    """What a stopped line means: freeze, undo the canary, hold a later ring, or undo all where the profile says so.

    An abort takes a later ring back before it holds.
    """
    if stop.hold and on_wave_failure != ROLLBACK:
        return held(stop)
    if not moved:
        return (yield from undo_rings(((hop, ring),), stop.why, stop.nodes))
    if on_wave_failure in ("undo", ROLLBACK):
        return (yield from undo_rings(((hop, ring), *reversed(moved)), stop.why, stop.nodes))
    if stop.aborted:
        stay = tuple(r.name for _, r in moved)
        return (yield from undo_open_ring(hop, ring, stop.why, stop.nodes, stay))
    named = yield from settle(hop, ring, stop)
    return End("held", ExitCode.HUMAN, stop.why, named)


def settle(hop: Hop, ring: PlannedRing, stop: Stop) -> Generator[Step, StepResult, dict[str, str]]:
    """Hold a later ring: what passed or was never touched goes back to work, the rest is quarantined.

    Returns the nodes a human must look at.
    """
    at = f"{hop.name}/{ring.name}/hold"
    seen = yield Step(f"{at}/look", Verb.LOOK, hop, ring, ring.nodes)
    known = seen.status is Status.OK
    changed = tuple(seen.detail.get("changed", ())) if known else ring.nodes
    claimed = tuple(seen.detail.get("claimed", ())) if known else ring.nodes
    unproven = dict.fromkeys((n for n in claimed if n in changed), "moved, but not proven")
    bad = {n: w for n, w in (unproven | stop.nodes).items() if n in changed and n not in stop.passed}
    bad |= lost(seen)
    good = tuple(n for n in claimed if n not in bad)
    if good:
        released = yield Step(f"{at}/release", Verb.RELEASE, hop, ring, good)
        bad |= told(released, good, "could not be given back")
    if bad:
        shut = yield Step(f"{at}/quarantine", Verb.QUARANTINE, hop, ring, tuple(bad), why=pairs(bad))
        bad |= told(shut, tuple(bad), "could not be quarantined", bad)
    return stop.nodes | bad
