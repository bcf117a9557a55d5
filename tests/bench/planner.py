"""The coupled plan of 4.14 to 4.22: the whole command, the search, and the same question to other solvers.

networkx and clingo are asked only where they are installed (`pip install networkx clingo`); the product needs neither.
networkx is asked twice: for the problem as our planner gets it, and for what our own reduction leaves of it. clingo is
asked only for the latter, because that is too much for it already.
"""

from __future__ import annotations

import importlib
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import asp
from tests.bench.measurement import BIN, Measurement, seconds

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.matrix import Matrix
from knowngood.planner.rules.evaluation import traits_of
from knowngood.planner.search.a_star import cheapest
from knowngood.planner.search.cost import Charge, Cost, unpacked
from knowngood.planner.search.problem import Box, Problem, Track
from knowngood.planner.search.question import Question
from knowngood.planner.search.reduce import reduced
from knowngood.planner.search.space import space

FIRST, LAST = "h200-4.14-r550", "h200-4.22-r595"
FOUR = ("openshift", "gpu-operator", "network-operator", "nvidia-driver")
PATIENCE = 60.0
"""Seconds that another solver is given."""
Ask = Callable[[Problem, Cost], tuple[Cost | None, str]]
"""Another solver: a problem and our cost of it -> the cost found (None: none in time), and a remark."""


def measure() -> list[Measurement]:
    """Cold, then warm in this process, then the others, then larger and larger chains."""
    matrix = load(matrix_dir())
    row = _question(matrix, tuple(matrix.releases[FIRST].components))
    four = _question(matrix, FOUR)
    return [
        *_cold(matrix),
        *_searches("the four of the issue", four),
        *_searches("the whole row", row),
        *_others(four, "the four"),
        *_others(row, "the whole row"),
        *_growth(),
    ]


def _question(matrix: Matrix, names: tuple[str, ...]) -> Question:
    cluster = matrix.clusters["ams-prod"]
    start, goal = (
        {n: v for n, v in matrix.releases[r].components.items() if n in names} for r in (FIRST, LAST)
    )
    return Question(matrix, cluster, start, goal, traits_of(matrix.profiles[cluster.profile], cluster))


def _cold(matrix: Matrix) -> list[Measurement]:
    """The command as an engineer types it, on the full graph."""
    with tempfile.TemporaryDirectory() as folder:
        observed = Path(folder) / "observed.yaml"
        versions = matrix.releases[FIRST].components
        observed.write_text("".join(f'{name}: "{version}"\n' for name, version in versions.items()))
        command = [str(BIN / "knowngood"), "plan", "ams-prod", "--to", LAST, "--from-file", str(observed)]
        validate = [str(BIN / "knowngood"), "validate"]
        return [
            Measurement("plan 4.14.34 to 4.22.9, cold", seconds(command, times=5), "s", aim=1),
            Measurement(
                "validate in the same run, cold", seconds(validate, times=5), "s", note="what loading costs"
            ),
        ]


def _searches(name: str, question: Question) -> list[Measurement]:
    """Making the problem, and answering it, as medians."""
    problem = space(question).problem
    whole = 1
    for track in problem.tracks:
        whole *= len(track.versions)
    small = reduced(problem).problem
    left = 1
    for track in small.tracks:
        left *= len(track.versions)
    made = timed(lambda: space(question))
    search = timed(lambda: cheapest(reduced(problem).problem))
    found = cheapest(small)
    looked_at = found.looked_at if found else 0
    note = f"{len(problem.tracks)} components, {whole:.2g} states, {left} left, {looked_at} looked at"
    return [
        Measurement(f"{name}: graphs and rules as a problem", made * 1000, "ms"),
        Measurement(f"{name}: reduction and search", search * 1000, "ms", aim=100, note=note),
    ]


