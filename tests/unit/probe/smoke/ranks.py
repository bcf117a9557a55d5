"""What the ranks of a healthy smoke training leave behind, made by hand."""

from __future__ import annotations

import random
from typing import Any

from knowngood.probe.smoke.by_value import SUMS, mean
from knowngood.probe.smoke.records import Rank

STEPS, RATE = 3, 0.5


def steps(seed: int = 1, ranks: int = 4) -> list[list[dict[str, Any]]]:
    """Verified steps as a healthy machine gives them, with the rounding that fp32 has: steps[s][r]."""
    dice = random.Random(seed)  # noqa: S311 (no secret)

    def vector(scale: float) -> list[float]:
        return [dice.gauss(0, scale) for _ in range(SUMS)]

    def rounded(values: list[float], share: float) -> list[float]:
        return [x * (1 + dice.uniform(-share, share)) for x in values]

    weights, found = vector(20.0), []
    for number in range(STEPS):
        wanted = [vector(1.0) for _ in range(ranks)]
        own = [rounded(w, 1e-5) for w in wanted]
        after = [w - RATE * g for w, g in zip(weights, mean(own), strict=True)]
        step = []
        for rank in range(ranks):
            step.append({"loss": 4.0 - number, "rate": RATE, "own": own[rank], "wanted": wanted[rank]})
            step[rank] |= {"reduced": rounded(mean(own), 1e-6), "before": weights, "after": after}
            step[rank] |= {} if number else {"seeded": weights}
        found.append(step)
        weights = after
    return found


def records(seed: int = 1, ranks: int = 4) -> list[list[dict[str, Any]]]:
    """All records of all ranks: records[r]."""
    dice = random.Random(seed)  # noqa: S311
    shared = {
        "weights": [dice.gauss(0, 9) for _ in range(SUMS)],
        "gradient": [dice.gauss(0, 1) for _ in range(SUMS)],
    }
    verified = steps(seed, ranks)
    found: list[list[dict[str, Any]]] = []
    for rank in range(ranks):
        mine: list[dict[str, Any]] = [
            {"kind": "identity", "device": f"GPU-{rank}", "torch": "2.13.0", "host": "n"}
        ]
        for form, error in (("fp32", 4e-7), ("tf32", 2e-5), ("bf16", 1.7e-3), ("fp8", 1.8e-3)):
            mine.append({"kind": "product", "form": form, "error": error, "wrong": 0, "steady": True})
        for what in ("all-reduce", "all-gather") if ranks > 1 else ():
            mine.append({"kind": "collective", "what": what, "form": "float32", "place": 0, "wrong": 0})
        if ranks > 1:
            mine.append({"kind": "allReduce", "GBps": [478.0 + dice.random() for _ in range(3)]})
        for other in range(ranks):
            if other != rank:
                mine.append({"kind": "pair", "partner": other, "GBps": 340 + dice.random(), "wrong": 0})
        mine += [{"kind": "step", **step[rank]} for step in verified]
        mine.append({"kind": "checkpoint", "same": True, "digest": "d", "seconds": 0.1})
        mine.append({"kind": "memory", "bytes": 1 << 30, "wrongWord": -1})
        mine += [{"kind": "load", "tokensPerSecond": 1000.0 + dice.random()} for _ in range(3)]
        mine.append({"kind": "load", "steps": 50, "firstLoss": 4.1, "lastLoss": 1.2, "finite": True})
        mine.append({"kind": "alone", "tokensPerSecond": 260.0 + dice.random()})
        mine.append(
            {
                "kind": "common",
                **{key: [x * (1 + dice.uniform(-1e-6, 1e-6)) for x in v] for key, v in shared.items()},
            }
        )
        mine.append({"kind": "done"})
        found.append(mine)
    return found


def ranks(said: list[list[dict[str, Any]]], stages: dict[int, tuple[int, str]] | None = None) -> list[Rank]:
    """Records as ranks; `stages`: rank -> where it stands, count and name."""
    at = stages or {}
    return [Rank(n, tuple(mine), *at.get(n, (100, "load done")), f"GPU-{n}") for n, mine in enumerate(said)]
