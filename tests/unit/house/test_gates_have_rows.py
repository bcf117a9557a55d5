"""No gate without rows in the fault table: a pass, each fault that it should catch, and nothing to look at."""

from __future__ import annotations

import pytest
from tests.unit.gates.faults.fault import ROWS, rows_of, told
from tests.unit.gates.faults.recorded import names


@pytest.mark.parametrize("gate", names())
def test_every_gate_has_rows_of_each_kind(gate: str) -> None:
    where = f"{ROWS.parent.name}/{ROWS.name}/{gate}.py"
    assert gate in told(), (
        f"gates/{gate}.py has no rows: write tests/unit/gates/{where} (docs/gates-proof.md)"
    )
    rows = rows_of(gate)
    for kind in ("PASS", "FAULTS", "EMPTY"):
        assert getattr(rows, kind, None), f"{where} has no row of kind {kind}"


def test_every_row_is_of_a_gate() -> None:
    assert set(told()) <= set(names())
