"""The way back, as a script: revert in Git, bring the nodes back, judge them, and prove `restored`.

Nothing is undone twice and no undo is undone: whatever fails here ends with the node quarantined and a human named.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping

from knowngood.engine.steps import Step, Verb
from knowngood.model.errors import ExitCode
from knowngood.model.plan import Hop, PlannedRing
from knowngood.model.record import Status
from knowngood.model.state import End, StepResult

Undo = Generator[Step, StepResult, dict[str, str]]


def undo_open_ring(
    hop: Hop, ring: PlannedRing, why: str, blamed: dict[str, str], stay: tuple[str, ...]
) -> Generator[Step, StepResult, End]:
    """Undo a later ring only: those that were proven before it (`stay`) keep what they have, until a human decides."""
    end = yield from undo_rings(((hop, ring),), why, blamed, verify=f"{hop.name}/{ring.name}/undo/verify")
    if end.name != "restored":
        return end
    kept = f"{ring.name} is as it was, {', '.join(stay)} moved, proven, and stays"
    return End("held", ExitCode.HUMAN, f"{why}; {kept}", end.nodes)


def undo_rings(
    rings: tuple[tuple[Hop, PlannedRing], ...],
    why: str,
    blamed: dict[str, str],
    *,
    verify: str = "undo/verify",
) -> Generator[Step, StepResult, End]:
    """Undo these rings, newest first, then prove it (`verify`: as which step). `blamed` is only reported."""
    for hop, ring in rings:
        lost = yield from undo_ring(f"{hop.name}/{ring.name}/undo", hop, ring)
        if lost:
            return End("quarantined", ExitCode.HUMAN, f"{why}; the way back failed", lost)
    verified = yield Step(verify, Verb.VERIFY, nodes=tuple(n for _, r in rings for n in r.nodes))
    if verified.status is Status.OK:
        yield Step("undo/record", Verb.RECORD)  # the end is `restored` whatever comes of it
        return End("restored", ExitCode.RESTORED, why, blamed)
    differ = {str(k): str(v) for k, v in dict(verified.detail.get("failed", {})).items()}
    named = differ or {n: str(verified.detail.get("why", "not proven")) for _, r in rings for n in r.nodes}
    return End("quarantined", ExitCode.HUMAN, f"{why}; not proven restored", named)


def undo_ring(at: str, hop: Hop, ring: PlannedRing) -> Undo:
    """Bring one ring back; returns the nodes that could not be, with the reason."""

    def step(verb: Verb, nodes: tuple[str, ...] = ring.nodes) -> Step:
        return Step(f"{at}/{verb.value}", verb, hop, ring, nodes, undo=True)

    for verb in (Verb.DECLARE, Verb.DELIVER):
        result = yield step(verb)
        if result.status is not Status.OK:
            return (yield from _give_up(at, hop, ring, str(result.detail.get("why", verb))))
    seen = yield step(Verb.LOOK)
    # What can't be looked at counts as changed.
    changed = tuple(seen.detail.get("changed", ())) if seen.status is Status.OK else ring.nodes
    claimed = tuple(seen.detail.get("claimed", ()))
    bad = lost(seen)
    for verb in (Verb.CLAIM, Verb.DRAIN, Verb.APPLY, Verb.JUDGE):
        nodes = tuple(n for n in changed if n not in bad)
        if not nodes:
            break
        result = yield step(verb, nodes)
        bad |= _bad(result, nodes)
    good = tuple(n for n in dict.fromkeys((*claimed, *changed)) if n not in bad)
    if good:
        released = yield step(Verb.RELEASE, good)
        bad |= _bad(released, good)
    if bad:
        why = tuple(bad.items())
        shut = yield Step(f"{at}/quarantine", Verb.QUARANTINE, hop, ring, tuple(bad), undo=True, why=why)
        bad |= told(shut, tuple(bad), "could not be quarantined", bad)
    return bad


def told(
    result: StepResult, nodes: tuple[str, ...], what: str, before: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What a human must hear of a step of the way out that failed on some nodes; `before`: why they are named already.

    Nobody comes after such a step to mend it, so its failure must reach the end of the run.
    """
    known = before or {}
    found = {n: f"{what}: {why}" for n, why in _bad(result, nodes).items()}
    return {n: f"{known[n]}; {why}" if known.get(n) else why for n, why in found.items()}


def lost(seen: StepResult) -> dict[str, str]:
    """What a look found to carry something of ours but no claim: nothing of it is released, it is shut and named."""
    return {str(n): str(w) for n, w in dict(seen.detail.get("lost", {})).items()}


def _bad(result: StepResult, nodes: tuple[str, ...]) -> dict[str, str]:
    if result.status is Status.OK:
        return {n: w for n, w in result.lost.items() if n in nodes}
    named = (
        dict(result.detail.get("failed", {})) | dict(result.detail.get("given_back", {})) | dict(result.lost)
    )
    why = str(result.detail.get("why", result.status))
    return {str(n): str(w) for n, w in named.items()} or dict.fromkeys(nodes, why)


def _give_up(at: str, hop: Hop, ring: PlannedRing, why: str) -> Undo:
    """Git or Argo CD would not take us back: what we hold stays out of service, what is untouched goes back."""
    seen = yield Step(f"{at}/look", Verb.LOOK, hop, ring, ring.nodes, undo=True)
    changed = tuple(seen.detail.get("changed", ())) if seen.status is Status.OK else ring.nodes
    stripped = {n: w for n, w in lost(seen).items() if n not in changed}
    untouched = tuple(n for n in seen.detail.get("claimed", ()) if n not in changed)
    named = dict.fromkeys(changed or ring.nodes, why) | stripped
    if untouched:
        released = yield Step(f"{at}/release", Verb.RELEASE, hop, ring, untouched, undo=True)
        named |= told(released, untouched, "could not be given back", named)
    if shut := (*changed, *stripped):
        reasons = tuple((n, named[n]) for n in shut)
        step = Step(f"{at}/quarantine", Verb.QUARANTINE, hop, ring, shut, undo=True, why=reasons)
        named |= told((yield step), shut, "could not be quarantined", named)
    return named
