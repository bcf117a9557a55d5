"""The verbs: each does one step through the ports and says how it ended. No verb decides what comes next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from knowngood.engine import (
    again,
    bmcs,
    changed,
    earlier,
    easing,
    fleet,
    holding,
    judgements,
    judging,
    pools,
    recording,
    restarts,
    restored,
)
from knowngood.engine.ahead import taken_anew
from knowngood.engine.preflight import ended, preflight
from knowngood.engine.soaking import soak
from knowngood.engine.standing import last_change
from knowngood.engine.steps import RingStep, Step, Verb
from knowngood.engine.verify import verify
from knowngood.engine.work import Done, NodesCouldNot, Work, named
from knowngood.model import names
from knowngood.model.claims import Hold, held, surely_held
from knowngood.model.detail import Detail
from knowngood.model.errors import CouldNot, DeadlineExceeded
from knowngood.model.node import NodeState
from knowngood.model.plan import FLEET, Plan
from knowngood.model.record import Status
from knowngood.model.steppath import StepPath
from knowngood.model.verdict import Verdict
from knowngood.planner import readings
from knowngood.planner.pace import ring_and_undo, seconds_between
from knowngood.planner.version import TEXT, runs
from knowngood.planner.window import fits, undo_must_start_by
from knowngood.ports.delivery import SyncFailed
from knowngood.ports.gitops import FieldTaken
from knowngood.ports.nodes import Outcome


def observe(work: Work, step: Step) -> Done:
    """Measure every node; what runs must be what Git declares, and no other run may be open."""
    before = None if step.hop else last_change(work.ports.checkpoint, without=work.run)
    if before is not None and not before.end:
        hint = f"knowngood resume {before.run}, or knowngood rollback {before.run}"
        why = f"run {before.run} changed the cluster and has not ended"
        return Done(Status.FAIL, Detail(why=why, hint=hint))
    roles = work.ports.cluster.node_names()
    machines = [n for n, role in roles.items() if role != "virtual"]
    missing = sorted(set(work.plan.nodes) - set(machines))
    if missing:
        why = f"{', '.join(missing)}: in the cluster file, but not a node of this cluster"
        return Done(Status.FAIL, Detail(why=why, failed=dict.fromkeys(missing, "no such node")))
    seen = work.observe(machines) if step.hop else work.begin(machines)
    files = work.keep("nodes", seen) | work.keep("workloads", list(work.ports.cluster.workloads()))
    if not step.hop:
        files |= work.keep(judging.EARLIER, earlier.spans(work.ports.checkpoint, seen, without=work.run))
    asked = [n for n in (work.plan.nodes if step.hop else work.cluster.gpu) if n in seen]
    unread = {n: seen[n].trouble or "unreachable" for n in asked if not seen[n].reachable}
    if unread:
        return Done(Status.INCONCLUSIVE, Detail(why=named("can't be read", unread), failed=unread), files)
    if strange := pools.otherwise(work, seen):
        return Done(
            Status.FAIL, Detail(why=named(pools.WHY, strange), failed=strange, hint=pools.HINT), files
        )
    needed = {n: readings.required(work.hardware.of(n)) for n in asked}
    gaps = {n: ", ".join(lacks) for n in asked if (lacks := restored.missing(seen[n], needed[n]))}
    if gaps:
        hint = "the profile's optionalReadings names what such a machine may not give"
        why = named("what a proof of the way back needs can't be read", gaps)
        return Done(Status.INCONCLUSIVE, Detail(why=why, failed=gaps, hint=hint), files)
    other = _running_otherwise(work, step, seen)
    differs, silent = fleet.otherwise(work, (step.hop,) if step.hop else work.plan.hops)
    if other or differs:
        why = "; ".join([*([named("what runs is not what Git declares", other)] if other else []), *differs])
        return Done(Status.FAIL, Detail(why=why, failed=other, hint=_mend(work.plan)), files)
    if silent:
        return Done(Status.INCONCLUSIVE, Detail(why="; ".join(silent)), files)
    return replace(ended(fleet.in_the_way(work, step.hop), Detail(nodes=len(seen))), files=files)


def _mend(plan: Plan) -> str:
    return f"go on with the run that left it so, or {plan.words.does} there, or take the commit back"


def _running_otherwise(work: Work, step: Step, seen: Mapping[str, NodeState]) -> dict[str, str]:
    """GPU nodes that don't run what Git declares for them, with both versions.

    At the start also those of rings that do not move: Git may have been changed and the node not been reloaded.
    """
    plan = work.plan
    other: dict[str, str] = {}
    moved = {m.component for hop in plan.hops for ring in hop.rings for m in ring.moves}
    for node in plan.nodes if step.hop else work.cluster.gpu:
        wanted = {m.component: m.from_version for m in step.hop.moves} if step.hop else plan.starts_with(node)
        for component in sorted(moved & wanted.keys()):
            running = seen[node].versions.get(component, "") if node in seen else ""
            if not runs(plan.schemes.get(component, TEXT), wanted[component], running):
                told = f"runs {component} {running or 'of unknown version'}, not {wanted[component]}"
                other.setdefault(node, told)
    return other


def way_back(work: Work, step: Step) -> Done:
    """Send a no-op commit and its revert through the branch to Argo CD, and time it.

    In a hop it is asked of what has just moved: that it does not deliver is an answer, not an interruption.
    """
    key = {names.TRAILER_RUN: work.run} | ({names.TRAILER_HOP: step.hop.name} if step.hop else {})
    forth, back = work.ports.gitops.rehearse_way_back(key)
    try:
        seconds = work.ports.delivery.wait(back, (), work.cluster.limits.deliver, work.cancel)
    except (DeadlineExceeded, SyncFailed) as error:
        if not isinstance(step, RingStep):
            raise
        files = ", ".join(dict.fromkeys(change.file for change in step.ring.changes))
        why = f"{error}; {DEAF.format(moved=step.hop.name, run=work.run, files=files)}"
        return Done(Status.INCONCLUSIVE, Detail(commit=forth, revert=back, why=why))
    return Done(Status.OK, Detail(commit=forth, revert=back, seconds=round(seconds, 3)))


DEAF = (
    "since {moved} nothing is delivered, so no undo would be: mend it, and knowngood rollback {run} takes {moved} back;"
    " or revert its commit, and apply {files} as Git has it then by kubectl apply --server-side --force-conflicts,"
    " the one thing to be written past Git"
)
"""What to do where what brings every commit does not, after it moved."""


def window(work: Work, step: RingStep) -> Done:
    """A ring starts only if it and its undo, both measured, end before the change window does, and no sync window
    holds either back.
    """
    end = work.cluster.window_end
    soak = work.cluster.limits.soak if step.ring.nodes else 0.0
    ring, undo = ring_and_undo(work.state, len(step.ring.batches), soak)
    if held_back := work.ports.delivery.windows(ring + undo):
        why = "; ".join(map(str, held_back))
        if all(f.verdict is Verdict.INCONCLUSIVE for f in held_back):
            raise CouldNot(why)
        return Done(Status.INCONCLUSIVE, Detail(why=why))
    if late := _stood_too_long(work, step, ring) or bmcs.waiting(work, step.ring.nodes):
        return Done(Status.INCONCLUSIVE, Detail(why=late))
    if not end:
        return Done(Status.OK)
    detail = Detail(ring_seconds=round(ring), undo_seconds=round(undo), by=undo_must_start_by(end, undo))
    if fits(work.ports.clock.now(), ring, undo, end):
        return Done(Status.OK, detail)
    why = f"{step.ring.name} needs {ring:.0f} s and its undo {undo:.0f} s; the window ends at {end}"
    return Done(Status.INCONCLUSIVE, replace(detail, why=why))


def _stood_too_long(work: Work, step: RingStep, ring: float) -> str:
    """Why the next ring does not start: what any new pod takes would stand longer than the cluster file allows."""
    declared = work.state.results.get(StepPath(step.hop.name).child(FLEET, Verb.DECLARE))
    if declared is None or not step.hop.leaky or not step.ring.nodes:
        return ""
    stood = seconds_between(declared.ended, work.ports.clock.now())
    if stood + ring <= work.cluster.limits.leaky:
        return ""
    return f"{step.hop.leaky} for {stood:.0f} s; with {step.ring.name} longer than {work.cluster.limits.leaky:.0f} s"


def declare(work: Work, step: RingStep) -> Done:
    """Commit this ring's fields and push; for an undo, revert that commit."""
    moves = ", ".join(f"{m.component} {m.to_version}" for m in step.hop.moves)
    if not step.undo:
        subject = f"{work.plan.cluster} {step.ring.name}: {moves}"
        commit = work.ports.gitops.declare(step.ring.changes, subject, work.trailers(step))
        return Done(Status.OK, Detail(commit=commit))
    commit = changed.reached(work, step)
    if not commit:
        return Done(Status.OK, Detail(why="the commit never reached the branch"))
    if step.hop.closed:
        return Done(
            Status.FAIL, Detail(commit=commit, why=f"{step.hop.name} can't be undone: its commit stays")
        )
    easing.ease(work, step)
    subject = f"{work.plan.cluster} {step.ring.name}: back from {moves}"
    undone = work.ports.gitops.undo(commit, step.ring.changes, subject, work.trailers(step))
    return Done(Status.OK, Detail(commit=undone, undoes=commit))


