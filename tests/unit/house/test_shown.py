"""docs/twin.md says of each component that moves which test shows it done, restored and with which faults: they do.

What a whole run moves is told by the matrix, how it ends by the rows that the tests play.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from tests.integration.faults.rows import lines, shown
from tests.movers import EVERY

from knowngood.twin.faults import KINDS

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/twin.md").read_text(encoding="utf-8").partition("## What is shown of each component")[2]
SECTION = TEXT.partition("\n## ")[0]
FILES = {
    name: ROOT / "tests/integration" / file
    for name, file in re.findall(r"\*(\w+)\*\s+`([\w/]+\.py)`", SECTION)
}
COMPONENTS, _, RUNS = SECTION.partition("\n### ")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in COMPONENTS.splitlines() if "| " in line
]
MOVES = {
    "table": ("lab-small", "r595"),
    "twice": ("lab-small", "r595"),
    "once": ("fra-prod", "h200-4.18-r580"),
    "coupled": ("lab-rdma", "r595"),
    "firmware": ("lab-firmware", "r595-newer-firmware"),
    "layouts": ("lab-mig", "r580-sevenths"),
    "system": ("lab-talos", "talos-1.13.8"),
}
"""Whole runs that move what two shipped releases differ in, and from which cluster's own one to which they go."""
ALONE = {
    "nic": "doca-ofed",
    "nics": "nic-firmware",
    "vfs": "sriov-vfs",
    "operators": "gpu-operator",
    "charts": "kai-scheduler",
}
"""Whole runs that move one component alone, in a release that they make of the cluster's own."""


FORWARD = {"release": {"openshift", "rhcos-kernel"}}
"""Whole runs of what is never taken back; the second component follows the first."""
NEVER = "never"


def moved_by(name: str) -> set[str]:
    """The components that a whole run moves, by the matrix; none where it is no whole run."""
    if name in FORWARD:
        return FORWARD[name]
    if name in ALONE:
        return {ALONE[name]}
    if name not in MOVES:
        return set()
    cluster, to = MOVES[name]
    pinned = yaml.safe_load((ROOT / f"matrix/clusters/{cluster}.yaml").read_text())["release"]
    before, after = (
        yaml.safe_load((ROOT / f"matrix/releases/{release}.yaml").read_text())["components"]
        for release in (pinned, to)
    )
    return {component for component in EVERY if before.get(component) != after.get(component)}


def test_each_component_that_moves_has_a_row_and_no_other() -> None:
    assert sorted(row[0] for row in ROWS[1:]) == sorted(EVERY)


def test_each_test_that_is_named_is_there_and_moves_that_component() -> None:
    for component, *cells in ROWS[1:]:
        assert all(cells), component
        forward = any(component in those for those in FORWARD.values())
        assert (cells[1] == NEVER) is forward, f"{component}: only what is forward-only is never restored"
        named = {name for cell in cells[: 1 if forward else 2] for name in cell.split(", ")}
        named |= set(re.findall(r"(\w+): ", cells[2]))
        for name in named:
            text = FILES[name].read_text(encoding="utf-8")
            adapter = f'"{component}"' in text or component.replace("-", "_") in text
            whole = name in (*MOVES, *ALONE, *FORWARD)
            assert component in moved_by(name) if whole else adapter, f"{component}: {name}"


def test_a_run_that_moves_one_alone_changes_just_that_one_in_the_release() -> None:
    for name, component in ALONE.items():
        text = FILES[name].read_text(encoding="utf-8")
        assert text.count(".replace(f") == 1, name
        assert f"{component}: " in text or f'OPERATOR, SPACE, OLD = "{component}"' in text, name


def test_each_component_has_faults_and_each_is_in_the_test_that_is_named() -> None:
    played: dict[str, set[str]] = {}
    for name, fault, _, _ in shown():
        played.setdefault(name, set()).update(re.findall(r"`([\w-]+)`", fault))
    for component, _, _, cell in ROWS[1:]:
        found: set[str] = set()
        for part in cell.split("; "):
            name, _, told = part.partition(": ")
            faults = set(re.findall(r"`([\w-]+)`", told)) or played[name]
            assert faults <= KINDS.keys(), part
            if name in played:
                assert faults <= played[name], f"{component}: {part}"
            else:
                text = FILES[name].read_text(encoding="utf-8")
                assert [f for f in faults if f'"{f}"' not in text] == [], f"{component}: {part}"
            found |= faults
        assert len(found) >= 3, f"{component}: at least three faults"


def test_how_each_whole_run_ends_is_told_as_its_test_has_it() -> None:
    """A row that is changed in the test changes the page, or this fails."""
    assert [line for line in RUNS.splitlines() if line.startswith("|")] == lines()


def test_each_whole_run_that_a_component_names_has_a_row_with_an_end() -> None:
    ends = {name: {end for other, _, _, end in shown() if other == name} for name in (*MOVES, *ALONE)}
    assert all("restored" in found for found in ends.values()), ends
    forward = {end for name, _, _, end in shown() if name in FORWARD}
    assert forward == {"held"}, "what can't be undone is never called restored"
    assert set().union(*ends.values()) <= {
        "done",
        "refused",
        "restored",
        "held",
        "quarantined",
        "interrupted",
    }
