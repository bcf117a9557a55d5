"""A load: the smoke training again and again, on every GPU that this container was given, until its time is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from knowngood.probe import cuda, training
from knowngood.probe.smoke import backend

STEPS = 20
PAUSE = 0.05
"""Seconds between two rounds without GPUs: what only rehearses must not take a whole core."""


def run(seconds: float, clock: Callable[[], float] = time.monotonic) -> dict[str, Any]:
    """Compute for `seconds` by the clock; ends early with `ok: false` where a round goes wrong."""
    torch, refusal = backend.usable()
    if refusal is not None:
        return refusal
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
