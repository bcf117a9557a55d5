"""What the smoke gates share: a payload's answer against its baseline and the profile's floors."""

from __future__ import annotations

from collections.abc import Mapping

from knowngood.gate.verdicts import judge, measure, ran_on
from knowngood.model.values import Values


def judge_smoke(
    probe: Values,
    limits: Values,
    baseline: Values | None,
    *,
    rate: str,
    floors: Mapping[str, str],
) -> None:
    """Say the verdict. `rate` names the figure that is compared with the baseline; `floors` limit -> figure.

    On the reference backend no speed is judged: it is the CPU's, and says nothing about the node's GPUs.
    """
    backend, measured = str(probe.get("backend", "")), dict(probe["measured"])
    ran_on(backend)
    measure(**measured, backend=backend)
    reason = str(probe.get("reason") or "")
    if probe.get("ok") is False:
        judge.fail(reason or "the payload failed without a reason")
    if probe.get("ok") is not True:
        judge.inconclusive(reason or f"the payload's answer is neither yes nor no: {probe.get('ok')!r}")
    wanted = str(limits.get("backend") or backend)
    if backend != wanted:
        judge.inconclusive(f"it ran on {backend or 'no backend'}, the profile wants {wanted}")
    before = (baseline or {}).get("backend", backend)
    if before != backend:
        judge.inconclusive(f"it ran on {backend}, before the change on {before}: nothing can be compared")
    if backend != "cuda":
        judge.note(f"on the {backend} backend: no evidence about GPUs")
        return
    for limit, figure in floors.items():
        if limit in limits and not measured.get(figure, 0) >= limits[limit]:
            judge.fail(f"{figure} is {measured.get(figure)}, the profile's floor is {limits[limit]}")
    if baseline is not None and rate in baseline:
        floor = float(limits.get("minThroughputRatio", 0.9)) * float(baseline[rate])
        if not float(measured.get(rate, 0)) >= floor:
            judge.fail(
                f"{rate} is {measured.get(rate)}, before the change {baseline[rate]}: below {floor:.0f}"
            )
