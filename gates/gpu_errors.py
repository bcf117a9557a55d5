"""No new GPU, NVSwitch or host errors in the kernel log, and no boot that nobody asked for.

Proves: since the module that is judged was loaded, nothing was logged that asks for more than restarting an
application, no application error (Xid 13, 31, ...) that is the change's, nothing that this node did not have before.
Needs: the kernel log through the kubelet (get on nodes/proxy).
fail: an error that asks for a reset, a reboot, a drain or a human (an unlisted code), unless the driver says later that
no action is asked for (Xid 154 to none; 64 only if nvidia-smi shows no failed remap); a panic or an oops; a boot since
the window opened; an error of the driver or the host that the baseline did not have. An application error on a node
that is claimed and drained; at tenants' work one that is new on two GPUs and not on nodes that did not move. What an
earlier run caused is no measure of anything and counts on neither side.
inconclusive: the log can't be read, has no line of the boot, lost lines, was cut off, does not reach back to the load
or may have lost a boot; a driver's failure in unknown words, or a mild error, that the baseline did not have; a storm
of harmless errors; a tenant's error on several GPUs where no node that did not move can be read.
reported: one tenant's application error on one GPU at tenants' work.
While a baseline is taken, application errors are only counted; where it can't be told since when, none is allowed.
Thresholds: maxSameXid of the profile (a proposal; with 610.57.04 a fleet met Xid 31 where 704 nodes had none before,
open-gpu-kernel-modules issue 1370); actions as in knowngood.gate.xid_table, rates and storms as in
knowngood.gate.log_errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from knowngood.gate import judge, measure
from knowngood.gate.kernel_log import KernelLog, Line, within
from knowngood.gate.log_errors import (
    Before,
    Beside,
    Phase,
    Seen,
    before_of,
    blamed,
    described,
    figures,
    names,
    new,
    seen,
    standing,
    storms,
)
from knowngood.gate.xid_table import Action
from knowngood.model.context import JudgeRequest, Window

PARTS = ("gpu", "host")


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
    found = seen(log.lines, PARTS, log.owners)
    own = [s for s in found if not within(s.line, judgement.excluded.get(node, ()))]
    counted = not judgement.taking_baseline or bool(load and not log.late)
    measure(
        **(figures(own) if counted else {"errors": {}}),
        kernelLines=sum(line.count for line in log.lines),
        boots=kernel_log.boots,
        hours=log.hours,
    )
    severe = [s for s in standing(found, log.remap_failed) if s.event.action >= Action.RESET]
    if severe:
        fail(severe)
    told = [] if judgement.taking_baseline else news(own, log, baseline, judgement, node, limits)
    if log.trouble:
        judge.inconclusive(log.trouble)
    if log.late and not judgement.taking_baseline:
        judge.inconclusive(log.late)
    more = len(found) and f"{sum(s.line.count for s in found)} GPU errors, none that speaks against the node"
    words = [f"{len(log.lines)} kernel lines, {more or 'no GPU error'}", *told]
    if judgement.by_hand and kernel_log.boots > 1:
        words.append(f"{kernel_log.boots} boots in the window")
    if not counted:
        words.append("since when the driver is loaded can't be told: no error is allowed afterwards")
    judge.note("; ".join(words))


def test_no_boot_that_nobody_asked_for(
    node: str, kernel_log: KernelLog, judgement: JudgeRequest, window: Window | None
) -> None:
    """A node that was booted more often than the run did it itself has crashed, or somebody cycled it."""
    if judgement.taking_baseline or judgement.by_hand or window is None or not kernel_log.rebooted:
        return
    restarts = max(1, kernel_log.boots - 1)  # the log of the boot before may be gone
    if restarts <= judgement.own_boots.get(node, 0):
        return
    earlier = [line for line in kernel_log.lines if line.boot_id != kernel_log.boot_id]
    last = f"; the log before it ends with: {earlier[-1].message[:200]}" if earlier else ""
    judge.fail(f"the node was rebooted since the window opened, and not by this run{last}")


def news(
    own: Sequence[Seen],
    log: KernelLog,
    baseline: Mapping[str, Any] | None,
    judgement: JudgeRequest,
    node: str,
    limits: Mapping[str, Any],
) -> list[str]:
    """What the baseline did not have: fails, can't tell, or returns what is only reported."""
    before = before_of(baseline)
    least = int(limits.get("maxSameXid", 0))
    if faults := new(own, Action.FAULT, before, log.hours):
        fail(faults, f"; before the change this node had {before.errors.get(faults[0].event.key, 0)}")
    ours = [s for s in own if phase(judgement, node, s.line) is Phase.OURS]
    if errors := new(ours, Action.APP, Before(), None, least):
        fail(errors, "; the node was drained, so it is no tenant's")
    theirs = [s for s in own if phase(judgement, node, s.line) is Phase.TENANTS]
    fresh = new(theirs, Action.APP, before, log.hours, least)
    # Without a baseline nobody moved the nodes, or nobody knows what is new.
    wide, untold = blamed(fresh, log.beside or Beside) if baseline is not None else ([], "")
    if wide and not untold:
        fail(wide, "; on more than one GPU, and not on nodes that did not move")
    rest = [s for s in own if phase(judgement, node, s.line) is Phase.COMPARED]
    if errors := new(rest, Action.APP, before, log.hours, least):
        fail(errors, f"; before the change this node had {before.errors.get(errors[0].event.key, 0)}")
    if wide:
        words = "on more than one GPU, and whether nodes that did not move have it can't be told"
        judge.inconclusive(f"{described(wide)}; {words}: {untold}")
    if mild := new(own, Action.WATCH, before, log.hours):
        judge.inconclusive(
            f"{described(mild)}; it can't be told whether that matters, and it is new on this node"
        )
    if many := storms(own, before, log.hours):
        kind, device, number = many[0]
        judge.inconclusive(
            f"a storm: {number} times {kind} on {device or 'the node'}: too many to be harmless"
        )
    return [f"reported, as a tenant's own: {described(fresh)}"] if fresh else []


def phase(judgement: JudgeRequest, node: str, line: Line) -> Phase:
    """Who worked on the node when a line was printed. A claimed one was drained only after its window opened."""
    if judgement.tenants_work:
        return Phase.TENANTS
    opened = judgement.windows.get(node)
    if not judgement.claimed or opened is None:
        return Phase.COMPARED
    same = line.boot_id == opened.boot_id.replace("-", "").lower()
    return Phase.COMPARED if same and line.until < opened.monotonic else Phase.OURS


def fail(found: Sequence[Seen], why: str = "") -> None:
    """Say what it fails for."""
    measure(failed=names(found))
    judge.fail(described(found) + why)
