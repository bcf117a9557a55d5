"""Smoke training: a small model must learn, on every GPU of the node."""

from __future__ import annotations

import time

from knowngood.probe.answer import Answer, bad, good
from knowngood.probe.host import Host
from knowngood.probe.reference import Network, samples
from knowngood.probe.smoke import backend
from knowngood.probe.values import Values

_COUNT, _INPUTS, _HIDDEN, _CLASSES = 48, 4, 12, 3
_RATE = 1.0
_STEPS = 40
# What these numbers give on any correct machine; math.exp and math.tanh may differ in the last digit.
_LAST_LOSS = 0.189693256
_TOLERANCE = 1e-6


def run(host: Host, params: Values) -> Answer:
    """Train. `params`: gpus (how many the node must have); training: the gate's own, see smoke.distributed."""
    gpus, mine = int(params.get("gpus", 0)), params.get("training") or {}
    torch, refusal = backend.ready(host, gpus, str(mine.get("backend", "")))
    if refusal is not None:
        return refusal
    if torch is not None:
        from knowngood.probe.smoke import distributed, instances  # noqa: PLC0415 (no part of the reference)

        asked = instances.asked("training", params, distributed.DEADLINE)
        return instances.run("training", host, gpus, params, lambda n: distributed.run(torch, n, asked))
    return reference()


def reference() -> Answer:
    """The same training in plain Python."""
    rows, labels = samples(_COUNT, _INPUTS, _CLASSES, seed=20)
    network = Network(_INPUTS, _HIDDEN, _CLASSES, seed=7)
    started = time.perf_counter()
    losses = [network.step(rows, labels, _RATE) for _ in range(_STEPS)]
    seconds = time.perf_counter() - started
    first, last = losses[0], losses[-1]
    reason = ""
    if not last < 0.6 * first:
        reason = f"the loss went from {first:.4f} to {last:.4f}: it did not fall"
    elif abs(last - _LAST_LOSS) > _TOLERANCE:
        reason = f"the loss ended at {last:.9f}, expected {_LAST_LOSS:.9f}: this machine computes wrongly"
    measured = {
        "steps": _STEPS,
        "firstLoss": round(first, 6),
        "lastLoss": round(last, 6),
        "samplesPerSecond": round(_STEPS * _COUNT / seconds, 1),
    }
    return bad(backend.REFERENCE, reason, measured) if reason else good(backend.REFERENCE, measured)
