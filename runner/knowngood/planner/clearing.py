"""What giving a node back by hand takes off it, what it leaves, and which open run forbids it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from knowngood.model import names
from knowngood.model.marks import Marks
from knowngood.model.run_summary import RunSummary


@dataclass(frozen=True, slots=True)
class Clearing:
    """`take`: what of ours goes, `leave`: what stays and why; `uncordon`: whether the cordon is ours and goes."""

    take: tuple[str, ...]
    leave: tuple[str, ...]
    uncordon: bool


def clearing(marks: Marks) -> Clearing:
    """What is ours on a node. Its cordon is ours only where our snapshot or our quarantine says so."""
    take = [f"claim {marks.claim}"] if marks.claim else []
    take += [f"taint {names.MAINTENANCE_TAINT}={marks.maintenance}"] if marks.maintenance else []
    take += [f"taint {names.QUARANTINE_TAINT}={marks.quarantine}"] if marks.quarantine else []
    take += [f"annotation {names.SNAPSHOT_ANNOTATION}"] if marks.snapshot else []
    take += [f"annotation {names.REASON_ANNOTATION}"] if marks.reason else []
    if not marks.cordoned:
        return Clearing(tuple(take), (), uncordon=False)
    if marks.cordoned_before is True:
        return Clearing(
            tuple(take), ("the cordon: the node was cordoned before we claimed it",), uncordon=False
        )
    if marks.cordoned_before is False or marks.quarantine:
        return Clearing((*take, "the cordon"), (), uncordon=True)
    return Clearing(tuple(take), ("the cordon: it can't be told whether it is ours",), uncordon=False)


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
