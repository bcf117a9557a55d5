"""Small random planning problems, and their answer by trying everything."""

from __future__ import annotations

import heapq
from itertools import combinations, product

from hypothesis import strategies as st

from knowngood.planner.search.cost import Charge, Cost
from knowngood.planner.search.problem import Box, Indexes, Problem, Track

Flags = tuple[int, ...]


@st.composite
def charges(draw: st.DrawFn) -> Charge:
    return Charge(
        forward_only=draw(st.booleans()),
        cluster=draw(st.booleans()),
        reboots=draw(st.sampled_from([0, 0, 4])),
        drains=draw(st.sampled_from([0, 2, 4])),
        risk=draw(st.integers(0, 2)),
        needs=frozenset(draw(st.sets(st.sampled_from(["risk-a", "risk-b"]), max_size=1))),
    )


@st.composite
def problems(draw: st.DrawFn, max_tracks: int = 4, max_versions: int = 4) -> Problem:
    count = draw(st.integers(1, max_tracks))
    sizes = [draw(st.integers(2, max_versions)) for _ in range(count)]
    kinds = tuple(draw(st.lists(charges(), min_size=1, max_size=3)))
    masks = [st.integers(1, (1 << n) - 1) for n in sizes]
    context_track = draw(st.integers(-1, count - 1))
    contexts = (
        tuple(draw(st.sampled_from(["x", "y"])) for _ in range(sizes[context_track]))
        if context_track >= 0
        else ()
    )

    def boxes_over(least: int, most: int) -> st.SearchStrategy[dict[int, int]]:
        tracks = st.lists(
            st.integers(0, count - 1), min_size=min(least, count), max_size=min(most, count), unique=True
        )
        return tracks.flatmap(lambda of: st.fixed_dictionaries({i: masks[i] for i in of}))

    tracks = []
    for i in range(count):
        targets = st.dictionaries(st.integers(0, len(kinds) - 1), masks[i], max_size=2)
        moves = {}
        for context in ("x", "y") if context_track >= 0 else ("",):
            ways = [draw(targets) for _ in range(sizes[i])]
            moves[context] = tuple(
                {n: m & ~(1 << v) for n, m in of.items() if m & ~(1 << v)} for v, of in enumerate(ways)
            )
        start, goal = draw(st.integers(0, sizes[i] - 1)), draw(st.integers(0, sizes[i] - 1))
        canary = tuple(draw(st.lists(boxes_over(1, 2), max_size=1)))
        tracks.append(Track(f"t{i}", tuple(str(v) for v in range(sizes[i])), start, goal, moves, canary))
    boxes = draw(st.lists(boxes_over(1, 3), max_size=5))
    pairs = [(a, b) for a, b in combinations(range(count), 2)]
    together = frozenset(draw(st.sets(st.sampled_from(pairs)))) if pairs else frozenset()
    return Problem(
        tuple(tracks),
        tuple(Box(f"rule-{k % 3}", box) for k, box in enumerate(boxes)),
        kinds,
        together,
        context_track,
        contexts,
    )


def sound(problem: Problem, state: Indexes) -> bool:
    return not any(
        box.name not in problem.relaxed and all(m >> state[i] & 1 for i, m in box.masks.items())
        for box in problem.boxes
    )


def hops(problem: Problem, state: Indexes) -> list[tuple[Indexes, Cost]]:
    """Every hop from a state, by the definition."""
    context = problem.contexts[state[problem.context_track]] if problem.context_track >= 0 else ""
    singles: list[list[tuple[int, Charge]]] = []
    for i, track in enumerate(problem.tracks):
        spared = any(all(m >> state[j] & 1 for j, m in c.items()) for c in track.canary)
        options = []
        for number, mask in track.moves[context][state[i]].items():
            charge = problem.charges[number]
            if charge.needs - problem.relaxed:
                continue
            cluster = charge.cluster and not spared
            cost = Charge(charge.forward_only, cluster, charge.reboots, charge.drains, charge.risk)
            options += [(v, cost) for v in range(len(track.versions)) if mask >> v & 1]
        singles.append(options)
    found = []
    for size in range(1, len(singles) + 1):
        for group in combinations(range(len(singles)), size):
            if not all(pair in problem.together for pair in combinations(group, 2)):
                continue
            for chosen in product(*(singles[i] for i in group)):
                after = list(state)
                for i, (v, _) in zip(group, chosen, strict=True):
                    after[i] = v
                if sound(problem, tuple(after)):
                    of = [c for _, c in chosen]
                    found.append((tuple(after), _together(of)))
    return found


def _together(of: list[Charge]) -> Cost:
    return Cost(
        int(any(c.forward_only for c in of)),
        int(any(c.cluster for c in of)),
        max(c.reboots for c in of),
        max(c.drains for c in of),
        1,
        sum(c.risk for c in of),
    )


def exhaustive(problem: Problem) -> tuple[Cost, Flags] | None:
    """The least cost by Dijkstra over the whole product, and the least row of forward-only flags at that cost."""
    queue: list[tuple[Cost, Flags, Indexes]] = [(Cost(), (), problem.start)]
    done: set[Indexes] = set()
    while queue:
        cost, flags, state = heapq.heappop(queue)
        if state == problem.goal:
            return cost, flags
        if state in done:
            continue
        done.add(state)
        for after, more in hops(problem, state):
            total = Cost(*(a + b for a, b in zip(cost, more, strict=True)))
            heapq.heappush(queue, (total, (*flags, more.forward_only), after))
    return None
