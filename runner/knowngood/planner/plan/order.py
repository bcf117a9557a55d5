"""Why a hop stands where it stands: what would break if it came earlier, or later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowngood.model.matrix import Severity
from knowngood.planner.edges.following import allowed, published
from knowngood.planner.rules.evaluation import broken, evaluate
from knowngood.planner.search.problem import Indexes
from knowngood.planner.search.question import OPENSHIFT
from knowngood.planner.search.space import LAST, MOVES_LAST, Space, delivers


def moved(before: Indexes, after: Indexes) -> Indexes:
    """The tracks that move in a hop."""
    return tuple(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)


def reasons(space: Space, states: Sequence[Indexes], number: int, *, closed: bool) -> tuple[str, ...]:
    """What holds hop `number` (from 0) at its place, the strongest reason first.

    That is what it must come before, what it waits for, that it can't be undone (`closed`), and whose next step it is;
    of what delivers, that it does.
    """
    group = moved(states[number], states[number + 1])
    if any(delivers(space.question, space.problem.tracks[i].name) for i in group):
        return (MOVES_LAST,)
    later, earlier = _not_later(space, states, number), _not_earlier(space, states, number)
    last = ("it can't be undone, so it comes as late as the cheapest plans allow",) if closed else ()
    step = _next_step(space, states, number)
    return tuple(dict.fromkeys((*later, *earlier, *last, *step)))


def hop_name(number: int) -> str:
    """`hop-1` is number 0."""
    return f"hop-{number + 1}"


def sentences(space: Space, state: Indexes) -> list[str]:
    """The blocking rules that a state breaks, as sentences with their sources."""
    question = space.question
    names = space.problem.board.broken(state)
    rules = [question.matrix.rules[n] for n in names if n != LAST]
    versions = question.state(space.versions(state))
    findings = evaluate(rules, question.matrix.components, versions, question.traits)
    return [finding.sentence() for finding in broken(findings, Severity.BLOCK)]


def _not_later(space: Space, states: Sequence[Indexes], number: int) -> Iterator[str]:
    """The first later hop that could not be made if this one had not been."""
    group = moved(states[number], states[number + 1])
    for later in range(number + 1, len(states) - 1):
        also = moved(states[later], states[later + 1])
        if set(also) & set(group):
            return
        held = _with(states[later + 1], states[number], group)
        if found := sentences(space, held):
            yield f"must come before {hop_name(later)}: {found[0]}"
            return
        if missing := _missing(space, _with(states[later], states[number], group), states[later + 1], also):
            yield f"must come before {hop_name(later)}: {missing}"
            return


def _not_earlier(space: Space, states: Sequence[Indexes], number: int) -> Iterator[str]:
    """The last earlier hop that this one can't overtake."""
    group = moved(states[number], states[number + 1])
    for earlier in range(number - 1, -1, -1):
        if set(moved(states[earlier], states[earlier + 1])) & set(group):
            return
        if found := sentences(space, _with(states[earlier], states[number + 1], group)):
            yield f"waits for {hop_name(earlier)}: {found[0]}"
            return
        if missing := _missing(space, states[earlier], states[number + 1], group):
            yield f"waits for {hop_name(earlier)}: {missing}"
            return


def _next_step(space: Space, states: Sequence[Indexes], number: int) -> Iterator[str]:
    """The hop before, where it moved the same component; and the vendor's rule, where that forbids one long step."""
    group = moved(states[number], states[number + 1])
    for earlier in range(number - 1, -1, -1):
        for i in set(group) & set(moved(states[earlier], states[earlier + 1])):
            track = space.problem.tracks[i]
            a, b = track.versions[states[earlier][i]], track.versions[states[number + 1][i]]
            edges = space.question.edges(track.name)
            long = edges.steps is not None and published(edges, a, b) and not allowed(edges.steps, a, b)
            vendor = f"; a catalog would go from {a} to {b} at once. " if long else ""
            said = edges.steps.message if long and edges.steps else ""
            yield f"the next step after {hop_name(earlier)}{vendor}{said}"
            return


def _with(state: Indexes, other: Indexes, group: Indexes) -> Indexes:
    """A state, with these tracks as they are in another one."""
    return tuple(other[i] if i in group else v for i, v in enumerate(state))


def _missing(space: Space, state: Indexes, after: Indexes, group: Indexes) -> str:
    """What no catalog offers in a state; "" where all of the group can move."""
    problem = space.problem
    context = problem.context(state)
    for i in group:
        track = problem.tracks[i]
        moves = track.moves.get(context, ())
        offered = any(mask >> after[i] & 1 for mask in (moves[state[i]] if moves else {}).values())
        if not offered:
            move = f"{track.name} {track.versions[state[i]]} to {track.versions[after[i]]}"
            return f"no catalog of {OPENSHIFT} {context} offers {move}" if context else f"no edge {move}"
    return ""
