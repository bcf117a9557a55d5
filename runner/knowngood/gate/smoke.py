"""What the smoke gates share: a payload's answer against its baseline and the profile's floors."""

from __future__ import annotations

import math
from collections.abc import Sequence

from knowngood.gate import sliced, speeds
from knowngood.gate.speeds import Figure
from knowngood.gate.verdicts import judge, measure, ran_on, some
from knowngood.model.values import Values


def judge_smoke(
    probe: Values,
    limits: Values,
    baseline: Values | None,
    pool: Sequence[Values],
    figures: Sequence[Figure],
    *,
    nvswitch: bool,
) -> None:
    """Say the verdict. `figures` are judged by gate/speeds.py; `pool`: the answers of all nodes of this judgement.

    On another backend than cuda no speed is judged: it is the CPU's, and says nothing about the node's GPUs.
    """
    backend, measured = answered(probe)
    wanted = str(limits.get("backend") or backend)
    if backend != wanted:
        judge.inconclusive(f"it ran on {backend or 'no backend'}, the profile wants {wanted}")
    before = (baseline or {}).get("backend", backend)
    if before != backend:
        judge.inconclusive(f"it ran on {backend}, before the change on {before}: nothing can be compared")
    if backend != "cuda":
        judge.note(f"on the {backend} backend: no evidence about GPUs")
        return
    layout = sliced.layout(measured)
    if baseline is not None and sliced.layout(baseline) != layout:
        judge.note("its GPUs are parted otherwise than before: no figure is compared with the baseline")
        baseline = None
    good = [dict(one["measured"]) for one in pool if one.get("backend") == backend and one.get("ok") is True]
    found = [*sliced.slow(figures, measured, limits, baseline, good, number)]
    if sliced.has_whole(measured):
        beside = [one for one in good if sliced.layout(one) == layout]
        found += [
            *speeds.slow(figures, measured, limits, baseline, beside, number),
            *speeds.lagging(measured, limits),
            *speeds.links(measured, limits, baseline, equal=nvswitch),
            *filter(None, [speeds.rerouted(measured, baseline)]),
        ]
    if found:
        judge.fail(some(found))
    if gone := [*speeds.vanished(measured, baseline)]:
        judge.inconclusive(f"measured before the change, and not now: {some(gone)}")
    if bare := [*speeds.unmeasured(measured)]:
        judge.inconclusive(f"nothing was measured of {some(bare)}")


def answered(probe: Values) -> tuple[str, Values]:
    """A payload's backend and figures, once it is good: measured bad is a fail, and not measured is inconclusive."""
    backend, measured, reason = (
        str(probe.get("backend", "")),
        dict(probe["measured"]),
        str(probe.get("reason") or ""),
    )
    ran_on(backend)
    measure(**{**measured, "backend": backend})
    if probe.get("ok") is False:
        judge.fail(reason or "the payload failed without a reason")
    if probe.get("ok") is not True:
        judge.inconclusive(reason or f"the payload's answer is neither yes nor no: {probe.get('ok')!r}")
    return backend, measured


def number(figures: Values, name: str) -> float:
    """A figure as a number above zero; inconclusive where it is none: what was not measured is not too little.

    Nothing takes no time, and the percentile of no times is 0.
    """
    value = figures.get(name)
    if not speeds.is_number(value) or not math.isfinite(value) or value <= 0:
        judge.inconclusive(f"{name} was not measured ({value!r:.40})")
    return float(value)
