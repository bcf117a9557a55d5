"""Smoke inference: a small model must answer rightly, every time, and in time, on every GPU of the node."""

from __future__ import annotations

import time

from knowngood.probe.answer import Answer, bad, good, percentile
from knowngood.probe.host import Host
from knowngood.probe.reference import Network, Numbers
from knowngood.probe.smoke import backend
from knowngood.probe.values import Values

_INPUTS, _HIDDEN, _CLASSES = 8, 24, 4
# The probabilities for the first request on any correct machine.
_KNOWN = (0.017501561231, 0.105501057629, 0.792909667756, 0.084087713384)
_TOLERANCE = 1e-9


def run(host: Host, params: Values) -> Answer:
    """Answer requests. `params`: gpus (how many the node must have); inference: the gate's own, see smoke.serving."""
    gpus, mine = int(params.get("gpus", 0)), params.get("inference") or {}
    torch, refusal = backend.ready(host, gpus, str(mine.get("backend", "")))
    if refusal is not None:
        return refusal
    if torch is not None:
        from knowngood.probe.smoke import instances, serving  # noqa: PLC0415 (an HTTP server: 50 ms of a rehearsal's 100)

        asked = instances.asked("inference", params, serving.DEADLINE)
        return instances.run("inference", host, gpus, params, lambda n: serving.run(torch, n, asked))
    return reference(max(1, int(mine.get("requests", 20))))


def reference(requests: int) -> Answer:
    """The same in plain Python."""
    network = Network(_INPUTS, _HIDDEN, _CLASSES, seed=11)
    numbers = Numbers(5)
    row = [numbers.next() * (i + 1) for i in range(_INPUTS)]
    latencies, wrong = [], 0
    for _ in range(requests):
        started = time.perf_counter()
        _, answer = network.forward(row)
        latencies.append((time.perf_counter() - started) * 1000)
        differences = [abs(a - k) for a, k in zip(answer, _KNOWN)]  # noqa: B905 (strict= is from Python 3.10)
        wrong += max(differences) > _TOLERANCE
    reason = f"{wrong} of {requests} answers are wrong" if wrong else ""
    measured = {
        "requests": requests,
        "p50Ms": percentile(latencies, 50),
        "p99Ms": percentile(latencies, 99),
        "requestsPerSecond": round(1000 * requests / max(sum(latencies), 1e-6), 1),
    }
    return bad(backend.REFERENCE, reason, measured) if reason else good(backend.REFERENCE, measured)
