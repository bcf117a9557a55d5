"""The plan of small random matrices against trying everything, with `evaluate` and `moves` as the only judges."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations, pairwise, product

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.unit.planner.matrices import HERE, SOURCE, cluster, component, matrix

from knowngood.model.declared import Scope
from knowngood.model.graph import Bundle, Catalog, Edges, Steps, Version
from knowngood.model.matrix import Case, Claim, Component, Disruption, Follows, Rule, Severity, UndoClass
from knowngood.planner.edges.following import moves, place, risks
from knowngood.planner.edges.path import in_channel, minor
from knowngood.planner.rules.evaluation import Outcome, evaluate
from knowngood.planner.scope import reach
from knowngood.planner.search.cost import Cost, unpacked
from knowngood.planner.search.question import Question
from knowngood.planner.search.solve import solve

OPENSHIFTS = ("4.1.0", "4.1.1", "4.2.0", "4.3.0")
VERSIONS = ("1.0.0", "2.0.0", "2.1.0", "3.0.0")
KERNELS = {"4.1.x": "5.1.0", "4.2.x": "5.2.0"}  # 4.3 has none that is known
State = tuple[tuple[str, str], ...]


def ranges(name: str) -> st.SearchStrategy[str]:
    of = {"openshift": OPENSHIFTS, "kernel": tuple(KERNELS.values())}.get(name, VERSIONS)
    signs = st.sampled_from(["=", "!=", ">=", "<", "<=", ">"])
    return st.builds(lambda sign, version: f"{sign}{version}", signs, st.sampled_from(of))


@st.composite
def rules(draw: st.DrawFn, number: int, names: tuple[str, ...]) -> Rule:
    def some(least: int) -> dict[str, str]:
        chosen = draw(st.lists(st.sampled_from(names), min_size=least, max_size=2, unique=True))
        return {name: draw(ranges(name)) for name in chosen}

    plain = Rule(f"rule-{number}", Severity.BLOCK, some(0), some(1), "no", (SOURCE,), HERE)
    kind = draw(st.sampled_from(["plain", "plain", "cases", "claims", "traits", "warn"]))
    if kind == "cases":
        return replace(plain, require={}, cases=(Case(some(0), some(1)), Case(some(1), some(1))))
    if kind == "claims":
        return replace(plain, require={}, claims=(Claim(some(1), SOURCE), Claim(some(1), SOURCE)))
    if kind == "traits":
        return replace(plain, traits={"platform": (draw(st.sampled_from(["here", "there"])),)})
    return replace(plain, severity=Severity.WARN) if kind == "warn" else plain


@st.composite
def parts(draw: st.DrawFn, name: str, others: tuple[str, ...]) -> Component:
    one = component(name, "openshift" if name == "openshift" else "numeric")
    return replace(
        one,
        disruption=draw(st.sampled_from(Disruption)),
        undo=draw(st.sampled_from(UndoClass)),
        moves_with=tuple(draw(st.lists(st.sampled_from(others), max_size=1))),
    )


@st.composite
def graphs(draw: st.DrawFn) -> Edges:
    """OpenShift's: edges go up; one channel for each minor."""
    found = {}
    for i, version in enumerate(OPENSHIFTS):
        previous = draw(st.frozensets(st.sampled_from(OPENSHIFTS[:i]))) if i else frozenset()
        found[version] = Version(version, previous=previous)
    channels = {f"stable-4.{m}": OPENSHIFTS for m in (1, 2, 3)}
    return Edges("openshift", found, graph=True, channels=channels)


@st.composite
def catalogs(draw: st.DrawFn, name: str) -> Edges:
    def entries() -> tuple[Bundle, ...]:
        held = draw(st.lists(st.sampled_from(VERSIONS), min_size=1, max_size=4, unique=True))
        return tuple(
            Bundle(
                version,
                replaces=draw(st.sampled_from(("", *VERSIONS))),
                skip_range=draw(st.sampled_from(["", "", ">=1.0.0 <3.0.0"])),
            )
            for version in held
        )

    found = {f"4.{m}": Catalog(f"4.{m}", "stable", {"stable": entries()}, (), HERE) for m in (1, 2, 3)}
    steps = Steps(("1", "2", "3"), 1, "one major a step", (), HERE) if draw(st.booleans()) else None
    return Edges(name, {v: Version(v) for v in VERSIONS}, catalogs=found, steps=steps)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    names = ("openshift", "a", "b") if draw(st.booleans()) else ("a", "b", "c")
    edges: dict[str, Edges] = {}
    for name in names:
        kind = draw(st.sampled_from(["direct", "catalogs"]))
        known = Edges(name, {v: Version(v) for v in VERSIONS})
        edges[name] = draw(
            graphs() if name == "openshift" else catalogs(name) if kind == "catalogs" else st.just(known)
        )
    components = {name: draw(parts(name, names)) for name in names}
    components["kernel"] = replace(component("kernel", "kernel"), follows=Follows("openshift", KERNELS))
    asked = (*names, "kernel") if "openshift" in names else names
    found = [draw(rules(number, asked)) for number in range(draw(st.integers(0, 5)))]
    start = {n: draw(st.sampled_from(OPENSHIFTS[:2] if n == "openshift" else VERSIONS)) for n in names}
    goal = {n: draw(st.sampled_from(OPENSHIFTS[1:] if n == "openshift" else VERSIONS)) for n in names}
    value = matrix(rules=tuple(found), components=components, edges=edges)
    return Question(value, cluster(), start, goal, traits={"platform": "here"})