def deliver(work: Work, step: RingStep) -> Done:
    """Wait until Argo CD has brought the commit to the live objects. FieldTaken where Git holds it no more."""
    declared = work.state.results[step.path.sibling(Verb.DECLARE)]
    commit = declared.detail.commit
    if not commit:  # nothing of ours was there to take back: what others declare is waited for in vain
        return Done(Status.OK, Detail(why="nothing to deliver"))
    changes = work.changes(step)
    try:
        seconds = work.ports.delivery.wait(commit, changes, work.cluster.limits.deliver, work.cancel)
    except DeadlineExceeded as error:
        for change in changes:  # Argo CD brings what the branch says, and others write there, too
            if (value := work.ports.gitops.value(change)) != change.after:
                told = f"{change.file}: {change.path} is {value}, not {change.after}"
                raise FieldTaken(f"{told}: somebody else wrote it after commit {commit[:10]}") from error
        raise
    return Done(Status.OK, Detail(commit=commit, seconds=round(seconds, 3)))


def claim(work: Work, step: RingStep) -> Done:
    """Claim, taint and cordon; the judgement's window opens here."""
    outcome = work.ports.nodes.claim(
        step.nodes, work.fence, work.cancel, hold=work.plan.hold, specs=work.plan.claiming(step.ring)
    )
    seen = work.look(outcome.done, outcome.seen)
    windows = judging.windows_of(seen, work.ports.clock.now())
    done = _folded(step, outcome)
    early = {} if step.undo else restarts.otherwise(work, step, seen)
    if early and done.status is Status.OK:
        why = restarts.why(judgements.EARLY, early)
        return Done(Status.INCONCLUSIVE, replace(done.detail, windows=windows, failed=early, why=why))
    told = {} if step.undo else restarts.restarted(work, step, seen)
    shut = [n for n in outcome.done if n not in windows]
    if shut and done.status is Status.OK and not step.undo:  # an undo's window opened when we looked
        raise CouldNot(f"boot id and uptime of {', '.join(shut)} can't be read")
    detail = replace(restarts.telling(done.detail, told), windows=windows)
    return Done(done.status, detail, done.files)


