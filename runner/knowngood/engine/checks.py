"""What must be so before a run's first commit, forward and back: the one list, for preflight and for `doctor`.

Each check changes nothing. It gives a finding for each reason not to start, with what to do about it, or none; what
could not be asked at all is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from knowngood.engine import bmcs
from knowngood.engine.fleet import by_commit
from knowngood.engine.standing import last_change
from knowngood.engine.work import Done, Work
from knowngood.model.errors import DeadlineExceeded, Inconclusive
from knowngood.model.field import FieldChange
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.record import Status
from knowngood.planner.holding import way_on
from knowngood.planner.pace import run_and_undo
from knowngood.planner.readiness.required import unmet_in_git, wanted
from knowngood.ports.registry import PRESENT, TARGET

SETTLES = 20.0
"""Seconds that controllers get to settle what is likely to pass by itself: an operator looks again every few seconds,
and so does an Application that a push has just made OutOfSync."""
SHOWN = 5  # nodes in one finding


@dataclass(frozen=True, slots=True)
class Asked:
    """What the checks are about. `observed`: how the first look at all nodes ended.

    Filled by the checks: `busy` with the nodes that somebody else works on, `unproven` with what nobody could tell and
    no run waits for, `unsure` with what only the run's end can tell.
    """

    work: Work
    observed: Done
    busy: dict[str, str] = field(default_factory=dict)
    unproven: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)

    @property
    def first(self) -> tuple[FieldChange, ...]:
        """What the first hop changes: what a later one starts from is what an earlier one brings."""
        hops = self.work.plan.hops
        return tuple(c for part in hops[0].parts for c in part.changes) if hops else ()

    @property
    def every(self) -> tuple[FieldChange, ...]:
        """What all hops change."""
        return tuple(c for hop in self.work.plan.hops for part in hop.parts for c in part.changes)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the list. `title` says what is so where nothing is found.

    `first`: without it nothing after it can be asked. `settles`: some of what it finds passes by itself. `last`: asked
    by a run only where nothing else was found. `of_hops`: it asks about what a plan's hops move, so of a plan without
    any it says nothing.
    """

    name: str
    title: str
    look: Callable[[Asked], Iterable[Finding]]
    first: bool = False
    settles: bool = False
    last: bool = False
    of_hops: bool = False


def _rights(asked: Asked) -> Iterable[Finding]:
    return asked.work.ports.readiness.rights(asked.every)


def _open_run(asked: Asked) -> Iterator[Finding]:
    before = last_change(asked.work.ports.checkpoint, without=asked.work.run)
    if before is not None and not before.end:
        hint = f"knowngood resume {before.run}, or knowngood rollback {before.run}"
        yield refused(f"run {before.run}", "it changed the cluster and has not ended", hint)


def _nodes(asked: Asked) -> Iterator[Finding]:
    done = asked.observed
    if done.status is not Status.OK:
        told = refused if done.status is Status.FAIL else unknown
        yield told("", done.detail.why, done.detail.hint)


HINTS = {
    "claim": "once it is well: knowngood clear {where}",
    "taint": "once it is well: knowngood clear {where}",
}
"""What helps against what was left over, by its kind."""


def _left_over(asked: Asked) -> Iterator[Finding]:
    ports = asked.work.ports
    for left in (*ports.cluster.leftovers(), *ports.holds.standing()):
        if left.of_others(asked.work.run):
            yield unknown(f"job {left.where}", f"a probe is at work: {left.detail}", "wait until it is done")
        elif left.kind != "lease":
            known = HINTS.get(left.kind, "knowngood status").format(where=left.where)
            hint = way_on(left.starts) if left.kind == "hold" else known
            yield refused(f"{left.kind} at {left.where}", f"left over from before: {left.detail}", hint)


QUIET = "wait until it is done, or clear it; what is not tolerated is declared in Git (see `declaring`)"


