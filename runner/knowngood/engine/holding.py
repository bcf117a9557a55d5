"""The verbs that hold others' work while nodes are out, and the look that sees whether the holds stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from knowngood.engine.ahead import brake
from knowngood.engine.steps import Step, Verb
from knowngood.engine.work import Done, Work, named
from knowngood.model.detail import Detail
from knowngood.model.errors import Interrupted, KnowngoodError, LockHeld
from knowngood.model.holding import held_objects
from knowngood.model.record import Status
from knowngood.planner.holding import ends_before, lifted_twice, until
from knowngood.planner.pace import run_and_undo
from knowngood.ports.holds import Taken, Term

BRAKE = "it would move nodes on to what can't be undone"
"""Why a hold stays when a run has ended."""

WATCHED = (Verb.CLAIM, Verb.JUDGE)
"""The steps before which it is seen that the holds stand: while a node is on its way, nothing is changed for it."""


def hold(work: Work, step: Step) -> Done:
    """Pause those who act on the nodes of the plan. A way back is not kept by what can't be held: it is told.

    With a hop: all but that one's brake, which has stayed on since the run ended inside it.
    """
    term = _term(work, run_and_undo(work.plan))
    early = _too_early(work, term)
    if early and not step.undo:
        return Done(
            Status.FAIL, Detail(why=early, hint="see to the certificates, or let the pools roll first")
        )
    stays = brake(work.plan, step.hop.name) if step.hop else ()
    kinds = [what for what in work.plan.holds if what not in stays]
    taken = work.ports.holds.take(kinds, work.plan.nodes, term)
    taken = taken if stays else _with_those_who_wait(work, taken, term)
    kept = _braked(work) if stays else []
    told = [named("paused before by others", dict.fromkeys(taken.others, "stays so"))] if taken.others else []
    told += [early] if early else []
    told += taken.told
    told += [named("can't be held", {**taken.busy, **taken.failed})] if taken.busy or taken.failed else []
    detail = Detail(held=(*kept, *taken.held), until=term.until, why="; ".join(told))
    refused = (taken.busy or taken.failed) and not step.undo
    return Done(Status.INCONCLUSIVE if refused else Status.OK, detail)


def _with_those_who_wait(work: Work, taken: Taken, term: Term) -> Taken:
    """What was taken, and the brake of nodes that no ring comes to, where nodes wait over a hop: else these would boot
    in each of them."""
    paused = next((hop for hop in work.plan.hops if hop.paused), None)
    if paused is None or not work.cluster.cpu:
        return taken
    more = work.ports.holds.take(brake(work.plan, paused.name), work.cluster.cpu, term)
    return Taken(
        tuple(dict.fromkeys((*taken.held, *more.held))),
        tuple(dict.fromkeys((*taken.others, *more.others))),
        {**taken.busy, **more.busy},
        {**taken.failed, **more.failed},
        taken.told,
    )


def let_go(work: Work, step: Step) -> Done:
    """Let those go on whom this run holds; but for the brake of a hop without a way back, where the run ends inside."""
    stays = brake(work.plan, step.hop.name) if step.hop else ()
    gone = work.ports.holds.let_go([what for what in work.plan.holds if what not in stays], work.run)
    if gone.failed:
        return Done(Status.FAIL, Detail(why=named("could not let go", gone.failed), kept=gone.failed))
    return Done(Status.OK, Detail(kept=dict.fromkeys(_braked(work) if stays else (), BRAKE)))


def _braked(work: Work) -> list[str]:
    """What this run still holds and what would move nodes on if it were let go."""
    return [one.where for one in work.ports.holds.standing() if one.run == work.run and one.starts]


def watched(work: Work, step: Step, do: Callable[[], Done]) -> Done:
    """Do a step, having seen before that all holds stand; what was lifted is held again, and told in its outcome.

    The line stops before a claim where that does not help, or where the holds must end before they are needed no more;
    and before a later hop that can't be undone where anything was lifted, whatever it was: of some holds the commit
    alone moves nodes, and who ends the one may end the other.
    """
    kept = held_objects(work.state)
    before_closed = step.verb is Verb.OBSERVE and step.hop is not None and step.hop.closed and not step.undo
    if not kept or not (before_closed or step.verb in WATCHED):
        return do()
    term = _term(work)
    lifted = _lifted(work, step, kept, term)
    if before_closed:
        stop = (
            named("what was held did not stand before what can't be undone, find out who ended it", lifted)
            if lifted
            else ""
        )
    else:
        stop = "" if step.undo or step.verb is not Verb.CLAIM else _why_not(work, step, lifted, term)
    if stop:
        return Done(Status.INCONCLUSIVE, Detail(why=stop, lifted=lifted))
    done = do()
    return replace(done, detail=replace(done.detail, lifted=lifted)) if lifted else done


def _lifted(work: Work, step: Step, kept: tuple[str, ...], term: Term) -> Mapping[str, str]:
    if not step.undo:
        return work.ports.holds.keep(kept, term)
    try:
        return work.ports.holds.keep(kept, term)
    except (Interrupted, LockHeld):
        raise
    except KnowngoodError as error:  # the way back goes on
        return dict.fromkeys(kept, f"could not be seen to: {error}")


def _why_not(work: Work, step: Step, lifted: Mapping[str, str], term: Term) -> str:
    looks = [
        (path.ring, result.detail.lifted)
        for path in work.state.intended
        if path.verb in WATCHED and not path.is_undo and (result := work.state.results.get(path))
    ]
    twice = lifted_twice([*looks, (step.path.ring, lifted)])
    if twice:
        return f"{', '.join(twice)} was lifted twice in a row: find out by whom before more nodes go out"
    return _too_early(work, term)


def _term(work: Work, expected: float = 0.0) -> Term:
    now, limits = work.ports.clock.now(), work.cluster.limits
    return Term(work.run, work.state.who, until(now, limits, expected))


def _too_early(work: Work, term: Term) -> str:
    """Why the holds would have to end before they are needed no more, "" where nothing bounds them."""
    end, why = work.ports.holds.bound(work.plan.holds)
    return f"holds are needed until {term.until}: {why}" if ends_before(end, term.until) else ""
