"""The way back, as a script: revert in Git, bring the nodes back, judge them, prove them, and only then release them.

No undo is undone. What could not be done is tried again by the engine until the way back's own deadline; what reaches
this script has been measured, or others stand in the way. A node that measurably fails is quarantined; any other that
can't be proven stays as it is, claimed and out of service, and a human is told.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace

from knowngood.engine.steps import Place, RingStep, Step, Verb
from knowngood.model.errors import ExitCode
from knowngood.model.record import Status
from knowngood.model.state import End, StepResult
from knowngood.model.steppath import StepPath


@dataclass
class Lost:
    """Nodes that are not back: `shut` are quarantined, `held` stay as they are; each with the reason."""

    shut: dict[str, str] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    why: str = ""  # what is not back and is no node

    @property
    def nodes(self) -> dict[str, str]:
        """All of them."""
        return self.held | self.shut

    def __bool__(self) -> bool:
        return bool(self.shut or self.held or self.why)

    def add(self, other: Lost) -> None:
        """What another part of the way back lost."""
        self.shut |= other.shut
        self.held |= other.held
        self.why = self.why or other.why

    def end(self, why: str) -> End:
        """How a run ends that lost them."""
        told = f"{why}: {self.why}" if self.why else why
        return End("quarantined" if self.shut else "held", ExitCode.HUMAN, told, self.nodes)


Undo = Generator[Step, StepResult, Lost]


@dataclass(frozen=True, slots=True)
class Back:
    """What is undone and why: `why` stopped the run, `blamed` are reported, `suspects` failed a gate.

    `name` is what this way back is called in the steps' paths.
    """

    why: str
    blamed: Mapping[str, str]
    suspects: Collection[str]
    name: str


def undo_open_ring(place: Place, back: Back, stay: tuple[str, ...]) -> Generator[Step, StepResult, End]:
    """Undo a later ring only: those that were proven before it (`stay`) keep what they have, until a human decides."""
    verify = place.part(back.name, "all").path.child(Verb.VERIFY)
    end = yield from undo_rings((place,), back, verify=verify)
    if end.name != "restored":
        return end
    kept = f"{place.ring.name} is as it was, {', '.join(stay)} moved, proven, and stays"
    return End("held", ExitCode.HUMAN, f"{back.why}; {kept}", end.nodes)


def undo_rings(
    places: tuple[Place, ...], back: Back, *, verify: StepPath | None = None
) -> Generator[Step, StepResult, End]:
    """Undo these parts of a hop, newest first, then prove the whole cluster (`verify`: as which step).

    A ring that could not be brought back stops the way back; after a fleet part it does not, since any node may have
    taken what was declared for all.
    """
    lost = Lost()
    for place in places:
        if place.ring.nodes:
            lost.add((yield from undo_ring(place.part(back.name), back.suspects, lost.why)))
        else:
            lost.why = yield from undo_fleet(place.part(back.name))
        if lost and place.hop.fleet is None:
            break
    if lost:
        return lost.end(f"{back.why}; the way back failed")
    path = verify or StepPath(back.name).child("verify")
    nodes = tuple(n for place in places for n in place.ring.nodes)
    verified = yield Step(path, Verb.VERIFY, nodes)
    if verified.status is Status.OK:
        # The end is `restored` whatever comes of it.
        yield Step(StepPath(back.name).child("record"), Verb.RECORD)
        return End("restored", ExitCode.RESTORED, back.why, dict(back.blamed))
    named, what = unproven(verified, nodes), "not proven restored"
    what += "" if named or not verified.detail.why else f": {verified.detail.why}"
    return End("held", ExitCode.HUMAN, f"{back.why}; {what}", named)


def undo_fleet(place: Place) -> Generator[Step, StepResult, str]:
    """Take back what was declared for all nodes, Git first; returns why it is not back, "" where it is."""
    for verb in (Verb.DECLARE, Verb.DELIVER, Verb.BACK, Verb.SETTLE):
        result = yield place.back(verb)
        if result.status is not Status.OK:
            return result.detail.why or verb
    return ""


def undo_ring(place: Place, suspects: Collection[str] = (), fleet: str = "") -> Undo:
    """Bring one ring back; returns the nodes that could not be, with the reason.

    Every node that was changed comes back; every node that was changed, or failed a gate, is judged once more. What an
    earlier way back proved and gave back is left to its tenants. `fleet`: why what is declared for all nodes is not
    back; then none of them can be.
    """

    ring, lost = place.ring, Lost()
    if fleet:
        return (yield from _give_up(place, fleet))
    if ring.changes and not ring.at_once and (refused := (yield from _revert(place))):
        return (yield from _give_up(place, refused))
    seen = yield place.back(Verb.LOOK)
    # What can't be looked at counts as changed, and a commit that starts by itself reaches all of its nodes.
    known = seen.status is Status.OK and not (ring.at_once and seen.detail.changed)
    changed = seen.detail.changed if known else ring.nodes
    claimed = seen.detail.claimed
    doubted = [n for n in ring.nodes if n in suspects and n not in seen.detail.back]
    again = tuple(dict.fromkeys((*changed, *doubted)))
    failed = stripped(seen)  # and what is measured
    yield from _tried(place, Verb.CLAIM, again, lost, failed)
    yield from _tried(place, Verb.DRAIN, again, lost, failed)
    if ring.at_once and changed:
        kept = [n for n in changed if n in lost.held or n in failed]
        why = f"{', '.join(kept)} could not be emptied, and the way back starts on all of the ring at once"
        refused = why if kept else (yield from _revert(place))
        lost.held |= {n: refused for n in changed if refused and n not in lost.held and n not in failed}
    yield from _tried(place, Verb.APPLY, changed, lost, failed)
    judged = tuple(n for n in again if n not in lost.held and n not in failed)
    if judged:
        yield from judge_again(place.back(Verb.JUDGE, judged), lost, failed)
    good = tuple(n for n in dict.fromkeys((*claimed, *again)) if n not in lost.held and n not in failed)
    yield from give_back(place, good, lost)
    if failed:
        yield from shut(place, failed, lost)
    return lost


def _revert(place: Place) -> Generator[Step, StepResult, str]:
    """Take the ring's commit back, and have that delivered; returns why it is not, "" where it is."""
    for verb in (Verb.DECLARE, Verb.DELIVER):
        result = yield place.back(verb)
        if result.status is not Status.OK:
            return result.detail.why or verb
    return ""


