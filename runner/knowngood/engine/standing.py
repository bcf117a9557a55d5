"""Which run has the say over a cluster: the newest one that changed it and was not undone, by the checkpoints there."""

from __future__ import annotations

from knowngood.model.run_summary import RunSummary
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