def _busy(asked: Asked) -> Iterator[Finding]:
    """One finding a reason: what keeps one node from us often keeps them all."""
    asked.busy.update(asked.work.ports.cluster.quiet(asked.work.plan.nodes))
    for reason in dict.fromkeys(asked.busy.values()):
        nodes = [node for node, why in asked.busy.items() if why == reason]
        named = ", ".join(nodes[:SHOWN]) + (f" and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else "")
        yield refused(f"node {named}", f"it can't be claimed now: {reason}", QUIET)


GONE = {
    PRESENT: ("it runs now and can't be pulled any more", "mirror it again"),
    TARGET: ("the release brings it and it can't be pulled", "mirror it"),
}
UNTOLD = "see that the registry answers here with the cluster's pull secret, or take `registry` out of the cluster file"


def _images(asked: Asked) -> Iterator[Finding]:
    """The way back pulls what runs now, the way there what the release brings.

    What nobody could tell stops a run where the cluster file has a registry to ask, and elsewhere it is told.
    """
    work = asked.work
    if asked.observed.status is not Status.OK and not asked.observed.files:
        raise Inconclusive(
            "which images run is not known: the nodes could not be read", hint="mend that first"
        )
    before = work.before()
    images = sorted({i for n in work.cluster.gpu if n in before for i in before[n].images.values()})
    for part, looked in work.ports.registry.look(work.cluster.gpu, images, work.plan.to_versions).items():
        what, hint = GONE[part]
        for image, why in looked.answer.missing.items():
            yield refused(f"image {image}", f"{what}: {why}", hint)
        troubles = list(looked.answer.unproven.values())
        words = [f"{troubles.count(w)} images of the {part} release: {w}" for w in dict.fromkeys(troubles)]
        words += looked.untold
        if work.cluster.registry is None:
            asked.unproven.extend(f"what can be pulled: {text}" for text in words)
            continue
        if not (looked.asked or looked.untold):
            words.append(f"no image of the {part} release could be named")
        if looked.unasked:
            names = ", ".join(looked.unasked)
            asked.unproven.append(f"what can be pulled: the images that {names} bring were not asked for")
        for text in words:
            yield unknown("registry", f"whether it can be pulled can't be told: {text}", UNTOLD)


def _required(asked: Asked) -> Iterator[Finding]:
    """What Git must say beside the versions, of all hops: Argo CD may bring it at any time."""
    required = wanted(asked.work.plan)
    if required:
        yield from unmet_in_git(required, asked.work.ports.gitops.texts(required))


def _values(asked: Asked) -> Iterator[Finding]:
    for change in asked.first:
        value = asked.work.ports.gitops.value(change)
        if value != change.before:
            what = f"{change.path} is {value}, the plan starts from {change.before}"
            hint = "plan again; if it is meant to say that, write it into `texts` of its `declare`"
            yield refused(change.file, what, hint)


def _declaring(asked: Asked) -> Iterable[Finding]:
    """The first hop's objects as they are; and of every hop, whether who acts on its labels would boot nodes."""
    readiness = asked.work.ports.readiness
    return [*readiness.declared(asked.first), *readiness.booting(asked.every)]


def _fleet(asked: Asked) -> Iterator[Finding]:
    """What stands in the way of what a commit starts, for all nodes or a ring, or of its way back later."""
    plan, fleet, past = asked.work.plan, asked.work.ports.fleet, ""
    for number, hop in enumerate(plan.hops):
        for part in hop.parts:
            # What a later hop needs may be what an earlier one brings; its way back leads to where that one ends.
            if number == 0:
                yield from fleet.ready(by_commit(plan, part))
            if past and not part.nodes and not hop.closed:
                moved = ", ".join(m.component for m in part.moves)
                told = f"whether {moved} can come back is asked when {hop.name} begins"
                asked.unproven.append(f"{told}: after {past} other catalogs may be there")
            elif not hop.closed:
                yield from fleet.ready(by_commit(plan, part, undo=True), undo=True)
        past = past or (hop.name if hop.closed else "")


def _record(asked: Asked) -> Iterable[Finding]:
    plan = asked.work.plan
    if unsure := asked.work.ports.promotion.ready(plan.to_release, plan.cluster):
        asked.unsure.append(unsure)
    return ()


CHECKS = (
    Check(
        "tools", "the programs that a run calls are here", lambda a: a.work.ports.machine.tools(), first=True
    ),
    Check("room", "the run's folder takes its journal", lambda a: a.work.ports.machine.room(), first=True),
    Check("rights", "every right of a run and of its undo", _rights, first=True),
    Check(
        "clock", "this machine and the cluster agree on the time", lambda a: a.work.ports.readiness.clock()
    ),
    Check("lease", "nobody else holds the cluster", lambda a: a.work.ports.readiness.lease(a.work.run)),
    Check("open-run", "no earlier run has changed the cluster and not ended", _open_run),
    Check("nodes", "every GPU node is there, is read, and runs what Git declares", _nodes),
    Check("left-over", "nothing of ours is left from before: claims, taints, holds, Jobs", _left_over),
    Check("actors", "no pool, operator, drainer or person is at work on the nodes", _busy),
    Check(
        "bmcs",
        "nothing waits at a BMC for a boot, its firmware is the release's, and what it is given is there, back too",
        lambda a: bmcs.found(a.work, a.work.plan.nodes or a.work.cluster.gpu),
    ),
    Check(
        "probes",
        "a probe's pod would be made: image, namespace, account, constraints",
        lambda a: a.work.ports.readiness.probes(a.work.plan.active_gates),
    ),
    Check("images", "what runs and what comes is not known to lack in its registry", _images),
    Check(
        "push",
        "the GitOps branch takes our push, which changes the planned fields and nothing else",
        lambda a: a.work.ports.gitops.taking(a.first),
    ),
    Check("beside", "Git says what the movers require beside the versions", _required, of_hops=True),
    Check("values", "Git declares what a plan starts from", _values, settles=True, of_hops=True),
    Check(
        "declaring",
        "who declares drivers: one a node, autoUpgrade off, our taints tolerated, taken by the operator",
        _declaring,
        settles=True,
    ),
    Check(
        "systems",
        "machines that are to take another system can be asked, and run what their nodes tell",
        lambda a: a.work.ports.readiness.systems(a.every),
        of_hops=True,
    ),
    Check(
        "delivery",
        "Argo CD would deliver: synced, automatic, no parent in the way",
        lambda a: a.work.ports.delivery.ready(),
        settles=True,
    ),
    Check(
        "windows",
        "no sync window would hold a commit or its revert back",
        lambda a: a.work.ports.delivery.windows(run_and_undo(a.work.plan)),
        settles=True,
    ),
    Check("operators", "operators can move, and come back", _fleet, of_hops=True),
    Check("record", "the matrix's branch takes the record", _record, last=True),
)

Looking = Callable[[Check], Sequence[Finding]]
"""Does one check; who asks decides what becomes of what it raises."""
Found = dict[str, Sequence[Finding]]
"""Check -> its findings."""


def looked(asked: Asked, look: Looking, *, all_of_it: bool) -> Found:
    """Do the list, in order. `all_of_it`: also what a run leaves out once it knows that it does not start."""
    found: Found = {}
    for check in (c for c in CHECKS if not c.last):
        found[check.name] = look(check)
        if check.first and found[check.name] and not all_of_it:
            return found
    _settle(asked, found, look)
    for check in (c for c in CHECKS if c.last):
        if all_of_it or not any(found.values()):
            found[check.name] = look(check)
    return found


def _settle(asked: Asked, found: Found, look: Looking) -> None:
    """Look again at what settles, where all that was found of it is likely to pass."""
    these = [check for check in CHECKS if check.settles]

    def left() -> list[Finding]:
        return [finding for check in these for finding in found[check.name]]

    def over() -> bool:
        found.update({check.name: look(check) for check in these})
        return not left() or not all(f.passes for f in left())

    first = left()
    if first and all(f.passes for f in first):
        clock, what = asked.work.ports.clock, f"{first[0].where} to settle"
        with suppress(DeadlineExceeded):
            clock.wait_for(over, deadline=SETTLES, what=what, cancel=asked.work.cancel, every=2.0)