def drain(work: Work, step: RingStep) -> Done:
    """Take those off the nodes whom the move would hurt, within their budgets."""
    users = sorted({user for moving in work.moving(step) for user in moving.spec.users})
    outcome = work.ports.nodes.drain(step.nodes, work.fence, work.cancel, users=users, keep=step.undo)
    return _folded(step, outcome, work)


def apply(work: Work, step: RingStep) -> Done:
    """Bring the wanted versions to the nodes, and wait for the proof of their arrival."""
    outcome = work.ports.nodes.apply(step.nodes, work.fence, work.moving(step), work.cancel)
    done = _folded(step, outcome, work)
    seen = work.look(outcome.done, outcome.seen)
    loaded = {n: s.newest.version for n, s in seen.items() if s.newest}
    others = {} if step.undo else restarts.restarted(work, step, seen)
    told = {n: how for n, how in others.items() if outcome.detail.get(n, {}).get("restarted") is False}
    detail = replace(restarts.telling(done.detail, told), loads=judging.loads_of(seen), loaded=loaded)
    return Done(done.status, detail, done.files)


def second_load(work: Work, step: RingStep) -> Done:
    """Load once more what the nodes were proven to run; whether it came as it must is for the gates to say."""
    since = again.first_loads(work, step)
    if untold := [n for n in step.nodes if n not in since]:
        why = "when it was loaded first can't be told, so no second load can be proven"
        failed = dict.fromkeys(untold, why)
        return Done(Status.INCONCLUSIVE, Detail(why=named("not loaded again", failed), failed=failed))
    outcome = work.ports.nodes.load_again(
        step.nodes, work.fence, work.moving(step), work.cancel, how=again.how(step), since=since
    )
    done = _folded(step, outcome, work)
    seen = work.look(outcome.done, outcome.seen)
    return Done(done.status, replace(done.detail, loads=judging.loads_of(seen)), done.files)


def release(work: Work, step: RingStep) -> Done:
    """Give the nodes back as the snapshot says."""
    return _folded(step, work.ports.nodes.release(step.nodes, work.fence, work.cancel))


def quarantine(work: Work, step: RingStep) -> Done:
    """Leave the nodes tainted and cordoned for a human."""
    return _folded(step, work.ports.nodes.quarantine(dict(step.why), work.fence, work.cancel))


