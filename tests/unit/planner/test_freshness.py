"""A gate that did not run on a node in use is told, and counts only while its last pass there is young enough."""

from __future__ import annotations

import pytest

from knowngood.planner.freshness import Earlier, not_run

NOW = "2026-08-22T03:00:00.000Z"
GATES: dict[str, dict[str, object]] = {
    "smoke": {"kind": "active", "withinDays": 7},
    "never": {"kind": "active"},
}


def earlier(
    day: str, verdict: str = "pass", gate: str = "smoke", node: str = "n", release: str = "r"
) -> Earlier:
    return Earlier(gate, node, release, f"2026-08-{day}T03:00:00.000Z", verdict)


@pytest.mark.parametrize(
    ("known", "fresh", "days"),
    [
        ([], False, None),
        ([earlier("20")], True, 2.0),
        ([earlier("15")], True, 7.0),
        ([earlier("14")], False, 8.0),
        ([earlier("20"), earlier("21", "fail")], False, None),
        ([earlier("20", "fail"), earlier("21")], True, 1.0),
        ([earlier("20"), earlier("21", "inconclusive")], True, 2.0),
        ([earlier("21", node="other"), earlier("21", gate="x"), earlier("21", release="old")], False, None),
        ([earlier("23")], False, None),
    ],
    ids=[
        "never",
        "young",
        "just",
        "old",
        "a later fail voids",
        "a later pass mends",
        "could not tell",
        "another's",
        "of tomorrow",
    ],
)
def test_the_last_word_of_that_gate_on_that_node_by_that_release_counts(
    known: list[Earlier], fresh: bool, days: float | None
) -> None:
    (found,) = not_run(GATES, ["smoke"], {"n": "work runs there"}, known, "r", NOW)
    assert (found.fresh, found.days) == (fresh, days)
    assert "work runs there" in found.sentence()


def test_where_the_profile_allows_no_age_none_will_do() -> None:
    (found,) = not_run(GATES, ["never"], {"n": "x"}, [earlier("22", gate="never")], "r", NOW)
    assert not found.fresh
    assert "passed 0.0 days ago, the profile allows no age" in found.sentence()
