"""How recordings are held against each other: what counts as equal, and that the table of exceptions stays true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.replay.accepted import FILE, Accepted, rendered, table, verdict
from tests.integration.replay.compare import differences
from tests.integration.replay.recording import Line, is_note, steps, without_leftovers

PAGE = Path(__file__).parents[3] / "docs" / "twin-recordings.md"
EDIT: Line = {"type": "EDIT", "what": "version 1 -> 2"}
POD = "driver@gpu-1#1"


def changed(name: str, **fields: Any) -> Line:
    """A line of a DaemonSet whose fields went from one value to another."""
    kind = "Pod" if "@" in name else "DaemonSet"
    return {
        "type": "MODIFIED",
        "kind": kind,
        "name": name,
        "change": {k.replace("_", "."): v for k, v in fields.items()},
    }


def between(real: list[Line], twin: list[Line]) -> list[str]:
    """Which fields differ after the edit."""
    found = differences(steps([EDIT, *real]), steps([EDIT, *twin]))
    return [f"{one.name} {one.field}".strip() for one in found]


def test_equal_paths_are_equal_however_they_are_cut_into_events() -> None:
    whole = [changed("ds", spec_version=["1", "2"], spec_type=["a", "b"])]
    pieces = [changed("ds", spec_type=["a", "b"]), changed("ds", spec_version=["1", "2"])]
    assert between(whole, pieces) == []


def test_a_way_round_is_a_difference_though_the_end_is_the_same() -> None:
    assert between([changed("ds", state=["a", "b"]), changed("ds", state=["b", "a"])], []) == ["ds state"]


def test_sums_count_only_from_begin_to_rest() -> None:
    slow = [changed("ds", **{"status.numberReady": [2, 1]}), changed("ds", **{"status.numberReady": [1, 3]})]
    quick = [changed("ds", **{"status.numberReady": [2, 3]})]
    assert between(slow, quick) == []
    assert between(slow, [changed("ds", **{"status.numberReady": [2, 4]})]) == ["ds status.numberReady"]


def test_names_stand_for_values_and_must_stand_for_the_same_everywhere() -> None:
    real = [changed("a", rev=["rev1", "rev2"]), changed("b", rev=["rev3", "rev2"])]
    assert between(real, [changed("a", rev=["rev9", "rev4"]), changed("b", rev=["rev1", "rev4"])]) == []
    assert between(real, [changed("a", rev=["rev9", "rev4"]), changed("b", rev=["rev1", "rev5"])]) == [
        "b rev"
    ]


def test_generations_count_from_anywhere() -> None:
    real = [changed("ds", generation=[5, 6]), changed("ds", generation=[6, 7])]
    assert between(real, [changed("ds", generation=[1, 3])]) == ["ds generation"]
    assert between(real, [changed("ds", generation=[1, 2]), changed("ds", generation=[2, 3])]) == []


def test_an_object_that_does_not_come_or_go_is_a_difference() -> None:
    added: Line = {"type": "ADDED", "kind": "Pod", "name": POD, "set": {"phase": "Pending"}}
    assert between([added], []) == [POD, f"{POD} phase"]
    assert between([], [{"type": "DELETED", "kind": "Pod", "name": POD}]) == [POD]


def test_the_order_in_one_strand_counts() -> None:
    def strands(line: Line) -> list[tuple[str, str]]:
        return [("one", line["name"])]

    first, second = changed("a", x=[1, 2]), changed("b", x=[1, 2])
    ways = steps([EDIT, first, second]), steps([EDIT, second, first])
    assert [one.kind for one in differences(*ways, strands)] == ["order"]
    assert differences(*ways) == []


def test_what_the_test_saw_is_compared_too() -> None:
    real = steps([EDIT, {"type": "EDIT", "what": 'states {"ring-0": "ready"}'}])
    twin = steps([EDIT, {"type": "EDIT", "what": 'states {"ring-0": "notReady"}'}])
    assert [one.name for one in differences(real, twin)] == ["saw"]


@pytest.mark.parametrize("what", ['now: {"csv": {}}', "not reached within 240 s: {}", "owner of gpu-5: None"])
def test_notes_are_told_from_edits(what: str) -> None:
    assert is_note(what)
    assert not is_note("cordon gpu-1")


def test_what_was_there_before_is_left_out_and_the_rest_counts_from_one() -> None:
    lines: list[Line] = [
        {"type": "DELETED", "kind": "Pod", "name": "d@n#1"},
        {"type": "ADDED", "kind": "Pod", "name": "d@n#2"},
        {"type": "DELETED", "kind": "Pod", "name": "d@n#2"},
    ]
    assert [(line["type"], line["name"]) for line in without_leftovers(lines)] == [
        ("ADDED", "d@n#1"),
        ("DELETED", "d@n#1"),
    ]


def test_only_what_the_table_accepts_passes_and_the_table_must_not_accept_what_no_longer_differs() -> None:
    found = differences(steps([EDIT, changed("ds", state=["a", "b"])]), steps([EDIT]))
    row = Accepted(("x",), "because", kind="DaemonSet", field="sta*")
    assert verdict("x", found, [row]) == []
    assert [w.split(":")[0] for w in verdict("x", found, [])] == ["not accepted"]
    assert [w.split(",")[0] for w in verdict("x", [], [row])] == ["no longer so"]
    assert verdict("y", [], [row]) == []


@pytest.mark.parametrize("file", sorted(FILE.parent.glob("accepted*.yaml")), ids=lambda file: file.stem)
def test_the_documentation_shows_each_table_as_it_is(file: Path) -> None:
    shown = rendered(table(file))
    assert shown in PAGE.read_text(encoding="utf-8"), (
        f"docs/twin-recordings.md must have, of {file.name}:\n{shown}"
    )