def closed(question: Question, versions: Mapping[str, str]) -> bool:
    found = evaluate(question.matrix.rules.values(), question.matrix.components, versions, question.traits)
    return any(f.outcome is Outcome.BROKEN and f.rule.severity is Severity.BLOCK for f in found)


def singles(question: Question, state: Mapping[str, str], name: str) -> Iterator[str]:
    edges, scheme = question.edges(name), question.component(name).scheme
    low, high = sorted(place(scheme, end[name]) for end in (question.start, question.goal))
    openshift = minor(state.get("openshift", ""))
    for to in moves(edges, scheme, state[name], openshift=openshift):
        open_ = not edges.graph or in_channel(edges, state[name], to, question.goal[name], question.channel)
        between = low <= place(scheme, to) <= high
        if between and open_ and not any(r.always for r in risks(edges, state[name], to)):
            yield to


def price(question: Question, state: Mapping[str, str], chosen: Mapping[str, str]) -> Cost:
    gpu, cost = len(question.cluster.gpu), Cost(hops=1)
    for name in chosen:
        one = question.component(name)
        everywhere = reach(one, question.cluster).always is Scope.CLUSTER
        edges, here = question.edges(name), minor(state.get("openshift", ""))
        newer = here not in ("", minor(question.start.get("openshift", "")))
        held = (
            {b.version for b in edges.catalogs[here].channels["stable"]} if newer and edges.catalogs else ()
        )
        gone = bool(held) and state[name] not in held
        reboots = one.disruption in (Disruption.REBOOT, Disruption.POWER_CYCLE)
        cost = Cost(
            max(cost.forward_only, int(gone or one.undo is UndoClass.FORWARD_ONLY)),
            max(cost.no_canary, int(everywhere)),
            max(cost.reboots, gpu if reboots else 0),
            max(cost.drains, gpu if reboots or one.disruption is Disruption.DRAIN else 0),
            1,
            cost.risk,
        )
    return cost


def hops(question: Question, state: Mapping[str, str]) -> Iterator[tuple[dict[str, str], Cost]]:
    def share(a: str, b: str) -> bool:
        return b in question.component(a).moves_with or a in question.component(b).moves_with

    movable = [n for n in question.goal if question.start[n] != question.goal[n]]
    for size in range(1, len(movable) + 1):
        for group in combinations(movable, size):
            if all(share(a, b) for a, b in combinations(group, 2)):
                for targets in product(*(list(singles(question, state, n)) for n in group)):
                    chosen = dict(zip(group, targets, strict=True))
                    after = {**state, **chosen}
                    if not closed(question, after):
                        yield after, price(question, state, chosen)


def exhaustive(question: Question) -> Cost | None:
    def frozen(state: Mapping[str, str]) -> State:
        return tuple(sorted(state.items()))

    queue = [(Cost(), frozen(question.start))]
    done: set[State] = set()
    while queue:
        cost, state = heapq.heappop(queue)
        if state == frozen(question.goal):
            return cost
        if state in done:
            continue
        done.add(state)
        for after, more in hops(question, dict(state)):
            heapq.heappush(queue, (Cost(*(a + b for a, b in zip(cost, more, strict=True))), frozen(after)))
    return None


@settings(max_examples=250, deadline=None)
@given(questions())
def test_every_state_in_between_is_sound_and_no_plan_is_cheaper(question: Question) -> None:
    assume(question.start != question.goal)
    answer, solved = exhaustive(question), solve(question)
    if answer is None:
        assert solved is None
        return
    assert solved is not None
    assert unpacked(solved.cost) == answer
    states = [{**question.start, **solved.space.versions(s)} for s in solved.states]
    assert (states[0], states[-1]) == (question.start, question.goal)
    total = Cost()
    for before, after in pairwise(states):
        more = [c for state, c in hops(question, before) if state == after]
        assert more, "a hop that no graph has, or a state that breaks a rule"
        total = Cost(*(a + b for a, b in zip(total, min(more), strict=True)))
    assert total == answer
