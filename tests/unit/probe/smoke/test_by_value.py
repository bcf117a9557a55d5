"""A few sums a rank tell what happened to gradients, to their reduction and to the weights, and on which rank."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from knowngood.probe.smoke.by_value import SUMS, explained, faults, length, mean

from .ranks import RATE, STEPS, steps

RANKS = 4


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.parametrize("ranks", [1, 2, 8])
def test_rounding_is_no_fault(seed: int, ranks: int) -> None:
    assert not list(faults(steps(seed, ranks)))


def scaled(values: list[float], factor: float) -> list[float]:
    return [factor * x for x in values]


def own(change: Callable[[list[dict[str, Any]]], list[float]]) -> Callable[[list[dict[str, Any]]], None]:
    """Rank 2 computes another gradient, and it is that one that is reduced and steps the weights."""

    def spoil(step: list[dict[str, Any]]) -> None:
        step[2]["own"] = change(step)
        follow(step, mean([s["own"] for s in step]))

    return spoil


def follow(step: list[dict[str, Any]], reduced: list[float], *ranks: int) -> None:
    for rank in ranks or range(len(step)):
        step[rank]["reduced"] = reduced
        step[rank]["after"] = [w - RATE * g for w, g in zip(step[rank]["before"], reduced, strict=True)]


def everywhere(change: Callable[[list[list[float]]], list[float]]) -> Callable[[list[dict[str, Any]]], None]:
    return lambda step: follow(step, change([s["own"] for s in step]))


def lost(step: list[dict[str, Any]]) -> None:
    follow(
        step, [m - p / RANKS for m, p in zip(mean([s["own"] for s in step]), step[1]["own"], strict=True)], 0
    )


def unreduced(step: list[dict[str, Any]]) -> None:
    for rank in range(RANKS):
        follow(step, step[rank]["own"], rank)


SABOTAGE: dict[str, tuple[Callable[[list[dict[str, Any]]], None], int | None, str]] = {
    "zeroed": (own(lambda s: [0.0] * SUMS), 2, "is zero"),
    "negated": (own(lambda s: scaled(s[2]["own"], -1)), 2, "is negated"),
    "times ten": (own(lambda s: scaled(s[2]["own"], 10)), 2, "is 10 times"),
    "half": (own(lambda s: scaled(s[2]["own"], 0.5)), 2, "is 0.5 times"),
    "random": (own(lambda s: [3.0, -1, 2, 0.5, -2, 1, 1, -3]), 2, "is wrong by"),
    "an error of 5e-3": (
        own(lambda s: [x + 5e-3 * y for x, y in zip(s[2]["own"], s[0]["own"], strict=True)]),
        2,
        "wrong by",
    ),
    "another's share": (own(lambda s: s[3]["own"]), 2, "that of rank 3's share"),
    "not a number": (own(lambda s: [float("nan")] * SUMS), 2, "is not a number"),
    "a broadcast in place of the mean": (
        everywhere(lambda parts: parts[0]),
        None,
        "rank 0's gradient alone: a broadcast",
    ),
    "the sum in place of the mean": (
        everywhere(lambda parts: scaled(mean(parts), RANKS)),
        None,
        "the sum in place",
    ),
    "a negated mean": (everywhere(lambda parts: scaled(mean(parts), -1)), None, "is negated on every rank"),
    "no reduction at all": (
        unreduced,
        None,
        "its own part, not reduced on every rank",
    ),
    "one part lost on one rank": (lost, 0, "without rank 1's part"),
    "a loss that is not a number": (lambda s: s[3].update(loss=float("nan")), 3, "the loss is not a number"),
    "stale weights": (lambda s: s[1].update(after=s[1]["before"]), 1, "stale"),
    "weights that moved elsewhere": (
        lambda s: s[1].update(after=scaled(s[1]["after"], 1.01)),
        1,
        "otherwise",
    ),
    "other weights than before": (lambda s: s[1].update(before=scaled(s[1]["before"], 1.01)), 1, "not those"),
}


@pytest.mark.parametrize("step", range(STEPS))
@pytest.mark.parametrize("name", SABOTAGE)
def test_each_sabotage_is_caught_and_named_with_its_rank(name: str, step: int) -> None:
    spoil, rank, words = SABOTAGE[name]
    said = copy.deepcopy(steps())
    spoil(said[step])
    found = list(faults(said))
    assert any(f.rank == rank and words in f.words and f.words.startswith(f"step {step}:") for f in found), (
        found
    )
    if rank is not None:
        assert {f.rank for f in found} == {rank}, "no other rank is blamed"


def test_weights_that_no_seed_gives() -> None:
    said = copy.deepcopy(steps())
    said[0][3]["seeded"] = scaled(said[0][3]["seeded"], 1.001)
    assert [(f.rank, f.words) for f in faults(said)] == [
        (3, "step 0: the first weights are not those of the seed")
    ]


@pytest.mark.parametrize(("share", "found"), [(0.9, False), (1.1, True)])
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("own", 1e-3), ("reduced", 1e-4), ("after", 1e-2)],
    ids=["gradient", "reduction", "step"],
)
def test_each_tolerance_is_what_was_measured_of_healthy_runs_and_no_more(
    name: str, tolerance: float, share: float, found: bool
) -> None:
    """Of the vector's own length: a gradient's rounding, a reduction's, and a step's by the optimizer."""
    said = copy.deepcopy(steps())
    step, off = said[STEPS - 1], 1 + share * tolerance
    if name == "own":
        step[2]["own"] = scaled(step[2]["wanted"], off)
        follow(step, mean([s["own"] for s in step]))
    elif name == "reduced":
        follow(step, scaled(mean([s["own"] for s in step]), off))
    else:
        moved = [(a - b) * off for a, b in zip(step[2]["after"], step[2]["before"], strict=True)]
        step[2]["after"] = [b + m for b, m in zip(step[2]["before"], moved, strict=True)]
    assert bool(list(faults(said))) is found


def test_what_a_gradient_became_is_told_by_its_factor() -> None:
    for factor, words in ((-1.0, "negated"), (-2.0, "is -2 times"), (3.0, "is 3 times")):
        said = copy.deepcopy(steps())
        own(lambda s, f=factor: scaled(s[2]["own"], f))(said[0])  # type: ignore[misc]
        assert any(words in f.words and f.rank == 2 for f in faults(said)), words


def test_a_single_rank_whose_gradient_is_no_number_is_told_once() -> None:
    said = copy.deepcopy(steps(ranks=1))
    said[0][0]["reduced"] = [float("nan")] * SUMS
    assert [f.words for f in faults(said)][:1] == ["step 0: the reduced gradient is not a number"]


def test_two_ranks_are_enough_to_hold_a_reduction_against_its_parts() -> None:
    said = copy.deepcopy(steps(ranks=2))
    for rank in said[0]:
        rank["reduced"] = scaled(rank["reduced"], 2.0)
    assert "step 0: the reduced gradient is the sum in place of the mean on every rank" in [
        f.words for f in faults(said)
    ]


@pytest.mark.parametrize(
    ("got", "wanted", "words"),
    [
        ([1.5], [1.0], ""),
        ([-0.5], [1.0], "zero"),
        ([3.0], [1.0], "another"),  # which is [2.0], by half of its length
        ([-1.5], [1.0], "negated"),
        ([4.0, 2.0], [1.0, 0.0], "4 times what it should be"),
        ([4.0, 2.1], [1.0, 0.0], "wrong by 3.7e+00 of its length"),
    ],
)
def test_what_is_just_within_the_tolerance_is_explained(
    got: list[float], wanted: list[float], words: str
) -> None:
    """Half of a vector's length, here."""
    others = {"another": [2.0] if len(got) == 1 else [99.0, 0.0]}
    assert explained(got, wanted, others, 0.5) == words
    assert (length([3.0]), length([])) == (3.0, 0.0)


def of_one(before: float, after: float, reduced: float, seeded: float) -> list[str]:
    """What is wrong with a step of a single rank with a single sum."""
    step = {"loss": 1.0, "rate": 1.0, "own": [reduced], "wanted": [reduced], "reduced": [reduced]}
    step |= {"before": [before], "after": [after], "seeded": [seeded]}
    return [found.words for found in faults([[step]])]


def test_weights_may_be_off_by_a_millionth_and_a_step_by_a_hundredth_of_itself() -> None:
    """A millionth of these weights is 1, a hundredth of this step is 1."""
    start = 1e6
    assert of_one(start, start - 100, 100.0, start - 1) == []
    assert "not those of the seed" in of_one(start, start - 100, 100.0, start - 1.5)[0]
    assert of_one(start, start - 98, 100.0, start) == []
    assert "moved otherwise" in of_one(start, start - 97.5, 100.0, start)[0]
    assert "stale" in of_one(start, start + 1, 100.0, start)[0]
    assert "moved otherwise" in of_one(start, start + 1.5, 100.0, start)[0]
