"""The planning problem as an answer set program, for clingo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from knowngood.planner.search.cost import Cost
from knowngood.planner.search.problem import Problem, Track, bits

RULES = """
time(0..horizon-1).
at(0,I,V) :- start(I,V).
goal(T) :- T=0..horizon, at(T,I,V) : goal(I,V).
context(T,C) :- T=0..horizon, at(T,I,V), catalog(I,V,C).
context(T,"") :- T=0..horizon, not catalogs.
1 { moved(T,I) : track(I) } :- time(T), not goal(T).
:- moved(T,I), moved(T,J), I<J, not together(I,J).
1 { to(T,I,V,N) : edge(C,I,U,V,N) } 1 :- moved(T,I), at(T,I,U), context(T,C).
at(T+1,I,V) :- to(T,I,V,_).
at(T+1,I,V) :- time(T), at(T,I,V), not moved(T,I).
inside(T,B,I) :- T=1..horizon, at(T,I,V), box(B,I,V).
:- T=1..horizon, boxed(B), inside(T,B,I) : member(B,I).
:- not goal(horizon).
holds(T,I,K,J) :- time(T), at(T,J,V), allows(I,K,J,V).
spared(T,I) :- time(T), canary(I,K), holds(T,I,K,J) : needs(I,K,J).
closes(T) :- to(T,_,_,N), forward_only(N).
everywhere(T) :- to(T,I,_,N), cluster(N), not spared(T,I).
reboots(T,R) :- time(T), R = #max { X,I : to(T,I,_,N), reboot(N,X); 0 }.
drains(T,R) :- time(T), R = #max { X,I : to(T,I,_,N), drain(N,X); 0 }.
hop(T) :- moved(T,_).
risk(T,I,X) :- to(T,I,_,N), risky(N,X).
#minimize { 1@6,T : closes(T) }.
#minimize { 1@5,T : everywhere(T) }.
#minimize { R@4,T : reboots(T,R) }.
#minimize { R@3,T : drains(T,R) }.
#minimize { 1@2,T : hop(T) }.
#minimize { X@1,T,I : risk(T,I,X) }.
#show to/4.
"""


def solve(clingo: Any, problem: Problem, horizon: int, patience: float) -> tuple[Cost | None, bool]:
    """The least cost with at most `horizon` hops, and whether it was proven in time."""
    control = clingo.Control(["-c", f"horizon={horizon}", "--opt-mode=opt"])
    control.add("base", [], RULES + "\n".join(facts(problem)))
    control.ground([("base", [])])
    best: dict[int, int] = {}  # a field that nothing can raise is left out

    def keep(model: Any) -> None:
        best.update(zip(model.priority, model.cost, strict=True))

    with control.solve(on_model=keep, async_=True) as handle:
        if not handle.wait(patience):
            handle.cancel()
            return None, False
        handle.get()
    return Cost(*(best.get(priority, 0) for priority in range(6, 0, -1))), True


def facts(problem: Problem) -> Iterator[str]:
    """Tracks, moves, boxes, charges and canaries."""
    for i, track in enumerate(problem.tracks):
        yield f"track({i}). start({i},{track.start}). goal({i},{track.goal})."
        yield from _track(i, track)
    yield from (f"together({min(a, b)},{max(a, b)})." for a, b in problem.together)
    if problem.context_track >= 0:
        yield "catalogs."
        for version, context in enumerate(problem.contexts):
            yield f'catalog({problem.context_track},{version},"{context}").'
    for number, box in enumerate(problem.boxes):
        yield f"boxed({number})."
        for i, mask in box.masks.items():
            yield f"member({number},{i})."
            yield from (f"box({number},{i},{version})." for version in bits(mask))
    yield from _charges(problem)


def _track(i: int, track: Track) -> Iterator[str]:
    for context, moves in track.moves.items():
        for version, targets in enumerate(moves):
            for number, mask in targets.items():
                yield from (f'edge("{context}",{i},{version},{to},{number}).' for to in bits(mask))
    for k, alternative in enumerate(track.canary):
        yield f"canary({i},{k})."
        for j, mask in alternative.items():
            yield f"needs({i},{k},{j})."
            yield from (f"allows({i},{k},{j},{version})." for version in bits(mask))


def _charges(problem: Problem) -> Iterator[str]:
    for number, charge in enumerate(problem.charges):
        if charge.forward_only:
            yield f"forward_only({number})."
        if charge.cluster:
            yield f"cluster({number})."
        yield f"reboot({number},{charge.reboots}). drain({number},{charge.drains}). risky({number},{charge.risk})."
