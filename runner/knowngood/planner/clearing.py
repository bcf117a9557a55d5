"""What giving a node back by hand takes off it, what it leaves, and which open run forbids it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from knowngood.model import names
from knowngood.model.marks import Marks
from knowngood.model.run_summary import RunSummary
from knowngood.planner.flash import unended


@dataclass(frozen=True, slots=True)
class Clearing:
    """`take`: what of ours goes, `leave`: what stays and why; `uncordon`: whether the cordon is ours and goes."""

    take: tuple[str, ...]
    leave: tuple[str, ...]
    uncordon: bool


def clearing(marks: Marks, *, flash_ended: bool = False) -> Clearing:
    """What is ours on a node. Its cordon is ours only where our snapshot or our quarantine says so.

    The note of a flash goes only where somebody says that its BMC is done with it (`flash_ended`).
    """
    take = [f"claim {marks.claim}"] if marks.claim else []
    take += [f"taint {names.MAINTENANCE_TAINT}={marks.maintenance}"] if marks.maintenance else []
    take += [f"taint {names.QUARANTINE_TAINT}={marks.quarantine}"] if marks.quarantine else []
    take += [f"annotation {names.SNAPSHOT_ANNOTATION}"] if marks.snapshot else []
    take += [f"annotation {names.REASON_ANNOTATION}"] if marks.reason else []
    leave: list[str] = []
    if marks.flash:
        note = f"annotation {names.FLASH_ANNOTATION}: {unended(marks.flash)}"
        (take if flash_ended else leave).append(note)
    uncordon = marks.cordoned and (
        marks.cordoned_before is False or (marks.cordoned_before is None and bool(marks.quarantine))
    )
    if uncordon:
        take.append("the cordon")
    elif marks.cordoned:
        before = marks.cordoned_before is True
        why = (
            "the node was cordoned before we claimed it" if before else "it can't be told whether it is ours"
        )
        leave.append(f"the cordon: {why}")
    return Clearing(tuple(take), tuple(leave), uncordon)


def holder(marks: Marks, known: Iterable[RunSummary], at_work: str) -> str:
    """The open run that one of our marks names, "" for none.

    `known`: the runs that the cluster knows; `at_work`: the run that the Lease names. A run that was killed after its
    end may still be named there, and holds nothing.
    """
    named = {marks.run, marks.maintenance, marks.quarantine} - {""}
    return next((run for run in open_runs(known, at_work) if run in named), "")


def open_runs(known: Iterable[RunSummary], at_work: str) -> tuple[str, ...]:
    """The runs that have not ended, see `holder`."""
    ended = {run.run: bool(run.end) for run in known}
    return tuple(run for run in (*ended, at_work) if run and not ended.get(run))
