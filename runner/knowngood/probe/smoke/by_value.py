"""Gradients, their reduction and the weights, judged by value from a few sums a rank. Pure.

A vector's sums are its products with fixed vectors of random signs (`SUMS` of them, the same on every rank). They are
linear, so the sums of a mean are the mean of the sums: eight numbers a rank tell what a reduction did to a hundred
thousand. Each has the vector's own length as its standard deviation (Achlioptas, Database-friendly random projections,
2003), so a difference of sums measures the difference of the vectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SUMS = 8
GRADIENT = 1e-3
"""Share of its length by which a gradient in fp32 may differ from the same in fp64. Healthy ones were measured on CPUs
at 1e-6; an error of 5e-3 in one layer's products shows."""
REDUCED = 1e-4
"""The same for a mean of gradients: one addition a rank in fp32."""
MOVED = 1e-2
"""The same for a step of the weights, which is rounded to the weights' own fp32 numbers."""
ROUNDING = 1e-6
"""Share of the weights' length below which a difference of theirs is rounding."""

OWN = "its own part, not reduced"

Sums = Sequence[float]
Step = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """What is wrong. `rank`: whose it is, None where that can't be told. `ok` False: bad; None: not measured."""

    words: str
    rank: int | None = None
    ok: bool | None = False


def length(sums: Sums) -> float:
    """The length of the vector that has these sums, as well as they tell it."""
    return math.sqrt(sum(x * x for x in sums) / max(len(sums), 1))


def apart(one: Sums, other: Sums) -> float:
    """How far two vectors are apart; inf where either is no vector of numbers."""
    if len(one) != len(other) or not one or not all(math.isfinite(x) for x in (*one, *other)):
        return math.inf
    return length([a - b for a, b in zip(one, other)])  # noqa: B905 (strict= is from Python 3.10)


def mean(parts: Sequence[Sums]) -> list[float]:
    """The sums of the mean of vectors."""
    return [sum(column) / len(parts) for column in zip(*parts)]  # noqa: B905


def explained(got: Sums, wanted: Sums, others: Mapping[str, Sums], tolerance: float) -> str:
    """What `got` is where it should be `wanted`; "" if it is. `others`: words for what else it may be."""
    if not all(math.isfinite(x) for x in got):
        return "not a number"
    scale = max(length(wanted), 1e-30)
    if apart(got, wanted) <= tolerance * scale:
        return ""
    if length(got) <= tolerance * scale:
        return "zero"
    for words, other in others.items():
        if apart(got, other) <= tolerance * max(length(other), 1e-30):
            return words
    factor = sum(a * b for a, b in zip(got, wanted)) / max(sum(b * b for b in wanted), 1e-30)  # noqa: B905
    if factor and apart(got, [factor * b for b in wanted]) <= tolerance * abs(factor) * scale:
        return "negated" if abs(factor + 1) <= tolerance else f"{factor:.4g} times what it should be"
    return f"wrong by {apart(got, wanted) / scale:.1e} of its length"


def reduction(got: Sums, parts: Sequence[Sums], rank: int, tolerance: float, *, total: bool) -> str:
    """What `rank` holds where it should hold the mean (`total`: the sum) of all parts; "" if it does."""
    count = len(parts)
    average = mean(parts)
    summed = [x * count for x in average]
    wanted, instead = (summed, average) if total else (average, summed)
    others: dict[str, Sums] = {
        "the mean in place of the sum" if total else "the sum in place of the mean": instead
    }
    others[OWN] = parts[rank]
    for k, part in enumerate(parts):
        others[f"rank {k}'s part alone"] = part
        others[f"without rank {k}'s part"] = [w - p / (1 if total else count) for w, p in zip(wanted, part)]  # noqa: B905
    return explained(got, wanted, others, tolerance)


def faults(steps: Sequence[Sequence[Step]]) -> Iterator[Finding]:
    """What is wrong in the verified steps: `steps[s][r]` is rank r's step s.

    Each has loss, rate, and sums: `own` (its gradient before the reduction), `wanted` (the same by the CPU in fp64),
    `reduced`, `before` and `after` (the weights), in the first step `seeded` (the weights that the seed gives).
    """
    for number, ranks in enumerate(steps):
        previous = steps[number - 1] if number else None
        found = [*_gradients(ranks), *_reductions(ranks), *_weights(ranks, previous)]
        for finding in found:
            yield Finding(f"step {number}: {finding.words}", finding.rank)
        if found:
            return  # what follows from a wrong step is wrong as well


def _gradients(ranks: Sequence[Step]) -> Iterator[Finding]:
    for rank, step in enumerate(ranks):
        if not math.isfinite(step["loss"]):
            yield Finding("the loss is not a number", rank)
            continue
        others = {f"that of rank {k}'s share": other["wanted"] for k, other in enumerate(ranks) if k != rank}
        if words := explained(step["own"], step["wanted"], others, GRADIENT):
            yield Finding(f"the gradient before the reduction is {words}", rank)


def _reductions(ranks: Sequence[Step]) -> Iterator[Finding]:
    parts = [step["own"] for step in ranks]
    if len(parts) < 2 or not all(math.isfinite(x) for part in parts for x in part):
        return
    for k, part in enumerate(parts):
        if all(not explained(s["reduced"], part, {}, REDUCED) for s in ranks):
            yield Finding(
                f"every rank holds rank {k}'s gradient alone: a broadcast in place of the reduction"
            )
            return
    said = [reduction(s["reduced"], parts, r, REDUCED, total=False) for r, s in enumerate(ranks)]
    if said[0] and len(set(said)) == 1:
        yield Finding(f"the reduced gradient is {said[0]} on every rank")
        return
    for rank, words in enumerate(said):
        if words:
            yield Finding(f"the reduced gradient is {words}", rank)


def _weights(ranks: Sequence[Step], previous: Sequence[Step] | None) -> Iterator[Finding]:
    for rank, step in enumerate(ranks):
        before, after, rate = step["before"], step["after"], step["rate"]
        if not all(math.isfinite(x) for x in step["reduced"]):
            if len(ranks) == 1:  # else it is said already, and of the rank that brought it
                yield Finding("the reduced gradient is not a number", rank)
            continue
        rounding = ROUNDING * max(length(before), 1e-30)
        origin = previous[rank]["after"] if previous else step["seeded"]
        if not apart(before, origin) <= rounding:
            yield Finding(
                "the weights are not those that the step before left"
                if previous
                else "the first weights are not those of the seed",
                rank,
            )
            continue
        moved = [a - b for a, b in zip(after, before)]  # noqa: B905
        wanted = [-rate * g for g in step["reduced"]]
        if not apart(moved, wanted) <= MOVED * length(wanted) + rounding:
            stale = apart(after, before) <= rounding
            yield Finding(
                "the weights are stale: they did not move"
                if stale
                else "the weights moved otherwise than by the reduced gradient",
                rank,
            )
