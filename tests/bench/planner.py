"""The coupled plan of 4.14 to 4.22: the whole command, the search, and the same question to other solvers.

networkx and clingo are asked only where they are installed (`pip install networkx clingo`); the product needs neither.
Both get what `reduce` leaves, which is generous: the whole product has millions of states.
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
from knowngood.planner.cost import Charge, Cost, unpacked
from knowngood.planner.problem import Box, Problem, Track
from knowngood.planner.question import Question
from knowngood.planner.reduce import reduced
from knowngood.planner.rules import traits_of
from knowngood.planner.search import cheapest
from knowngood.planner.space import space

FIRST, LAST = "h200-4.14-r550", "h200-4.22-r595"
FOUR = ("openshift", "gpu-operator", "network-operator", "nvidia-driver")
PATIENCE = 60.0
"""Seconds that another solver is given."""


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
    """The same model, reduced already, to networkx and clingo; how many times longer than our search they take."""
    problem = reduced(space(question).problem).problem
    found = cheapest(problem)
    assert found is not None
    ours = timed(lambda: cheapest(reduced(problem).problem))
    results = []
    for solver, ask in (("networkx", _networkx), ("clingo", _clingo)):
        try:
            library = importlib.import_module(solver)
        except ImportError:
            results.append(
                Measurement(f"{name}: {solver} / our search", 0, "times", note="not installed: skipped")
            )
            continue
        begin = time.perf_counter()
        cost, note = ask(library, problem, unpacked(found.cost))
        taken = time.perf_counter() - begin
        if cost is not None and cost != unpacked(found.cost):
            raise AssertionError(f"{solver} found {cost}, we {unpacked(found.cost)}")
        results.append(
            Measurement(
                f"{name}: {solver} / our search",
                taken / ours,
                "times",
                note=f"{taken:.3g} s{note}; aim: 10 or more",
            )
        )
    return results


def _networkx(nx: Any, problem: Problem, _: Cost) -> tuple[Cost | None, str]:
    """Dijkstra over the explicit product of all sound states, built first as it asks for a graph."""
    board = problem.board
    graph = nx.DiGraph()
    todo, seen = [problem.start], {problem.start}
    while todo:
        state = todo.pop()
        for step in board.steps(state, board.mask(state)):
            known = graph.get_edge_data(state, step.state)
            if known is None or known["weight"] > step.cost:
                graph.add_edge(state, step.state, weight=step.cost)
            if step.state not in seen:
                seen.add(step.state)
                todo.append(step.state)
    length = nx.dijkstra_path_length(graph, problem.start, problem.goal)
    return unpacked(length), f" for {len(seen)} states"


def _clingo(clingo: Any, problem: Problem, known: Cost) -> tuple[Cost | None, str]:
    """As an answer set program that is told how many hops the best plan has."""
    cost, finished = asp.solve(clingo, problem, known.hops, PATIENCE)
    return (cost, "") if finished else (None, f", given up after {PATIENCE:g} s, the best proven is none")


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
