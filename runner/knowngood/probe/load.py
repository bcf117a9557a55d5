"""A load: the smoke training again and again, on every GPU that this container was given, until its time is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from knowngood.probe import cuda, training

STEPS = 20
PAUSE = 0.05
"""Seconds between two rounds without GPUs: what only rehearses must not take a whole core."""


def run(seconds: float, clock: Callable[[], float] = time.monotonic) -> dict[str, Any]:
    """Compute for `seconds` by the clock; ends early with `ok: false` where a round goes wrong."""
    torch, missing = cuda.backend()
    if torch is None and cuda.given():
        # Counted as work on these GPUs it would be a lie: the reference runs on the CPU.
        missing = missing or "GPUs are here, but this image has no torch that can use them"
    if missing:
        return {"ok": False, "backend": "cuda", "reason": missing, "measured": {}}
    rounds, end = 0, clock() + seconds
    while True:
        if torch is None:
            result = training.reference()
            time.sleep(PAUSE)
        else:
            result = cuda.train(torch, len(cuda.devices(torch)), STEPS)
        rounds += 1
        if not result["ok"] or clock() >= end:
            result["measured"]["rounds"] = rounds
            return result
