"""What a profile may say of the gates that ship is what they read: the table is held to their sources."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from knowngood.matrix.lint.limits import NUMBERS, OF_ALL, OF_GATES, is_bound
from knowngood.matrix.locate import gates_dir

ROOT = Path(__file__).parents[3]
SOURCES = [*gates_dir().glob("*.py"), *(ROOT / "runner/knowngood/gate").glob("*.py")]
NAMED = re.compile(r'"((?:min|max)[A-Z]\w+)"')


def test_every_gate_that_ships_says_what_it_reads() -> None:
    assert OF_GATES.keys() == {file.stem for file in gates_dir().glob("*.py")}


def test_the_bounds_are_those_of_the_gates_sources() -> None:
    read = {name for file in SOURCES for name in NAMED.findall(file.read_text(encoding="utf-8"))}
    assert {name for known in OF_GATES.values() for name in known if is_bound(name)} == read


@pytest.mark.parametrize("gate", sorted(OF_GATES))
def test_the_bounds_in_a_gates_own_file_are_its_own(gate: str) -> None:
    named = set(NAMED.findall((gates_dir() / f"{gate}.py").read_text(encoding="utf-8")))
    assert named <= OF_GATES[gate]


def test_what_must_be_a_number_is_known() -> None:
    assert OF_ALL.union(*OF_GATES.values()) >= NUMBERS


@pytest.mark.parametrize(
    ("name", "bound"), [("minGbPerSecond", True), ("maxSameXid", True), ("minutes", False), ("max", False)]
)
def test_a_bound_is_told_by_its_name(name: str, bound: bool) -> None:
    assert is_bound(name) is bound