def _folded(step: Step, outcome: Outcome, work: Work | None = None) -> Done:
    """An Outcome as a record; larger details become a file."""
    detail = Detail(done=outcome.done)
    files = work.keep("detail", outcome.detail) if work and outcome.detail else {}
    if outcome.given_back:
        why = named("not drained", outcome.given_back)
        detail = replace(detail, given_back=outcome.given_back, why=why)
    if outcome.failed:
        why, unable = named(f"{step.verb} failed", outcome.failed), tuple(outcome.could_not)
        detail = replace(
            detail, failed=outcome.failed, why=why, could_not=unable, stripped=tuple(outcome.stripped)
        )
    lost = [n for n in step.nodes if n not in {*outcome.done, *outcome.failed, *outcome.given_back}]
    if lost:
        silent = f"{step.verb} gave no answer"
        detail = replace(
            detail,
            could_not=(*outcome.could_not, *lost),
            failed={**outcome.failed, **dict.fromkeys(lost, silent)},
            why=named(silent, dict.fromkeys(lost, "nothing came back")),
        )
    if not (detail.failed or detail.given_back):
        return Done(Status.OK, detail, files)
    unknown = set(detail.could_not)
    measured = set(detail.failed) - unknown
    done = Done(Status.FAIL if measured else Status.INCONCLUSIVE, detail, files)
    if unknown and not measured and not outcome.given_back:
        raise NodesCouldNot(done)
    return done


def reclaim(work: Work, step: Step) -> Done:
    """After a resume under a new Lease: put the new fence on the nodes that say they are ours.

    `free` are those that a step may have claimed and did not, or gave back with its answer lost. What was surely ours
    and is no more has failed: somebody removed its claim.
    """
    now = held(work.state, step.nodes, work.ports.cluster.marks())
    ours = tuple(n for n in step.nodes if now[n].hold is Hold.OUT)
    sure = surely_held(work.state)
    anew = taken_anew(work.plan, work.state)  # also what an operator uncordoned after its boot
    gone = {
        n: now[n].why or f"it is {now[n].hold}"
        for n in step.nodes
        if n not in ours
        and not (n in anew and now[n].hold is Hold.MARKED)
        and (n in sure or now[n].hold in (Hold.MARKED, Hold.TAKEN, Hold.UNKNOWN))
    }
    done = _folded(
        replace(step, nodes=ours),
        work.ports.nodes.claim(ours, work.fence, work.cancel, hold=work.plan.hold, specs=work.plan.movers),
    )
    free = tuple(n for n in step.nodes if n not in ours and n not in gone)
    detail = replace(done.detail, free=free)
    if not gone:
        return replace(done, detail=detail)
    failed = {**detail.failed, **gone}
    why = named("no longer ours", failed)
    return Done(Status.FAIL, replace(detail, failed=failed, why=why), done.files)


ANY: Mapping[Verb, Callable[[Work, Step], Done]] = {
    Verb.OBSERVE: observe,
    Verb.PREFLIGHT: preflight,
    Verb.CHECK: judging.judge,
    Verb.WAY_BACK: way_back,
    Verb.JUDGE: judging.judge,
    Verb.RETEST: judging.judge,
    Verb.CONFIRM: judging.judge,
    Verb.PROVE: judgements.prove,
    Verb.PROMOTE: recording.promote,
    Verb.RECORD: recording.record,
    Verb.VERIFY: verify,
    Verb.RECLAIM: reclaim,
    Verb.HOLD: holding.hold,
    Verb.LET_GO: holding.let_go,
}
"""Verbs of the whole run; those that judge or prove do so on a ring, too."""
OF_A_RING: Mapping[Verb, Callable[[Work, RingStep], Done]] = {
    Verb.WINDOW: window,
    Verb.DECLARE: declare,
    Verb.DELIVER: deliver,
    Verb.APPROVE: fleet.approve,
    Verb.SETTLE: fleet.settle,
    Verb.BACK: fleet.back,
    Verb.WATCH: fleet.watch,
    Verb.CLAIM: claim,
    Verb.DRAIN: drain,
    Verb.BASELINE: judgements.baseline,
    Verb.APPLY: apply,
    Verb.SECOND_LOAD: second_load,
    Verb.RELEASE: release,
    Verb.SOAK: soak,
    Verb.QUARANTINE: quarantine,
    Verb.LOOK: changed.look,
}


def perform(work: Work, step: Step) -> Done:
    """Do a step."""
    if isinstance(step, RingStep) and step.verb in OF_A_RING:
        return holding.watched(work, step, partial(OF_A_RING[step.verb], work, step))
    return holding.watched(work, step, partial(ANY[step.verb], work, step))
