"""Which run has the say over a cluster, and which state over a run: both by the checkpoints there."""

from __future__ import annotations

from knowngood.model.errors import LockHeld, Refused, UsageError
from knowngood.model.run_summary import RunSummary
from knowngood.model.state import RunState
from knowngood.model.truth import Standing
from knowngood.ports.checkpoint import Checkpoint


def last_change(checkpoint: Checkpoint, *, without: str = "", after: str = "") -> RunSummary | None:
    """The run that changed the cluster last; None where none did.

    `without`: a run that does not count. `after`: only runs newer than this one.
    """
    for found in checkpoint.runs():  # the newest first
        if found.run == after:
            return None
        if found.run != without and found.changed and found.end != "restored":
            return found
    return None


def refuse_newer(there: RunState | None, transitions: int) -> None:
    """LockHeld where a run's checkpoint was written under our Lease's number or a newer one: we were overtaken."""
    if there is not None and there.fence >= transitions:
        by = f" by {there.who}" if there.who else ""
        raise LockHeld(
            f"run {there.run} went on{by} under a newer Lease than ours (fence {there.fence}, ours {transitions})",
            hint=f"knowngood status {there.run}",
        )


def refuse_different(here: RunState, there: RunState | None, found: Standing) -> None:
    """Refused where the journal and the checkpoint of a run tell different stories; names both."""
    if found is Standing.GONE:
        raise Refused(
            f"this machine's journal of run {here.run} is at {_where(here)}, and the cluster has no checkpoint of it",
            hint=f"it was deleted or pruned; knowngood handover {here.run} shows what is left to do by hand",
        )
    if found is Standing.DIVERGED and there is not None:
        raise Refused(
            f"this machine's journal of run {here.run} is at {_where(here)}, its checkpoint in the cluster at"
            f" {_where(there)}: one does not follow from the other",
            hint="go on where the checkpoint was written, or with another --runs-dir: it is taken over from there",
        )


def _where(state: RunState) -> str:
    """A state in a few words, with who wrote it."""
    at = f"end {state.end.name}" if state.end else state.open or state.last or "its beginning"
    by = f" by {state.who}" if state.who else ""
    return f"{at} (record {state.seq}, fence {state.fence}{by})"


def refuse_final(state: RunState) -> None:
    """UsageError where a run's end can't be taken back by machine: nothing of it is left, or it has not ended."""
    if state.end is None or state.end.name not in ("held", "quarantined"):
        ended = state.end.name if state.end else "not ended"
        raise UsageError(
            f"run {state.run} is {ended}; only one that ended held or quarantined is rolled back"
        )
