"""docs/twin.md says of each component that moves which test shows it done, restored and with which faults: they do."""

from __future__ import annotations

import re
from pathlib import Path

from tests.movers import EVERY

from knowngood.twin.faults import KINDS

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/twin.md").read_text(encoding="utf-8").partition("## What is shown of each component")[2]
SECTION = TEXT.partition("\n## ")[0]
FILES = {
    name: ROOT / "tests/integration" / file
    for name, file in re.findall(r"\*(\w+)\*\s+`([\w/]+\.py)`", SECTION)
}
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in SECTION.splitlines() if "| " in line
]
ABOUT = {
    "table": ("nvidia-driver", "rdma-mode"),
    "once": ("nvidia-driver",),
    "nic": ("doca-ofed",),
    "twice": ("nvidia-driver",),
    "coupled": ("nvidia-driver", "kernel-module-type", "rdma-mode", "gpu-operator-rdma", "doca-ofed"),
    "operators": ("gpu-operator",),
}
"""Which components a whole run moves, where its text does not name each; lab-rdma's release moves five at once."""


def test_each_component_that_moves_has_a_row_and_no_other() -> None:
    assert sorted(row[0] for row in ROWS[1:]) == sorted(EVERY)


def test_each_test_that_is_named_is_there_and_about_that_component() -> None:
    for component, *cells in ROWS[1:]:
        assert all(cells), component
        named = {name for cell in cells[:2] for name in cell.split(", ")}
        named |= set(re.findall(r"(\w+): ", cells[2]))
        for name in named:
            text = FILES[name].read_text(encoding="utf-8")
            adapter = f'"{component}"' in text or component.replace("-", "_") in text
            assert component in ABOUT.get(name, ()) or adapter, f"{component}: {name}"


def test_each_component_has_faults_and_each_is_in_the_test_that_is_named() -> None:
    for component, _, _, cell in ROWS[1:]:
        found = set()
        for part in cell.split("; "):
            name, _, told = part.partition(": ")
            faults = re.findall(r"`([\w-]+)`", told)
            text = FILES[name].read_text(encoding="utf-8")
            assert faults or "all of every cluster" in told, part
            assert [f for f in faults if f not in KINDS or f'"{f}"' not in text] == [], f"{component}: {part}"
            found |= set(faults)
        assert len(found) >= 3, f"{component}: at least three faults"


def test_the_coupled_run_moves_what_the_table_says() -> None:
    before, after = (
        (ROOT / f"matrix/releases/{name}.yaml").read_text(encoding="utf-8")
        for name in ("r580-peermem", "r595")
    )
    moved = set(before.splitlines()) - set(after.splitlines())
    assert {name for name in ABOUT["coupled"] if any(f"  {name}: " in line for line in moved)} == set(
        ABOUT["coupled"]
    )