def timed(act: Callable[[], object], times: int = 7) -> float:
    """The median time."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        act()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def _others(question: Question, name: str) -> list[Measurement]:
    """How many times longer than we others take for the same problem: as it is, and as our reduction leaves it."""
    whole = space(question).problem
    small = reduced(whole).problem
    ours = timed(lambda: cheapest(reduced(whole).problem))
    searched = timed(lambda: cheapest(small))
    return [
        _other(f"{name}: networkx / ours", _networkx, whole, ours),
        _other(f"{name}, reduced by us: networkx / our search", _networkx, small, searched),
        _other(f"{name}, reduced by us: clingo / our search", _clingo, small, searched),
    ]


def _other(title: str, ask: Ask, problem: Problem, ours: float) -> Measurement:
    """One solver's time as a multiple of `ours`; AssertionError where it finds something else than we do."""
    found = cheapest(reduced(problem).problem)
    assert found is not None
    begin = time.perf_counter()
    try:
        cost, note = ask(problem, unpacked(found.cost))
    except ImportError:
        return Measurement(title, 0, "times", note="not installed: skipped")
    taken = time.perf_counter() - begin
    if cost is not None and cost != unpacked(found.cost):
        raise AssertionError(f"{title}: found {cost}, we {unpacked(found.cost)}")
    return Measurement(
        title, taken / ours, "times", note=f"{taken:.3g} s{note}, ours {ours * 1000:.3g} ms; aim: 10 or more"
    )


def _networkx(problem: Problem, _: Cost) -> tuple[Cost | None, str]:
    """Dijkstra over the explicit product of all sound states, built first as it asks for a graph."""
    nx: Any = importlib.import_module("networkx")
    board = problem.board
    graph = nx.DiGraph()
    todo, seen = [problem.start], {problem.start}
    end = time.monotonic() + PATIENCE
    while todo:
        if time.monotonic() > end:
            return None, f", given up: {len(seen):,} states and no graph yet"
        state = todo.pop()
        for step in board.steps(state, board.mask(state)):
            known = graph.get_edge_data(state, step.state)
            if known is None or known["weight"] > step.cost:
                graph.add_edge(state, step.state, weight=step.cost)
            if step.state not in seen:
                seen.add(step.state)
                todo.append(step.state)
    length = nx.dijkstra_path_length(graph, problem.start, problem.goal)
    return unpacked(length), f" for {len(seen):,} states"


def _clingo(problem: Problem, known: Cost) -> tuple[Cost | None, str]:
    """As an answer set program that is told how many hops the best plan has."""
    clingo = importlib.import_module("clingo")
    cost, finished = asp.solve(clingo, problem, known.hops, PATIENCE)
    return (cost, "") if finished else (None, ", given up: no optimum proven")


def _growth() -> list[Measurement]:
    """Chains of components in which each waits for the next one's step."""
    results = []
    for count in (4, 6, 8, 10, 12):
        problem = chain(count)
        results.append(
            Measurement(
                f"a chain of {count} components, 8 versions each",
                timed(partial(_answer, problem), times=3) * 1000,
                "ms",
                note=f"{8**count:.2g} states",
            )
        )
    return results


def _answer(problem: Problem) -> object:
    return cheapest(reduced(problem).problem)


def chain(count: int, versions: int = 8) -> Problem:
    """Each step of a component needs the step before of the next one; every third can't be undone."""
    everything = (1 << versions) - 1
    moves = tuple({0: 1 << v + 1} if v + 1 < versions else {} for v in range(versions))
    closing = tuple({1: 1 << v + 1} if v + 1 < versions else {} for v in range(versions))
    tracks = tuple(
        Track(
            f"c{i}",
            tuple(str(v) for v in range(versions)),
            0,
            versions - 1,
            {"": closing if i % 3 == 2 else moves},
        )
        for i in range(count)
    )
    boxes = tuple(
        Box(f"c{i} {v}", {i: everything & ~((1 << v) - 1), i + 1: (1 << v - 1) - 1})
        for i in range(count - 1)
        for v in range(2, versions)
    )
    return Problem(
        tracks, boxes, (Charge(cluster=True, drains=6), Charge(forward_only=True, cluster=True, reboots=8))
    )
