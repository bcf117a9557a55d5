"""What a draw of mutants shows: only a test that failed kills, and what was not played shows nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.mutants import __main__ as mutants
from tests.mutants.mutate import Mutant, Source
from tests.mutants.tree import Ran

DIES, LIVES = Ran(ok=False, words="FAILED x"), Ran(ok=True, words="1 passed")
LATE = Ran(ok=False, words="it did not end", ended=False)


def drawn(count: int) -> list[Mutant]:
    text = "".join(f"def f{n}(x: int) -> bool:\n    return x > {n}\n" for n in range(count))
    return Source("x.py", text).mutants()[:count]


@pytest.mark.parametrize(
    ("ends", "drawn_", "words"),
    [
        ([DIES] * 9 + [LIVES], 10, ""),
        ([DIES] * 8 + [LIVES] * 2, 10, "2 of 10 were not killed"),
        ([DIES] * 8 + [LIVES, LATE], 10, "2 of 10 were not killed"),
        ([DIES] * 9, 10, "9 of 10 were played"),
        ([], 10, "0 of 10 were played"),
        ([], 0, "nothing was drawn, so nothing is shown"),
    ],
)
def test_a_draw_is_good_if_all_of_it_was_played_and_nine_in_ten_were_killed(
    ends: list[Ran], drawn_: int, words: str
) -> None:
    assert mutants.short(dict(zip(drawn(10), ends, strict=False)), drawn_) == words


def test_what_lived_is_kept_until_it_is_played_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutants, "KEPT", tmp_path / "mutants.json")
    one, two, three = drawn(3)
    mutants.keep({one: DIES, two: LATE}, [one.name, two.name, three.name])
    kept = json.loads(mutants.KEPT.read_text(encoding="utf-8"))
    assert kept == {"played": 2, "lived": [two.name, three.name]}


def test_a_name_whose_line_is_gone_is_not_kept_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutants, "KEPT", tmp_path / "mutants.json")
    one, two = drawn(2)
    mutants.keep({one: LIVES, two: LIVES}, ["x.py: a line of before: 1 -> 2"])
    assert mutants.kept([two]) == [two]
    mutants.keep({two: LIVES}, [m.name for m in mutants.kept([two])])
    assert json.loads(mutants.KEPT.read_text(encoding="utf-8"))["lived"] == [two.name]


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("LOOK_AGAIN = 0.2\nMOST, POOL = 8 << 20, 0.8\n", []),
        ("POOL = 0.8\nshare = 0.9\n", ["0.8 -> 1.6", "0.9 -> 1.8"]),
        ("_MAX_LONG = 64 * 1024\nmost = 3\n", ["3 -> 4"]),
        ("x = zip(a, b, strict=True)\n", []),
        ("x = max(y, 1e-30) + 1e-9\n", ["1e-9 -> 2e-09"]),
        ("x = file.read(2000), sleep(3)\n", ["3 -> 4"]),
        ("late = time.monotonic() > until\nover = now > until\n", ["> -> >="]),
    ],
)
def test_what_no_verdict_hangs_on_is_left_alone(text: str, changes: list[str]) -> None:
    assert [m.name.rpartition(": ")[2] for m in Source("x.py", text).mutants()] == changes


def test_two_equal_numbers_on_one_line_are_two_mutants_by_name() -> None:
    """Else one that changes nothing would stand for both."""
    text = "x = max(0, y, 0)\nif a < b < c or a < b:\n    pass\nx = max(0, y, 0)\n"
    names = [m.name for m in Source("x.py", text).mutants()]
    assert len({*names}) == len(names) == 7
    assert [name.rpartition("0 -> 1")[2] for name in names if "0 -> 1" in name] == [
        "",
        " (2)",
        " (3)",
        " (4)",
    ]
