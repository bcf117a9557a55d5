"""Each gate's faults, on a node of the twin that all gates look at: caught by that gate, and uncaught without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.gates.faults.fault import Empty, Fault, Stock, rows_of, told
from tests.unit.gates.faults.recorded import Said, names

from knowngood.model.verdict import Verdict

TABLE = {gate: rows_of(gate) for gate in told()}


def cases(kind: str) -> list[Any]:
    return [
        pytest.param(gate, row, id=f"{gate}: {name}")
        for gate, rows in TABLE.items()
        for name, row in getattr(rows, kind).items()
    ]


def bad(found: dict[str, Said]) -> dict[str, Said]:
    return {gate: said for gate, said in found.items() if said.verdict is not Verdict.PASS}


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    return Stock(tmp_path_factory.mktemp("stock"))


@pytest.mark.parametrize(("gate", "spoil"), cases("PASS"))
def test_a_healthy_node_passes(stock: Stock, tmp_path: Path, gate: str, spoil: Any) -> None:
    node = stock.of("whole", tmp_path)
    spoil(node)
    assert bad(node.judged(names())) == {}


@pytest.mark.parametrize(("gate", "row"), cases("FAULTS"))
def test_a_fault_is_caught_by_its_gate_and_by_no_other(
    stock: Stock, tmp_path: Path, gate: str, row: Fault
) -> None:
    """By all gates it is caught and named; by all but its own it passes."""
    node = stock.of(row.base, tmp_path)
    row.spoil(node)
    given = node.given()
    found = bad(node.judged(names(), given))
    assert set(found) == {gate, *row.also}, found
    assert (found[gate].verdict, row.words in found[gate].reason) == (row.verdict, True), found[gate]
    for other, words in row.also.items():
        assert words in found[other].reason
    rest = [name for name in names() if name not in {gate, *row.also}]
    assert bad(node.judged(rest, given)) == {}


@pytest.mark.parametrize(("gate", "row"), cases("EMPTY"))
def test_nothing_to_look_at_is_no_pass(stock: Stock, tmp_path: Path, gate: str, row: Empty) -> None:
    node = stock.of(row.base, tmp_path)
    row.spoil(node)
    found = node.judged([gate])[gate]
    assert (found.verdict, row.words in found.reason) == (row.verdict, True), found
