"""The whole script of a run: its flow, with others held from its first hop on until nothing is out any more.

They are let go before the whole cluster is judged or proven to be as before, since that is a cluster without holds of
ours; or at the end, whatever it is. A run that had ended and is taken back by a human holds them anew, and so does one
before each later hop that can't be undone: an earlier one has let its brake go, ring by ring. One that ended held and
goes on holds anew what it had let go.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from knowngood.engine.ahead import brake
from knowngood.engine.flow import ROLLBACK, Flow, Policy, flow
from knowngood.engine.line import Stop, abort_of, need
from knowngood.engine.steps import RingStep, Step, Verb
from knowngood.model.detail import Reasons
from knowngood.model.errors import ExitCode
from knowngood.model.plan import Plan
from knowngood.model.record import Status
from knowngood.model.state import End, RunState, StepResult
from knowngood.model.steppath import StepPath


def next_step(plan: Plan, state: RunState, on_wave_failure: str) -> Step | End:
    """The next step of a run, or how it ends. Pure: the same records give the same answer."""
    policy = Policy(on_wave_failure, state.undo, state.redone)
    if state.went_on and not state.undo_all and (before := held_anew(plan, state)):
        return before
    run = flow(plan, policy)
    script = holding(plan, run, policy) if plan.holds else run
    try:
        step = next(script)
        while (result := state.results.get(step.path)) is not None:
            step = script.send(result)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]
    return step


def held_anew(plan: Plan, state: RunState) -> Step | End | None:
    """What a run that goes on after it had ended does first: hold whom it had let go; None where they are held.

    Where they can't be, it ends as it stood, with the brake of its hop still on.
    """
    if not plan.holds or not state.let_go:
        return None
    at = StepPath(f"on-{state.went_on}")
    inside = next((hop for hop in plan.hops if hop.name == state.went_on_in and hop.closed), None)
    taken = state.results.get(at.child("hold"))
    if taken is None:
        return Step(at.child("hold"), Verb.HOLD, hop=inside)
    if taken.status is Status.OK:
        return None
    gone = state.results.get(at.child("let-go"))
    if gone is None:
        return Step(at.child("let-go"), Verb.LET_GO, hop=inside)
    return let_go_last(
        End("held", ExitCode.HUMAN, taken.detail.why, within=inside.name if inside else ""), gone
    )


def holding(plan: Plan, run: Flow, policy: Policy) -> Flow:
    """A run's flow, with holds. What stops at one stops the run where it stands.

    Where it ends inside a hop that can't be undone, that hop's brake stays on.
    """
    ended = policy.on_wave_failure == ROLLBACK  # it ended once, and let all go
    at, began, held, kept = StepPath(), False, False, dict[str, str]()
    try:
        step = next(run)
        while True:
            if ended and step.path.undo == policy.undo:
                ended, held, at = False, True, StepPath(policy.undo)
                yield Step(at.child("hold"), Verb.HOLD, undo=True)
            elif step.path.parent and not began:
                began = held = True
                if stop := (yield from taken(Step(StepPath("hold"), Verb.HOLD))):
                    step = run.throw(stop)
                    continue
            elif step.hop and held and brakes_again(plan, step):
                if stop := (yield from taken(Step(StepPath(step.hop.name).child("hold"), Verb.HOLD))):
                    step = run.throw(stop)
                    continue
            elif held and last_of(step):
                held = False
                gone = yield Step(at.child("let-go"), Verb.LET_GO)
                kept = still_held(gone)
                if gone.abort:
                    step = run.throw(abort_of(gone))
                    continue
            step = run.send((yield step))
    except StopIteration as finished:
        end: End = finished.value
    if held:
        inside = next((hop for hop in plan.hops if hop.name == end.within), None)
        gone = yield Step(at.child("let-go"), Verb.LET_GO, hop=inside)
        return let_go_last(end, gone)
    return named(end, kept)


def let_go_last(end: End, gone: StepResult) -> End:
    """How a run ends that let go last: with what it could not let go, and the brake that stays on inside a hop."""
    kept = still_held(gone)
    if end.within and not kept and gone.detail.kept:
        stays = ", ".join(gone.detail.kept)
        end = replace(end, why=f"{end.why}; {stays} stays paused: let go, it moves its nodes on, undrained")
    return named(end, kept)


def taken(step: Step) -> Generator[Step, StepResult, Stop | None]:
    """Take the holds; the stop where that did not end well."""
    try:
        yield from need(step)
    except Stop as stop:
        return stop
    return None


def brakes_again(plan: Plan, step: Step) -> bool:
    """Whether a step opens a hop that can't be undone and whose brake an earlier such hop has let go."""
    if step.hop is None or step.verb is not Verb.OBSERVE or not step.hop.closed:
        return False
    before = plan.hops[: plan.hops.index(step.hop)]
    let_go = {what for hop in before if hop.closed for what in brake(plan, hop.name)}
    return not let_go.isdisjoint(brake(plan, step.hop.name))


def last_of(step: Step) -> bool:
    """Whether no node is out any more: the whole cluster is judged, or proven to be as before."""
    return step.verb in (Verb.PROVE, Verb.VERIFY) and not isinstance(step, RingStep)


def still_held(gone: StepResult) -> dict[str, str]:
    """What could not be let go, with the reason."""
    if gone.status is Status.OK:
        return {}
    return dict(gone.detail.kept) or {"what was held": gone.detail.why or str(gone.status)}


def named(end: End, kept: Reasons) -> End:
    """How a run ends that could not let all go: for a human, whatever it was."""
    if not kept:
        return end
    told = "; ".join(f"{what} could not be let go ({why})" for what, why in list(kept.items())[:5])
    if end.exit_code is ExitCode.HUMAN:
        return replace(end, why=f"{end.why}; {told}")
    return replace(end, name="held", exit_code=ExitCode.HUMAN, why=f"{end.why or end.name}; {told}")
