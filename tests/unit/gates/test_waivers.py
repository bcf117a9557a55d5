"""A known bad part is found, told, and not counted until its day is over."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from knowngood.gate import verdicts
from knowngood.gate.verdicts import judge
from knowngood.model.parts import Out, Waiver, out

TODAY = date(2026, 11, 29)
NIC = "0000:9c:00.0"


@pytest.fixture(autouse=True)
def _one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day that does not end while the tests run."""
    monkeypatch.setattr(verdicts, "today", TODAY.isoformat)


def waiver(part: str = NIC, days: int = 0) -> Waiver:
    return Waiver("gpu-1", "rdma_health", part, "cable ordered", (TODAY + timedelta(days=days)).isoformat())


@pytest.mark.parametrize(
    ("part", "left"),
    [(NIC, 0), (f"{NIC}/1", 0), ("0000:9c:00.1", 1), (f"{NIC}0", 1), ("", 1)],
)
def test_a_waiver_is_of_its_part_and_what_belongs_to_it(part: str, left: int) -> None:
    notes = verdicts.begin([waiver()])
    assert len(judge.unwaived([(part, "it is down")])) == left
    assert (NIC in notes.waived) is not bool(left)


@pytest.mark.parametrize("spelled", ["00000000:9C:00.0", "9c:00.0"])
def test_a_place_is_one_however_it_is_spelled(spelled: str) -> None:
    """As nvidia-smi prints it, or without its domain: the GPU there is no known bad one that is out."""
    verdicts.begin([waiver(spelled)])
    assert judge.unwaived([(f"{NIC}/1", "it is down"), ("0001:9c:00.0", "another domain")]) == [
        "another domain"
    ]
    assert judge.waived_out({NIC}) == Out()
    assert out([spelled], [NIC]).excuses(1) is False
    assert out([spelled, UUID], [], {UUID: NIC}).sure == 1
    assert out([spelled], []).placed == (NIC,)


def test_a_waiver_ends_with_its_day_and_is_told() -> None:
    notes = verdicts.begin([waiver(days=-1)])
    assert judge.unwaived([(NIC, "it is down")]) == [f"it is down (waived until {TODAY - timedelta(days=1)})"]
    assert judge.waived_out(set()) == Out()
    assert notes.waived == {}


def test_a_waived_part_may_be_missing() -> None:
    notes = verdicts.begin([waiver()])
    assert judge.waived_out({NIC.upper()}) == Out()
    assert judge.waived_out({"0000:18:00.0"}) == Out(1, 1, (NIC,))
    assert notes.waived[NIC]["reason"] == "cable ordered"


def test_without_waivers_everything_counts() -> None:
    verdicts.begin()
    assert judge.unwaived([(NIC, "it is down"), ("", "7 ports")]) == ["it is down", "7 ports"]


def test_a_test_may_measure_256_kib() -> None:
    verdicts.begin()
    room = 256 * 1024 - len(json.dumps({"x": ""}))
    verdicts.measure(x="y" * room)
    with pytest.raises(ValueError, match="more than 262144 bytes measured"):
        verdicts.measure(x="y" * (room + 1))
    assert verdicts.MAX_MEASURED_BYTES == 16 * 1024, "of those, what a line of the events holds"


def test_of_what_is_wrong_four_are_told_and_the_others_counted() -> None:
    assert verdicts.some([*"abcd"]) == "a; b; c; d"
    assert verdicts.some([*"abcdef"]) == "a; b; c; d; and 2 more"
    assert verdicts.some([*"abc"], 1) == "a; and 2 more"


def test_a_waiver_counts_to_the_end_of_its_day() -> None:
    notes = verdicts.begin([waiver(days=0)])
    assert judge.unwaived([(NIC, "it is down")]) == []
    assert notes.waived[NIC]["found"] == "it is down"
    assert verdicts.absent([waiver(days=0), waiver("b", -1)], set()) == [waiver(days=0)]


UUID, OTHER = "GPU-4d0e3f3e-1234-5678-9abc-def012345678", "GPU-99999999-1234-5678-9abc-def012345678"


@pytest.mark.parametrize(
    ("waived", "there", "homes", "sure", "most"),
    [
        ([NIC], ["0000:18:00.0"], {}, 1, 1),
        ([UUID], ["GPU-4d0e3f3e-1234"], {}, 0, 0),  # what the kernel's files tell of it
        ([UUID], [], {UUID: NIC}, 1, 1),
        ([UUID, NIC], [], {UUID: NIC}, 1, 1),
        ([UUID], [NIC], {UUID: NIC}, 0, 0),  # replaced
        ([UUID, NIC], [], {}, 1, 2),
        ([UUID], [], {}, 0, 1),
        ([UUID], [], {UUID: ""}, 1, 1),
        ([UUID, NIC], [], {UUID: ""}, 1, 2),
        ([UUID, OTHER, NIC], [], {UUID: "", OTHER: ""}, 2, 3),
    ],
)
def test_waived_parts_that_are_out_are_counted_by_name(
    waived: list[str], there: list[str], homes: dict[str, str], sure: int, most: int
) -> None:
    found = out(waived, there, homes)
    assert (found.sure, found.most) == (sure, most)
    assert [found.excuses(lack) for lack in (sure, most + 1)] == [True, False]
    assert found.excuses(most) is (True if sure == most else None)
