"""The script of one part of a hop: what is asked before it, and how it is moved, node by node or at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from knowngood.engine.line import Stop, ask, judged, need, stop_of
from knowngood.engine.steps import Place, Step, Verb
from knowngood.model.plan import PlannedRing
from knowngood.model.record import Status
from knowngood.model.state import StepResult
from knowngood.model.steppath import StepPath

TWICE = "twice"
"""The part of a batch in which what was proven is loaded a second time."""


Proven = Mapping[StepPath, tuple[str, ...]]
"""Batch -> those of its nodes that passed and are at work."""

Strands = Callable[[Sequence[str], Sequence[str]], bool]
"""Of a batch and what is left of it: whether a node would meet nobody (Plan.strands)."""


def _never(_batch: Sequence[str], _rest: Sequence[str]) -> bool:
    return False


class Left(NamedTuple):
    """Nodes of a batch that did not move, and those of them whose tenants did not let us drain."""

    nodes: list[str]
    blocked: list[str]


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


def forward(
    place: Place,
    *,
    together: bool = False,
    delivers: bool = False,
    proven: Proven | None = None,
    strands: Strands = _never,
) -> Generator[Step, StepResult, None]:
    """Move one part of a hop. Raises Stop.

    A ring: declare, batch by batch, nodes given back once more, soak, confirm; one whose commit itself starts the
    change is taken out first. The fleet part: declare, have it approved, wait for it, and judge every node as it
    stands. `together`: a batch moves as a whole or not at all. `delivers`: every way back is by what moves. `proven`:
    nodes that a batch leaves at work, where it is done once more. `strands`: see `batch`.
    """
    if place.ring.changes and not place.ring.at_once:
        yield from declared(place)
    if not place.ring.nodes:
        yield from need(place.step(Verb.APPROVE))
        yield from need(place.step(Verb.SETTLE))
        if delivers:
            yield from proven_again(place)
        return (yield from judged(place.step(Verb.CONFIRM), Verb.CONFIRM))
    whole = together or place.ring.at_once
    given_back: list[str] = []
    for number, nodes in enumerate(place.ring.batches, start=1):
        at = place.part(f"batch-{number}")
        left = yield from batch(at, nodes, together=whole, proven=proven, strands=strands)
        given_back += left.nodes
    for number, nodes in enumerate(once_more(place.ring, given_back), start=1):
        name = "again" if number == 1 else f"again-{number}"
        left = yield from batch(place.part(name), nodes, together=whole, proven=proven, strands=strands)
        if left.nodes:
            why = "a tenant's disruption budget did not let us drain"
            why += ", so nothing was declared" if place.ring.at_once else ""
            raise Stop(f"{place.path}: {why}", Status.INCONCLUSIVE, dict.fromkeys(left.blocked, why))
    yield from need(place.step(Verb.SOAK))
    yield from judged(place.step(Verb.CONFIRM), Verb.CONFIRM)


def proven_again(place: Place) -> Generator[Step, StepResult, None]:
    """Prove the way back once more, by what has just moved; where that is deaf no undo comes, so the run freezes."""
    step = place.step(Verb.WAY_BACK)
    proven = yield from ask(step)
    if proven.status is not Status.OK:
        raise replace(stop_of(step, proven), hold=True)


def declared(place: Place) -> Generator[Step, StepResult, None]:
    """Commit a part's fields, and have them delivered."""
    yield from need(place.step(Verb.DECLARE))
    yield from need(place.step(Verb.DELIVER))


def once_more(ring: PlannedRing, nodes: list[str]) -> list[tuple[str, ...]]:
    """Nodes that were given back, in batches no larger than the ring's: no more are out at once than it allows."""
    size = max(len(batch) for batch in ring.batches)
    return [tuple(nodes[i : i + size]) for i in range(0, len(nodes), size)]


def batch(
    place: Place,
    nodes: tuple[str, ...],
    *,
    together: bool = False,
    proven: Proven | None = None,
    strands: Strands = _never,
) -> Generator[Step, StepResult, Left]:
    """Take nodes out, move, judge and give them back; returns those that stay as they are.

    `together`: where one of them stays, the others are given back unmoved, too; also where one that is left would
    meet nobody (`strands`), since its gates could not judge it. `proven` are left at work.
    """
    done = (proven or {}).get(place.path, ())
    nodes = tuple(n for n in nodes if n not in done)
    if not nodes:
        return Left([], [])
    yield from need(place.step(Verb.CLAIM, nodes))
    drained = yield from ask(place.step(Verb.DRAIN, nodes))
    given_back, failed = drained.detail.given_back, drained.detail.failed
    if drained.status is not Status.OK and not (given_back and not failed):
        raise Stop(drained.detail.why or "the drain failed", drained.status, {**failed, **given_back})
    out = tuple(n for n in nodes if n not in given_back)
    if given_back and (together or strands(nodes, out)):
        if out:
            yield from need(place.step(Verb.RELEASE, out))
        return Left(list(nodes), list(given_back))
    if out:
        yield from need(place.step(Verb.BASELINE, out, drained=True))
        if place.ring.at_once:
            yield from declared(Place.of(place.hop, place.ring))
        yield from need(place.step(Verb.APPLY, out))
        yield from judged(place.step(Verb.JUDGE, out), Verb.RETEST)
        if place.hop.again and place.ring.name in place.hop.again.rings:
            yield from twice(place.part(TWICE), out)
        yield from need(place.step(Verb.RELEASE, out))
    return Left(list(given_back), list(given_back))


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