def _tried(
    place: Place, verb: Verb, nodes: tuple[str, ...], lost: Lost, failed: dict[str, str]
) -> Generator[Step, StepResult, None]:
    """One verb of the way back on those of the nodes that have come so far."""
    left = tuple(n for n in nodes if n not in lost.held and n not in failed)
    if not left:
        return
    result = yield place.back(verb, left)
    wrong = not_done(result, left)
    # What is no longer ours must be shut; what could not be claimed or drained stays as it is.
    ours = set(wrong) - {*result.lost, *result.detail.stripped}
    stays = ours & set(result.detail.could_not) if verb is Verb.APPLY else ours
    lost.held |= {n: w for n, w in wrong.items() if n in stays}
    failed |= {n: w for n, w in wrong.items() if n not in stays}


def judge_again(step: RingStep, lost: Lost, failed: dict[str, str]) -> Generator[Step, StepResult, None]:
    """Judge nodes, those that did not pass twice: what failed measurably goes into `failed`, the rest is held."""
    first = yield step
    doubtful = tuple(n for n in step.nodes if n in not_done(first, step.nodes))
    if not doubtful:
        return
    second = yield replace(step, path=step.path.sibling("retest"), verb=Verb.RETEST, nodes=doubtful)
    measured = set(second.detail.measured)
    for node, why in not_done(second, doubtful).items():
        (failed if node in measured else lost.held)[node] = why


def give_back(place: Place, nodes: tuple[str, ...], lost: Lost) -> Generator[Step, StepResult, None]:
    """Prove that nodes are as they were, then release them; those that are not stay claimed."""
    if not nodes:
        return
    proven = yield place.back(Verb.VERIFY, nodes)
    if proven.status is not Status.OK:
        lost.held |= unproven(proven, nodes)
    good = tuple(n for n in nodes if n not in lost.held)
    if good:
        released = yield place.back(Verb.RELEASE, good)
        lost.held |= told(released, good, "could not be given back")


def take_out(place: Place, nodes: tuple[str, ...], lost: Lost) -> Generator[Step, StepResult, None]:
    """Claim nodes that are at their tenants' work and run what is not proven: nobody new comes there."""
    if nodes:
        taken = yield place.back(Verb.CLAIM, nodes)
        lost.held |= told(taken, nodes, "could not be taken out of service", lost.held)


def shut(place: Place, failed: Mapping[str, str], lost: Lost) -> Generator[Step, StepResult, None]:
    """Quarantine nodes that measurably failed; one that could not be is named as such."""
    nodes = tuple(failed)
    why = tuple((str(n), str(w)) for n, w in failed.items())
    done = yield replace(place.back(Verb.QUARANTINE, nodes), why=why)
    open_ = told(done, nodes, "could not be quarantined", failed)
    lost.held |= open_
    lost.shut |= {n: w for n, w in failed.items() if n not in open_}


def unproven(verified: StepResult, nodes: Iterable[str]) -> dict[str, str]:
    """Node -> what a proof found different or could not read; all of them where it names none."""
    return dict(verified.detail.failed) or dict.fromkeys(nodes, verified.detail.why or "not proven")


def told(
    result: StepResult, nodes: tuple[str, ...], what: str, before: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What a human must hear of a step of the way out that failed on some nodes; `before`: why they are named already.

    Nobody comes after such a step to mend it, so its failure must reach the end of the run.
    """
    known = before or {}
    found = {n: f"{what}: {why}" for n, why in not_done(result, nodes).items()}
    return {n: f"{known[n]}; {why}" if known.get(n) else why for n, why in found.items()}


def stripped(seen: StepResult) -> dict[str, str]:
    """What a look found to carry something of ours but no claim: nothing of it is released, it is shut and named."""
    return dict(seen.detail.lost)


def not_done(result: StepResult, nodes: Iterable[str]) -> dict[str, str]:
    """Node -> why a step did not end well on it; empty where it ended OK."""
    if result.status is Status.OK:
        return {n: w for n, w in result.lost.items() if n in nodes}
    named = {**result.detail.failed, **result.detail.given_back, **result.lost}
    return named or dict.fromkeys(nodes, result.detail.why or str(result.status))


def _give_up(place: Place, why: str) -> Undo:
    """Git would not take us back: what was changed stays out of service, what is untouched goes back."""
    ring = place.ring
    seen = yield place.back(Verb.LOOK)
    known = seen.status is Status.OK
    changed = seen.detail.changed if known else ring.nodes
    claimed = seen.detail.claimed
    bare = stripped(seen)
    lost = Lost(held=dict.fromkeys((n for n in changed or ring.nodes if n not in bare), why))
    yield from give_back(place, tuple(n for n in claimed if n not in changed), lost)
    if bare:
        yield from shut(place, bare, lost)
    yield from take_out(place, tuple(n for n in changed if n not in (*claimed, *bare)), lost)
    return lost
