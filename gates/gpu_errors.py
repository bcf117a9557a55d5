"""No new GPU or NVSwitch errors in the kernel log.

Proves: since the module that is judged was loaded, the driver reported no error that asks for more than restarting an
application, and no application error (Xid 13, 31, ...) of a kind that this node did not have before the change.
Needs: the kernel log through the kubelet (get on nodes/proxy).
fail: an error that asks for a reset, a reboot, a drain or a human (an unlisted code); an application error that the
baseline did not have, or more of it than the baseline counted since the load of the module before. What an earlier
run caused is no measure of anything and counts on neither side.
inconclusive: the log can't be read, has no line of the boot, lost lines, or does not reach back to the load.
While a baseline is taken, application errors are only counted; where it can't be told since when, none is allowed.
Thresholds: maxSameXid of the profile (a proposal; with 610.57.04 a fleet met Xid 31 where 704 nodes had none before,
open-gpu-kernel-modules issue 1370); actions as in knowngood.gate.xid_table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from knowngood.gate import judge, measure
from knowngood.gate.kernel_log import KernelLog, within
from knowngood.gate.xid import Event, parse
from knowngood.gate.xid_table import Action
from knowngood.model.context import JudgeRequest, Window

Found = Sequence[tuple[float, Event]]
"""Seconds since boot, and the error."""


def test_no_new_gpu_errors(
    node: str,
    kernel_log: KernelLog,
    limits: Mapping[str, Any],
    baseline: Mapping[str, Any] | None,
    judgement: JudgeRequest,
    load: Window | None,
) -> None:
    """See the module."""
    log = kernel_log.since(load) if load else kernel_log
    events = [(line, event) for line in log.lines if (event := parse(line.message))]
    found = [(line.monotonic, event) for line, event in events]
    own = [(ln.monotonic, e) for ln, e in events if not within(ln, judgement.excluded.get(node, ()))]
    counts = Counter(event.name for _, event in own)
    counted = not judgement.taking_baseline or bool(load and not log.late)
    measure(
        errors=dict(sorted(counts.items())) if counted else {},
        kernelLines=len(log.lines),
        boots=log.boots,
    )
    severe = [(at, event) for at, event in found if event.action >= Action.RESET]
    if severe:
        measure(failed=names(severe))
        judge.fail(described(severe))
    before = (baseline or {}).get("errors", {})
    allowed = int(limits.get("maxSameXid", 0))
    new = [
        (at, event)
        for at, event in own
        if event.action is Action.APP and counts[event.name] > max(allowed, before.get(event.name, 0))
    ]
    if new and not judgement.taking_baseline:
        measure(failed=names(new))
        judge.fail(f"{described(new)}; before the change this node had {before.get(new[0][1].name, 0)}")
    if log.trouble:
        judge.inconclusive(log.trouble)
    if log.late and not judgement.taking_baseline:
        judge.inconclusive(log.late)
    told = f"{len(found)} GPU errors, none that speaks against the node" if found else "no GPU error"
    untold = (
        "" if counted else "; since when the driver is loaded can't be told: no error is allowed afterwards"
    )
    judge.note(f"{len(log.lines)} kernel lines, {told}{untold}")


def names(found: Found) -> list[str]:
    """What it failed for, each once: `failsAtOnce` of the profile goes by these."""
    return sorted({event.name for _, event in found})


def described(found: Found) -> str:
    """The root of the trouble and how much else there is: a 154 only tells what another error asks for."""
    roots = [pair for pair in sorted(found, key=lambda p: p[0]) if pair[1].code != 154]
    at, first = (roots or list(found))[0]
    where = f" on GPU {first.address}" if first.address else ""
    words = f"{first.name}{where} ({first.action.word}"
    words += f": {first.meaning})" if first.meaning else ")"
    words += f" at {at:.1f} s after boot"
    return words + (f" and {len(found) - 1} more" if len(found) > 1 else "")
