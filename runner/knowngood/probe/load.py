"""A load: a training again and again, on every GPU that this container was given, until its time is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from knowngood.probe import training
from knowngood.probe.smoke import backend
from knowngood.probe.smoke.burn import Burn
from knowngood.probe.values import Object

PAUSE = 0.05
"""Seconds between two rounds without GPUs: what only rehearses must not take a whole core."""


def run(seconds: float, clock: Callable[[], float] = time.monotonic) -> Object:
    """Compute for `seconds` by the clock; ends early with `ok: false` where a round goes wrong."""
    torch, refusal = backend.usable()
    if refusal is not None:
        return refusal
    burning: Burn | None = None
    rounds, end = 0, clock() + seconds
    while True:
        if torch is None:
            result = training.reference()
            time.sleep(PAUSE)
        else:
            burning = burning or Burn(
                torch, [torch.device("cuda", n) for n in range(torch.cuda.device_count())]
            )
            result = burning.round()
        rounds += 1
        if not result["ok"] or clock() >= end:
            result["measured"]["rounds"] = rounds
            return result
